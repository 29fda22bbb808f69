//! In: paths as clients write them. Out: paths without `.`, `..` and double slashes.
//! Never: knows of symbolic links; only the amphora does.

/// `path`, seen from `base`, as its letters alone say.
pub fn absolute(base: &[u8], path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let from = if path.starts_with(b"/") {
        &b""[..]
    } else {
        base
    };
    for part in from.split(|b| *b == b'/').chain(path.split(|b| *b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut made = Vec::with_capacity(from.len() + path.len() + 1);
    for part in parts {
        made.push(b'/');
        made.extend_from_slice(part);
    }
    if made.is_empty() {
        made.push(b'/');
    }
    made
}

/// A path cut before its last part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// What is before it: "." or "/" if nothing is.
    pub parent: Vec<u8>,
    /// The last part, with the slashes behind it.
    pub name: Vec<u8>,
}

/// Cuts off the last part. None where that is no name: an empty path, only slashes, `.` or `..`.
pub fn last_of(path: &[u8]) -> Option<Last> {
    let end = path.iter().rposition(|b| *b != b'/')? + 1;
    let start = path
        .get(..end)?
        .iter()
        .rposition(|b| *b == b'/')
        .map_or(0, |at| at + 1);
    let (before, name) = (path.get(..start)?, path.get(start..)?);
    if matches!(path.get(start..end)?, b"." | b"..") {
        return None;
    }
    let parent = match before {
        [] => b".".to_vec(),
        before => match before.iter().rposition(|b| *b != b'/') {
            Some(at) => before.get(..=at)?.to_vec(),
            None => b"/".to_vec(),
        },
    };
    Some(Last {
        parent,
        name: name.to_vec(),
    })
}
