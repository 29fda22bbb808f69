//! In: a password, an application credential's secret, and the files that hold them.
//! Out: the same, to the one place that sends it.
//! Never: printed, compared, cloned by accident, left in memory, or taken from a file that everybody can read.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

/// A text that nobody may see. It has no `Debug`, `Display` or `Clone`, and is wiped when it is dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over a secret.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The secret itself: for the request that carries it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <String as serde::Deserialize>::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// A file of at most 1 MiB of UTF-8.
pub(crate) fn read_bounded(path: &Path) -> Result<Zeroizing<String>, String> {
    const LIMIT: u64 = 1 << 20;
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LIMIT {
        return Err("is longer than 1 MiB".to_owned());
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "is no UTF-8".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// As [`read_bounded`], and refused where everybody may read it.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if metadata.permissions().mode() & 0o006 != 0 {
        return Err("it holds a secret, and everybody may read or write it: chmod o-rw".to_owned());
    }
    read_bounded(path)
}

/// The only line of a file that not everybody may read.
///
/// # Errors
/// What is wrong with the file.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    let text = read_private(path)?;
    Ok(Secret::new(Zeroizing::new(text.trim_end().to_owned())))
}
