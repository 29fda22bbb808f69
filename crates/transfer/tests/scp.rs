//! In: scp of old as OpenSSH speaks it, and what pretends to be. Out: content where there is content, and nowhere else.
//! Never: a byte that is called content without having been announced and taken.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use ampgate_transfer::{Completeness, Direction, Scp, ScpFile, Understood};
use proptest::prelude::*;

/// (is it the sending side, bytes)
type Said = (bool, Vec<u8>);

fn said(sends: bool, bytes: &[u8]) -> Said {
    (sends, bytes.to_vec())
}

/// A tree: a file, a directory with an empty file in it, one that is not taken, one that fails.
fn tree() -> Vec<Said> {
    vec![
        said(false, b"\0"),
        said(true, b"T1700000000 0 1700000000 0\n"),
        said(false, b"\0"),
        said(true, b"C0644 11 a file.txt\n"),
        said(false, b"\0"),
        said(true, b"hello\nworld\0"),
        said(false, b"\0"),
        said(true, b"D0755 0 dir\n"),
        said(false, b"\0"),
        said(true, b"C0600 0 empty\n"),
        said(false, b"\0"),
        said(true, b"\0"),
        said(false, b"\0"),
        said(true, b"C0600 5 not taken\n"),
        said(false, b"\x01scp: no room\n"),
        said(true, b"\x01scp: gone: No such file\n"),
        said(true, b"E\n"),
        said(false, b"\0"),
    ]
}

struct Seen {
    content: Vec<u8>,
    other: Vec<u8>,
    files: Vec<ScpFile>,
    is_scp: bool,
}

fn played(direction: Direction, talk: &[Said], cut: impl Fn(usize) -> usize) -> Seen {
    let mut scp = Scp::new(direction);
    let (mut content, mut other, mut files) = (vec![], vec![], vec![]);
    let mut turn = 0;
    for (sends, bytes) in talk {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(cut(turn).clamp(1, rest.len()));
            turn += 1;
            let piece = piece.to_vec().into();
            let from_client = *sends == (direction == Direction::ToAmphora);
            let runs = match from_client {
                true => scp.client(piece),
                false => scp.amphora(piece),
            };
            for run in runs {
                match run {
                    Understood::Content(bytes) => content.extend_from_slice(&bytes),
                    Understood::Other(bytes) => other.extend_from_slice(&bytes),
                }
            }
            rest = later;
        }
    }
    let is_scp = scp.is_scp();
    scp.finish();
    files.extend(scp.happened());
    Seen {
        content,
        other,
        files,
        is_scp,
    }
}

#[test]
fn a_tree_is_read_both_ways() {
    for direction in [Direction::ToAmphora, Direction::FromAmphora] {
        let seen = played(direction, &tree(), |_| usize::MAX);
        assert!(seen.is_scp);
        assert_eq!(seen.content, b"hello\nworld");
        let told: Vec<_> = seen
            .files
            .iter()
            .map(|f| (f.name.as_slice(), f.sum.bytes, f.result))
            .collect();
        assert_eq!(
            told,
            [
                (&b"a file.txt"[..], 11, "ok"),
                (b"dir/empty", 0, "ok"),
                (b"dir/not taken", 0, "not taken"),
            ]
        );
        assert_eq!(seen.files[0].sum.completeness, Completeness::Whole);
        assert_eq!(
            seen.files[0].sum.sha256.as_deref(),
            Some("26c60a61d01db5836ca70fefd44a6a016620413c8ef5f259a6c5612d4f79d3b8")
        );
    }
}

/// What is no scp is recorded from its first byte on, and from then on nothing is content, whatever it looks like.
#[test]
fn what_is_no_scp_is_never_content() {
    let real = [
        said(false, b"\0"),
        said(true, b"C0644 5 x\n"),
        said(false, b"\0"),
        said(true, b"secret"),
    ];
    for (what, talk) in [
        ("a shell", vec![said(false, b"$ "), said(true, b"id\n")]),
        (
            "content before it is taken",
            vec![said(false, b"\0"), said(true, b"C0644 5 x\nhello\0")],
        ),
        (
            "a line before the greeting",
            vec![said(true, b"C0644 5 x\n"), said(false, b"\0")],
        ),
        (
            "a name with a slash",
            vec![said(false, b"\0"), said(true, b"C0644 5 a/b\n")],
        ),
        (
            "a size that is none",
            vec![said(false, b"\0"), said(true, b"C0644 -5 x\n")],
        ),
        (
            "an end of nothing",
            vec![said(false, b"\0"), said(true, b"E\n")],
        ),
        ("an answer to nothing", vec![said(false, b"\0\0")]),
        (
            "a verdict that is none",
            vec![
                said(false, b"\0"),
                said(true, b"C0644 1 x\n"),
                said(false, b"\0"),
                said(true, b"yz"),
            ],
        ),
        (
            "a line without an end",
            vec![said(false, b"\0"), said(true, &[b'C'; 9000])],
        ),
    ] {
        for direction in [Direction::ToAmphora, Direction::FromAmphora] {
            let before = played(direction, &talk, |_| usize::MAX);
            assert!(!before.is_scp, "{what} passed for scp");
            let after: Vec<Said> = talk.iter().chain(&real).cloned().collect();
            let seen = played(direction, &after, |_| usize::MAX);
            assert_eq!(seen.content, before.content, "{what}");
        }
    }
}

#[test]
fn a_file_that_breaks_off_is_told() {
    let talk = &tree()[..5];
    let mut cut: Vec<Said> = talk.to_vec();
    cut.push(said(true, b"hel"));
    let seen = played(Direction::ToAmphora, &cut, |_| usize::MAX);
    let file = &seen.files[0];
    assert_eq!(
        (file.sum.bytes, file.sum.completeness, file.result),
        (3, Completeness::Beginning, "broken off")
    );
}

proptest! {
    /// However the bytes are cut, the same of them are content, and the same files are told.
    #[test]
    fn any_cut_is_alike(cuts in prop::collection::vec(1usize..9, 1..40)) {
        for direction in [Direction::ToAmphora, Direction::FromAmphora] {
            let whole = played(direction, &tree(), |_| usize::MAX);
            let cut = played(direction, &tree(), |turn| cuts[turn % cuts.len()]);
            prop_assert_eq!(&whole.content, &cut.content);
            prop_assert_eq!(&whole.other, &cut.other);
            prop_assert_eq!(&whole.files, &cut.files);
        }
    }

    /// Any bytes: all of them come out again, as one or the other.
    #[test]
    fn any_bytes_come_out_again(talk in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..50)), 0..20)) {
        let talk: Vec<Said> = tree()[..5].iter().cloned().chain(talk).collect();
        let seen = played(Direction::FromAmphora, &talk, |_| usize::MAX);
        let all: usize = talk.iter().map(|(_, bytes)| bytes.len()).sum();
        prop_assert_eq!(seen.content.len() + seen.other.len(), all);
    }
}
