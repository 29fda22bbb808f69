//! In: streams with and without a marker, split anywhere.
//! Out: the proof that the probe gives the same answer for every split, and every byte but the marker's.
//! Never: a clock.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

const NONCE: Nonce = Nonce(0xabcd);

/// Feeds pieces; gives what passed and the verdict.
fn through(
    pty: bool,
    bytes: &[u8],
    cuts: &[usize],
    exit: Option<u32>,
) -> (Vec<u8>, Option<LandingFailure>, bool) {
    let mut probe = LandingProbe::new(NONCE, pty);
    let on = if pty { Stream::Stdout } else { Stream::Stderr };
    let mut passed = Vec::new();
    let mut verdicts = 0;
    let mut at = 0;
    let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    for cut in cuts {
        let fed = probe.feed(on, &bytes[at..cut]);
        passed.extend_from_slice(&fed.pass);
        verdicts += usize::from(fed.verdict.is_some());
        assert_eq!(probe.is_settled(), verdicts == 1);
        assert!(probe.held.len() <= LandingProbe::LONGEST_HELD);
        at = cut;
    }
    let (stream, rest, failure) = probe.finish(exit);
    assert!(stream == on);
    passed.extend(rest);
    (passed, failure, verdicts == 1)
}

fn marker_of(word: &str) -> Vec<u8> {
    [NONCE.stem().as_bytes(), word.as_bytes()].concat()
}

proptest! {
    #[test]
    fn any_split_takes_out_the_marker_and_nothing_else(
        before in "[a-z=;-]{0,40}|ampgate-0{0,32}|(ampgate-){1,3}",
        word in 0usize..5,
        after in prop::collection::vec(any::<u8>(), 0..80),
        cuts in prop::collection::vec(0usize..400, 0..12),
        pty in any::<bool>(),
    ) {
        let (text, meaning) = WORDS[word];
        let stream = [before.as_bytes(), &marker_of(text), &after].concat();
        let (passed, failure, told) = through(pty, &stream, &cuts, Some(1));
        prop_assert!(told);
        prop_assert_eq!(passed, [before.as_bytes(), &after].concat());
        prop_assert_eq!(failure, meaning.err());
    }

    #[test]
    fn without_a_marker_every_byte_passes(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            (0usize..54).prop_map(|n| { let mut m = marker_of("=no-namespace;"); m.truncate(n.min(53)); m }),
            "[a-z;]{0,12}".prop_map(|w| if w.starts_with("ready;") { vec![] } else { marker_of(&format!("=q{w}")) }),
        ],
        cuts in prop::collection::vec(0usize..400, 0..12),
    ) {
        let (passed, failure, told) = through(false, &bytes, &cuts, Some(1));
        prop_assert!(!told);
        prop_assert_eq!(passed, bytes);
        prop_assert_eq!(failure, Some(LandingFailure::SudoRefused));
    }
}

#[test]
fn a_second_marker_is_somebody_elses_text() {
    let twice = [marker_of("=ready;"), marker_of("=no-shell;")].concat();
    let (passed, failure, _) = through(false, &twice, &[], Some(0));
    assert_eq!(passed, marker_of("=no-shell;"));
    assert_eq!(failure, None);
}

#[test]
fn the_other_stream_is_never_touched() {
    let mut probe = LandingProbe::new(NONCE, false);
    let marker = marker_of("=ready;");
    let fed = probe.feed(Stream::Stdout, &marker);
    assert_eq!((&*fed.pass, fed.verdict), (&marker[..], None));
    assert!(!probe.is_settled());
}

#[test]
fn ends_without_a_marker_are_told_apart() {
    let end = |exit| LandingProbe::new(NONCE, true).finish(exit).2;
    assert_eq!(end(Some(1)), Some(LandingFailure::SudoRefused));
    assert_eq!(end(Some(127)), Some(LandingFailure::NoSudo));
    assert_eq!(end(None), Some(LandingFailure::Cut));
    assert_eq!(LandingProbe::landed().finish(Some(127)).2, None);
}

#[test]
fn each_failure_has_its_own_sentence_that_says_what_to_try() {
    use LandingFailure::*;
    let all = [
        NoNamespace,
        NoIp,
        SudoRefused,
        NoSudo,
        NoShell,
        NoSftpServer,
        Cut,
    ];
    let sentences: std::collections::BTreeSet<&str> = all.iter().map(|f| f.sentence()).collect();
    assert_eq!(sentences.len(), all.len());
    assert!(all.iter().all(|f| f.sentence().contains("try ")));
}
