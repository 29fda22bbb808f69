//! In: any command; any output of an amphora, split anywhere.
//! Out: a line that a POSIX shell reads as the same words, the command being the last; the output without the marker.
//! Never: a byte of the command outside its quotes, or a byte of the output lost.
#![no_main]

use ampgate_access::{
    Ask, Landing, Nonce, Stream, UpstreamRequest, quote, upstream_request, words_of_shell,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<u8>, u8, u128, bool)| {
    let (command, output, split, random, pty) = input;
    let mut line = Vec::new();
    quote(&command, &mut line);
    assert_eq!(words_of_shell(&line), Some(vec![command.clone()]));
    assert!(line.len() <= 2 * command.len() + 2);

    for landing in [Landing::Root, Landing::Netns] {
        let nonce = Nonce::new(random);
        let (request, mut probe) =
            upstream_request(landing, &Ask::Exec(command.clone()), pty, nonce);
        let UpstreamRequest::Exec(line) = request else {
            panic!("root and netns are exec")
        };
        let words = words_of_shell(&line).expect("nothing is left for the shell to act on");
        assert_eq!(words.len(), 11);
        assert_eq!(words.last(), Some(&command));
        // The stem is the last word but one; a marker in the output must vanish, and only it.
        let marker = [words[9].as_slice(), b"=ready;"].concat();
        let without = !output
            .windows(marker.len().min(40))
            .any(|w| marker.starts_with(w));
        let at = usize::from(split) % (output.len() + 1);
        let stream = [&output[..at], &marker, &output[at..]].concat();
        let on = if pty { Stream::Stdout } else { Stream::Stderr };
        let (mut passed, mut told) = (Vec::new(), None);
        for piece in stream.chunks(1 + usize::from(split) % 7) {
            let fed = probe.feed(on, piece);
            passed.extend_from_slice(&fed.pass);
            told = told.or(fed.verdict);
        }
        passed.extend(probe.finish(Some(0)).1);
        if without {
            assert_eq!(told, Some(Ok(())));
            assert_eq!(passed, output);
        }
    }
    // Once in a while a real shell, so that the model is the shell's.
    if random % 4096 == 0 && !command.contains(&0) && command.len() < 4096 {
        use std::os::unix::ffi::OsStrExt;
        let line = [&b"printf %s "[..], &line].concat();
        let said = std::process::Command::new("/bin/sh")
            .arg("-c")
            .arg(std::ffi::OsStr::from_bytes(&line))
            .output();
        assert_eq!(said.map(|o| o.stdout).unwrap_or_default(), command);
    }
});
