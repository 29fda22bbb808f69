//! In: any bytes.
//! Out: one word of a POSIX shell that means exactly these bytes.
//! Never: leaves a byte where the shell could act on it, or makes the word much longer than it must be.

/// Appends `bytes` to `line`, quoted as one word for a POSIX shell (sh, bash, dash, zsh, ksh).
///
/// Of two ways the shorter one is taken, because the kernel takes at most 128 KiB in one argument. A NUL can be in no
/// argument; it stays where it is, and the amphora's sshd refuses the request, as it does without us.
pub fn quote(bytes: &[u8], line: &mut Vec<u8>) {
    let changes = bytes
        .windows(2)
        .filter(|pair| is_quote(pair.first()) != is_quote(pair.last()));
    let single = 2 * (1 + changes.count());
    let double = 2 + bytes.iter().filter(|b| acts_in_double(**b)).count();
    if single <= double {
        in_single_quotes(bytes, line);
    } else {
        in_double_quotes(bytes, line);
    }
}

/// Everything in single quotes, inside which nothing is special; runs of single quotes themselves in double quotes,
/// inside which a single quote is not special. A command of quotes alone grows by two bytes, not fourfold.
fn in_single_quotes(bytes: &[u8], line: &mut Vec<u8>) {
    let mut rest = bytes;
    if rest.is_empty() {
        line.extend_from_slice(b"''");
    }
    while let Some(first) = rest.first() {
        let quotes = *first == b'\'';
        let end = rest
            .iter()
            .position(|&b| (b == b'\'') != quotes)
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let mark = if quotes { b'"' } else { b'\'' };
        line.push(mark);
        line.extend_from_slice(run);
        line.push(mark);
        rest = after;
    }
}

/// Everything in double quotes; the four bytes that act inside them after a backslash. Not `!`: it acts in interactive
/// shells only, and nothing here is given to one.
fn in_double_quotes(bytes: &[u8], line: &mut Vec<u8>) {
    line.push(b'"');
    for &b in bytes {
        if acts_in_double(b) {
            line.push(b'\\');
        }
        line.push(b);
    }
    line.push(b'"');
}

fn acts_in_double(b: u8) -> bool {
    b"$`\"\\".contains(&b)
}

fn is_quote(b: Option<&u8>) -> bool {
    b == Some(&b'\'')
}

/// What a POSIX shell makes of a line which only has quoted words, plain words and blanks: the model against which
/// [`quote`] is fuzzed. `None` if anything in the line is left for the shell to act on.
pub fn words_of_shell(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter().copied();
    while let Some(b) = bytes.next() {
        match b {
            b' ' => words.extend(word.take()),
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'\'' => break,
                        inside => word.push(inside),
                    }
                }
            }
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        b'$' | b'`' => return None,
                        b'\\' => match bytes.next()? {
                            escaped if acts_in_double(escaped) => word.push(escaped),
                            b'\n' => {}
                            other => word.extend([b'\\', other]),
                        },
                        inside => word.push(inside),
                    }
                }
            }
            b if b.is_ascii_alphanumeric() || b"/-_.=".contains(&b) => {
                word.get_or_insert_default().push(b);
            }
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn quoted(bytes: &[u8]) -> Vec<u8> {
        let mut line = Vec::new();
        quote(bytes, &mut line);
        line
    }

    #[test]
    fn shorter_of_two_ways() {
        assert_eq!(quoted(b""), b"''");
        assert_eq!(quoted(b"ls -l $HOME"), b"'ls -l $HOME'");
        assert_eq!(quoted(b"it's"), b"\"it's\"");
        assert_eq!(quoted(b"''''"), b"\"''''\"");
        assert_eq!(quoted(b"$$$$$'$"), b"'$$$$$'\"'\"'$'");
        assert!(quoted(&[b'\''; 100_000]).len() < 100_010);
    }

    #[test]
    fn the_model_sees_what_would_act() {
        for acts in [
            "a;b", "$x", "`x`", "a|b", "a&b", "a>b", "(a)", "a\nb", "'open", "\"open", "\"$x\"",
            "\"`x`\"", "*", "~",
        ] {
            assert_eq!(words_of_shell(acts.as_bytes()), None, "{acts}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn means_exactly_the_bytes(
            bytes in prop_oneof![
                prop::collection::vec(1u8..=255, 0..200),
                "['\"\\\\$` \n!a]{0,60}".prop_map(String::into_bytes),
            ]
        ) {
            let mut line = b"exec sudo ".to_vec();
            quote(&bytes, &mut line);
            line.extend_from_slice(b" end");
            let words = words_of_shell(&line).unwrap();
            prop_assert_eq!(words, vec![b"exec".to_vec(), b"sudo".to_vec(), bytes, b"end".to_vec()]);
        }
    }
}
