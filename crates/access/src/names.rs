//! In: text that somebody typed or wrote into a file.
//! Out: names that mean one thing each; parsing is the only way to get one.
//! Never: a name with a character in it that could be shell text, a path or a terminal's escape code.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Why a text is not the name it should be. The text itself is not repeated: it may hold anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(pub(crate) String);

impl NameError {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $accepts:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Reads the name.
            ///
            /// # Errors
            /// The rule which the text breaks.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError::new($rule))
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_name!(
    /// A person who may log in.
    UserName,
    person,
    "a user name has 1 to 64 of A-Z a-z 0-9 . _ @ - and starts with a letter or a digit"
);
text_name!(
    /// A group of people, as policy speaks of it; one of Keystone's begins with `keystone:`.
    GroupName,
    |text| person(text.strip_prefix(OF_KEYSTONE).unwrap_or(text)),
    "a group name has 1 to 64 of A-Z a-z 0-9 . _ @ - and starts with a letter or a digit; a group of Keystone has \"keystone:\" before that"
);

/// What groups of Keystone begin with: whoever makes groups there gets no right that was meant for a group of the file.
const OF_KEYSTONE: &str = "keystone:";

impl GroupName {
    /// The name of a group of Keystone.
    ///
    /// # Errors
    /// The name has characters in it that group names here cannot have.
    pub fn of_keystone(name: &str) -> Result<Self, NameError> {
        Self::parse(&format!("{OF_KEYSTONE}{name}"))
    }
}
text_name!(
    /// An OpenStack project.
    ProjectId,
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
    "a project id has 1 to 64 of A-Z a-z 0-9 -"
);
text_name!(
    /// The user whom the amphora's image knows, such as `cloud-user` or `ubuntu`.
    LoginUser,
    login_user,
    "a login user has 1 to 32 of a-z 0-9 _ - and starts with a letter or _"
);

fn person(text: &str) -> bool {
    let mut bytes = text.bytes();
    (1..=64).contains(&text.len())
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b))
}

fn login_user(text: &str) -> bool {
    let mut bytes = text.bytes();
    (1..=32).contains(&text.len())
        && bytes
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Reads the 36 characters of a UUID, in upper or lower case.
            ///
            /// # Errors
            /// The rule which the text breaks.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                if text.len() != 36 {
                    return Err(NameError::new($rule));
                }
                Uuid::try_parse(text).map(Self).map_err(|_| NameError::new($rule))
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        /// Lower case, with dashes.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
    };
}

uuid_name!(
    /// One amphora: a VM that lives as long as its id. A failover makes a new one.
    AmphoraId,
    "an amphora id is a UUID, such as 93b939b0-1c4e-4b8e-9d0c-0e1f6c1d2a3b"
);
uuid_name!(
    /// One load balancer; the id stays through failovers.
    LoadBalancerId,
    "a load balancer id is a UUID, such as 5f3c1a7e-8d24-4f0a-b1c9-2e6d7a8b9c0d"
);

/// One session: 26 characters (a ULID) that sort by the time at which it began. Safe as a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(ulid::Ulid);

impl SessionId {
    /// From the time in milliseconds since 1970 (the low 48 bits count) and random bits (the low 80 count).
    pub fn from_parts(unix_ms: u64, random: u128) -> Self {
        Self(ulid::Ulid::from_parts(unix_ms, random))
    }

    /// Reads 26 characters of a ULID, in upper or lower case.
    ///
    /// # Errors
    /// The rule which the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let wrong = || {
            NameError::new(
                "a session id has 26 characters, digits and capital letters without I L O U",
            )
        };
        // A ULID is at most 7ZZZ…: a larger first digit does not fit into 128 bits.
        if text.len() != 26 || !text.starts_with(|c| ('0'..='7').contains(&c)) {
            return Err(wrong());
        }
        let id = ulid::Ulid::from_string(text)
            .map(Self)
            .map_err(|_| wrong())?;
        // The library reads I, L and O as digits; here one session has one spelling.
        if id.to_string().eq_ignore_ascii_case(text) {
            Ok(id)
        } else {
            Err(wrong())
        }
    }

    /// When the session began, in milliseconds since 1970.
    pub fn timestamp_ms(&self) -> u64 {
        self.0.timestamp_ms()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for SessionId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl serde::Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_take_nothing_that_acts() {
        for bad in [
            "",
            "../x",
            "$(id)",
            "a;b",
            "a b",
            "a\nb",
            "-x",
            ".x",
            "a/b",
            "ä",
            "\u{202e}a",
            &"a".repeat(65),
        ] {
            assert!(UserName::parse(bad).is_err(), "{bad:?}");
            assert!(GroupName::parse(bad).is_err(), "{bad:?}");
            assert!(LoginUser::parse(bad).is_err(), "{bad:?}");
        }
        assert!(UserName::parse("kim.lee@example.org").is_ok());
        assert!(LoginUser::parse("cloud-user").is_ok() && LoginUser::parse("Root").is_err());
        assert!(ProjectId::parse("a_b").is_err());
    }

    #[test]
    fn uuids_have_one_spelling() {
        let id = AmphoraId::parse("93B939B0-1C4E-4B8E-9D0C-0E1F6C1D2A3B").unwrap();
        assert_eq!(id.to_string(), "93b939b0-1c4e-4b8e-9d0c-0e1f6c1d2a3b");
        for bad in [
            "93b939b01c4e4b8e9d0c0e1f6c1d2a3b",
            "{93b939b0-1c4e-4b8e-9d0c-0e1f6c1d2a3b}",
            "93b939b0",
            "",
        ] {
            assert!(AmphoraId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn session_ids_sort_by_time_and_read_back() {
        let (a, b) = (
            SessionId::from_parts(1, u128::MAX),
            SessionId::from_parts(2, 0),
        );
        assert!(a < b && a.to_string() < b.to_string());
        assert_eq!(SessionId::parse(&a.to_string()), Ok(a));
        assert_eq!(a.timestamp_ms(), 1);
        for bad in [
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "0000000000000000000000000O",
            "../../../../../../../etc/p",
            "",
        ] {
            assert!(SessionId::parse(bad).is_err(), "{bad}");
        }
    }
}
