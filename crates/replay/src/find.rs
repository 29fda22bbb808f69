//! In: files and directories as an auditor names them.
//! Out: the recordings among them, directory by directory in the order of their names.
//! Never: follows a symbolic link below a directory, or opens anything but a file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Deeper than any store (year, month, day).
const DEEPEST: usize = 16;

/// Every recording below `dir`: files that end in `.cast` or `.sealed`. Faults of reading come where they occur.
pub fn below(dir: &Path) -> impl Iterator<Item = (PathBuf, io::Result<()>)> + use<> {
    let mut stack = vec![(dir.to_owned(), 0, true)];
    std::iter::from_fn(move || {
        loop {
            let (path, depth, is_dir) = stack.pop()?;
            if !is_dir {
                return Some((path, Ok(())));
            }
            match children(&path) {
                Ok(found) if depth < DEEPEST => {
                    let deeper = found.into_iter().rev();
                    stack.extend(deeper.map(|(path, is_dir)| (path, depth + 1, is_dir)));
                }
                Ok(_) => {}
                Err(e) => return Some((path, Err(e))),
            }
        }
    })
}

/// Directories and recordings in a directory, sorted by name.
fn children(dir: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        if kind.is_dir() || (kind.is_file() && is_recording(&path)) {
            found.push((path, kind.is_dir()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn is_recording(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end == "cast" || end == "sealed")
}
