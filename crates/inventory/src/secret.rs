//! In: a password, an application credential's secret, a token.
//! Out: the same, to the one place that sends it.
//! Never: printed, compared, cloned by accident, or left in memory.

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
