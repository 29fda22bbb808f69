//! In: an amphora about to be called. Out: which host keys it may show, and once it has shown one, the pin of it, on disk.
//! Never: asks Nova where there is a pin, lets one source overrule another, or takes a doubtful source for none.

use std::net::SocketAddr;

use ampgate_access::{Amphora, HostKey};
use ampgate_audit::{AuditError, Event, Pin, PinVerdict};
use ampgate_inventory::{Console, Silence};
use jiff::Timestamp;
use russh::keys::ssh_key::PublicKey;

use crate::config::hostkeys::HostKeyMode;
use crate::gateway::Gateway;
use crate::outer::fingerprint;
use crate::sentence::Trouble;

/// The host keys that an amphora may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// One of these.
    OneOf {
        source: Source,
        keys: Vec<PublicKey>,
    },
    /// Whatever it shows becomes its pin. With what the console said, where it was asked.
    FirstContact(Option<Silence>),
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Pin,
    Static,
    Console,
}

/// Why no key is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refused {
    /// It contradicts itself; the word and the sentence.
    Disputed(&'static str, String),
    /// Nobody vouches for any, and a first contact is not allowed.
    Unknown(String),
}

impl Source {
    fn word(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Static => "static",
            Self::Console => "console",
        }
    }

    fn named(self) -> &'static str {
        match self {
            Self::Pin => "its pin",
            Self::Static => "the inventory file",
            Self::Console => "its console in Nova",
        }
    }
}

impl Expected {
    /// Whether it may show this key. russh has verified the signature with it.
    pub fn accepts(&self, shown: &PublicKey) -> bool {
        match self {
            Self::FirstContact(_) => true,
            Self::OneOf { keys, .. } => keys.iter().any(|key| key.key_data() == shown.key_data()),
        }
    }

    /// The keys whose algorithms are asked for; none: all that are safe.
    pub fn keys(&self) -> &[PublicKey] {
        match self {
            Self::FirstContact(_) => &[],
            Self::OneOf { keys, .. } => keys,
        }
    }
}

/// The host keys that this amphora may show. Asks Nova's console only where there is no pin, and for no longer than
/// `[hostkeys] timeout`.
///
/// # Errors
/// What is known contradicts itself, or nothing is known and the mode asks for more.
pub async fn expected(gateway: &Gateway, amphora: &Amphora) -> Result<Expected, Trouble> {
    let mode = gateway.config().hostkeys.mode;
    let fixed = amphora.host_key.as_ref();
    let weighed = match gateway.pins.get(&amphora.id.to_string()) {
        Some(pin) => with_pin(mode, &pin, fixed),
        None => weigh(mode, fixed, console(gateway, amphora).await),
    };
    weighed.map_err(|refused| match refused {
        Refused::Unknown(why) => Trouble::HostKeyUnknown {
            amphora: amphora.id,
            why,
        },
        Refused::Disputed(dispute, why) => {
            tracing::error!(amphora = %amphora.id, dispute, "host keys contradict each other: {why}");
            gateway.journal(
                None,
                Event::HostkeyDisputed {
                    amphora: amphora.id.to_string().into(),
                    dispute: dispute.into(),
                    detail: why.as_str().into(),
                },
            );
            Trouble::HostKeyDisputed {
                amphora: amphora.id,
                why,
            }
        }
    })
}

async fn console(gateway: &Gateway, amphora: &Amphora) -> Option<Console> {
    let config = gateway.config();
    match (config.hostkeys.mode.asks_console(), &gateway.octavia) {
        (false, _) => None,
        (true, None) => Some(Console::Silent(Silence::NotAsked)),
        (true, Some(live)) => Some(live.console(amphora, config.hostkeys.timeout).await),
    }
}

fn with_pin(mode: HostKeyMode, pin: &Pin, fixed: Option<&HostKey>) -> Result<Expected, Refused> {
    match fixed {
        Some(fixed) if fixed.as_openssh() != pin.host_key => {
            return Err(Refused::Disputed(
                "static-and-pin",
                format!(
                    "its pin is {} {}, but the inventory file says {fixed}: correct `host_key` there, or `ampgate hostkeys forget` the pin",
                    pin.algorithm(),
                    pin.fingerprint
                ),
            ));
        }
        None if mode == HostKeyMode::Static => return Err(nothing_written()),
        _ => {}
    }
    one_of(Source::Pin, [pin.host_key.as_str()])
}

/// What the file and the console say, where there is no pin.
fn weigh(
    mode: HostKeyMode,
    fixed: Option<&HostKey>,
    console: Option<Console>,
) -> Result<Expected, Refused> {
    match (fixed, console) {
        (_, Some(Console::Doubtful(doubt))) => {
            Err(Refused::Disputed(doubt.code(), doubt.to_string()))
        }
        (Some(fixed), Some(Console::Keys(keys))) if !keys.contains(fixed) => {
            Err(Refused::Disputed(
                "static-and-console",
                format!(
                    "the inventory file says {fixed}, but its console in Nova says {}",
                    list(&keys)
                ),
            ))
        }
        // The file's word is an admin's: it stands without a console too.
        (Some(fixed), _) => one_of(Source::Static, [fixed.as_openssh()]),
        (None, Some(Console::Keys(keys))) => {
            one_of(Source::Console, keys.iter().map(HostKey::as_openssh))
        }
        (None, Some(Console::Silent(why))) if mode == HostKeyMode::Console => {
            Err(Refused::Unknown(format!(
                "{why}; write its key into the inventory file (host_key), or see the admin's page for [hostkeys] mode"
            )))
        }
        (None, Some(Console::Silent(why))) => Ok(Expected::FirstContact(Some(why))),
        (None, None) if mode == HostKeyMode::Static => Err(nothing_written()),
        (None, None) => Ok(Expected::FirstContact(None)),
    }
}

fn nothing_written() -> Refused {
    Refused::Unknown(
        "by [hostkeys] mode = \"static\" only keys in the inventory file count, and it has none for this amphora: write host_key = \"ssh-ed25519 AAAA…\" there"
            .to_owned(),
    )
}

fn one_of<'k>(
    source: Source,
    keys: impl IntoIterator<Item = &'k str>,
) -> Result<Expected, Refused> {
    let keys = keys.into_iter().map(PublicKey::from_openssh);
    match keys.collect::<Result<Vec<_>, _>>() {
        Ok(keys) if !keys.is_empty() => Ok(Expected::OneOf { source, keys }),
        // A key that cannot be read is not the same as none.
        _ => Err(Refused::Unknown(format!(
            "{} has no key that can be read",
            source.named()
        ))),
    }
}

fn list(keys: &[HostKey]) -> String {
    let shown: Vec<String> = keys.iter().map(ToString::to_string).collect();
    shown.join(", ")
}

/// The key that was shown becomes the pin, durably, before it is relied on. An amphora id never changes its pin; an
/// address may serve another amphora tomorrow.
///
/// # Errors
/// Another key was pinned meanwhile, or the pin cannot be written.
pub fn settle(
    gateway: &Gateway,
    amphora: &Amphora,
    address: SocketAddr,
    expected: &Expected,
    shown: &PublicKey,
) -> Result<(), Trouble> {
    let unwritable = |why: String| Trouble::Recorder {
        told: "the pin of its host key could not be written",
        detail: why,
    };
    let failed = |error: AuditError| unwritable(error.to_string());
    let text = shown.to_openssh().map_err(|e| unwritable(e.to_string()))?;
    let id = amphora.id.to_string();
    let how = match expected {
        Expected::FirstContact(_) => "first-contact",
        Expected::OneOf { source, .. } => source.word(),
    };
    match gateway.pins.check(&id, &text).map_err(failed)? {
        PinVerdict::Match => return Ok(()),
        PinVerdict::Changed { pinned, .. } => {
            return Err(refused(
                gateway,
                amphora,
                address,
                (Source::Pin, pinned),
                Some(shown),
            ));
        }
        PinVerdict::FirstContact => {}
    }
    let now = Timestamp::now();
    gateway.pins.pin(&id, &text, how, now).map_err(failed)?;
    gateway.journal(
        None,
        Event::HostkeyPinned {
            amphora: id.into(),
            address: address.to_string().into(),
            host_key: fingerprint(shown).into(),
            algorithm: shown.algorithm().as_str().into(),
            how: how.into(),
            console: match expected {
                Expected::FirstContact(Some(why)) => Some(why.to_string().into()),
                _ => None,
            },
        },
    );
    Ok(())
}

/// It showed another key than it is known by, or has none of that type.
pub fn other_key(
    gateway: &Gateway,
    amphora: &Amphora,
    address: SocketAddr,
    expected: &Expected,
    shown: Option<&PublicKey>,
) -> Trouble {
    let known = match expected {
        Expected::OneOf { source, keys } => {
            let prints: Vec<String> = keys.iter().map(fingerprint).collect();
            (*source, prints.join(", "))
        }
        // Whatever is shown is accepted then, so nothing comes here.
        Expected::FirstContact(_) => (Source::Pin, String::new()),
    };
    refused(gateway, amphora, address, known, shown)
}

fn refused(
    gateway: &Gateway,
    amphora: &Amphora,
    address: SocketAddr,
    (source, known): (Source, String),
    shown: Option<&PublicKey>,
) -> Trouble {
    let offered = shown.map(fingerprint).unwrap_or_default();
    tracing::error!(amphora = %amphora.id, %address, source = source.word(), %known, %offered, "another host key: refused");
    gateway.journal(
        None,
        Event::HostkeyRefused {
            amphora: amphora.id.to_string().into(),
            address: address.to_string().into(),
            source: source.word().into(),
            pinned: known.as_str().into(),
            offered: offered.as_str().into(),
        },
    );
    let offered = match shown {
        Some(_) => offered,
        None => "of another kind".to_owned(),
    };
    match source {
        Source::Pin => Trouble::HostKeyChanged {
            amphora: amphora.id,
            address,
            pinned: known,
            offered,
        },
        Source::Static | Source::Console => Trouble::HostKeyMismatch {
            amphora: amphora.id,
            address,
            by: source.named(),
            known,
            offered,
        },
    }
}

#[cfg(test)]
#[path = "hostkey_tests.rs"]
mod tests;
