//! In: any bytes.
//! Out: one word of a POSIX shell that means exactly these bytes.
//! Never: leaves a byte where the shell could act on it, or makes the word much longer than it must be.

/// Appends `bytes` to `line`, quoted as one word for a POSIX shell (sh, bash, dash, zsh, ksh).
///
/// Everything stands in single quotes, inside which nothing is special; runs of single quotes themselves stand in double
/// quotes, inside which a single quote is not special. So a command of quotes alone grows by two bytes, not fourfold:
/// the kernel takes at most 128 KiB in one argument. A NUL can be in no argument; it stays where it is, and the amphora's
/// sshd refuses the request, as it does without us.
pub fn quote(bytes: &[u8], line: &mut Vec<u8>) {
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
                        // Special inside double quotes.
                        b'$' | b'`' | b'\\' => return None,
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
