//! In: what an admin asks about host keys. Out: pins, with what file and console say beside them; or a pin forgotten.
//! Never: a pin forgotten without a reason in the journal, or said which of two keys is right.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ampgate_access::{Amphora, AmphoraId, HostKey, TargetName};
use ampgate_audit::{Event, Pin};
use ampgate_inventory::{Console, Resolution};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Answer, name_of};
use crate::gateway::Gateway;

/// Shorter than the patience of the socket.
const CONSOLE: Duration = Duration::from_secs(5);

/// One pin.
#[derive(Debug, Serialize, Deserialize)]
pub struct PinRow {
    /// As it is typed: amphora-<uuid>.
    pub target: String,
    /// None: no inventory knows the amphora any more.
    pub load_balancer: Option<String>,
    pub algorithm: String,
    pub fingerprint: String,
    pub host_key: String,
    pub how: String,
    pub pinned: Timestamp,
}

/// All that is known of one amphora's host key.
#[derive(Debug, Serialize, Deserialize)]
pub struct HostKeys {
    pub target: String,
    pub load_balancer: Option<String>,
    pub address: Option<String>,
    pub mode: String,
    pub pin: Option<PinRow>,
    /// The inventory file's: type and fingerprint.
    pub file: Option<String>,
    /// Those on its console in Nova, as of now.
    pub console: Vec<String>,
    /// Why there are none.
    pub console_says: Option<String>,
    /// Whether nothing of this contradicts anything else.
    pub agree: bool,
}

type Found = (AmphoraId, Option<Arc<Amphora>>);

/// All pins, in the order of the amphorae's ids.
pub async fn list(gateway: &Gateway) -> Answer {
    let inventory = Arc::clone(&gateway.rules().inventory);
    let mut rows = Vec::new();
    for pin in gateway.pins.all() {
        let amphora = match AmphoraId::parse(&pin.amphora) {
            Ok(id) => inventory.by_id(&id).await.ok().flatten(),
            Err(_) => None,
        };
        rows.push(row(pin, amphora.as_deref()));
    }
    Answer::Pins { rows }
}

fn row(pin: Pin, amphora: Option<&Amphora>) -> PinRow {
    PinRow {
        target: format!("amphora-{}", pin.amphora),
        load_balancer: amphora.map(|a| a.load_balancer.name.clone()),
        algorithm: pin.algorithm().to_owned(),
        fingerprint: pin.fingerprint,
        host_key: pin.host_key,
        how: pin.how,
        pinned: pin.time,
    }
}

/// Everything about one, Nova's console included, whatever the mode: an admin wants to know.
pub async fn show(gateway: &Gateway, target: &str) -> Answer {
    let (id, amphora) = match find(gateway, target).await {
        Ok(found) => found,
        Err(text) => return Answer::Error { text },
    };
    let pin = gateway.pins.get(&id.to_string());
    let file = amphora.as_ref().and_then(|a| a.host_key.clone());
    let asked = match (&gateway.octavia, &amphora) {
        (Some(live), Some(amphora)) => Some(live.console(amphora, CONSOLE).await),
        _ => None,
    };
    let doubtful = matches!(asked, Some(Console::Doubtful(_)));
    let (console, console_says) = match asked {
        Some(Console::Keys(keys)) => (keys, None),
        Some(Console::Doubtful(doubt)) => (Vec::new(), Some(doubt.to_string())),
        Some(Console::Silent(why)) => (Vec::new(), Some(why.to_string())),
        None => {
            let why = "not asked: it needs [inventory.octavia], and an amphora that is known";
            (Vec::new(), Some(why.to_owned()))
        }
    };
    let of_pin = pin.iter().map(|pin| pin.host_key.as_str());
    let named: Vec<&str> = of_pin.chain(file.iter().map(HostKey::as_openssh)).collect();
    let is_named = |key: &HostKey| named.iter().all(|named| *named == key.as_openssh());
    let agree = !doubtful
        && file.iter().all(is_named)
        && (console.is_empty() || named.is_empty() || console.iter().any(is_named));
    Answer::HostKeys(Box::new(HostKeys {
        target: format!("amphora-{id}"),
        load_balancer: amphora.as_ref().map(|a| a.load_balancer.name.clone()),
        address: amphora.as_ref().and_then(|a| Some(a.address?.to_string())),
        mode: gateway.config().hostkeys.mode.word().to_owned(),
        pin: pin.map(|pin| row(pin, amphora.as_deref())),
        file: file.map(|key| key.to_string()),
        console: console.iter().map(ToString::to_string).collect(),
        console_says,
        agree,
    }))
}

/// Takes a pin back.
pub async fn forget(gateway: &Gateway, uid: u32, target: &str, reason: &str) -> Answer {
    let error = |text: String| Answer::Error { text };
    let reason = reason.trim();
    if reason.is_empty() {
        return error("a pin is forgotten for a reason: --reason \"rebuilt, INC-1234\"".to_owned());
    }
    let (id, _) = match find(gateway, target).await {
        Ok(found) => found,
        Err(text) => return error(text),
    };
    let by = name_of(uid);
    let forgotten = gateway
        .pins
        .forget(&id.to_string(), &by, reason, Timestamp::now());
    let pin = match forgotten {
        Ok(Some(pin)) => pin,
        Ok(None) => {
            return error(format!(
                "amphora-{id} has no pin: its next connection makes one"
            ));
        }
        Err(fault) => return error(fault.to_string()),
    };
    tracing::warn!(amphora = %id, %by, pin = pin.fingerprint, "a host key's pin was forgotten");
    gateway.journal(
        None,
        Event::HostkeyForgotten {
            amphora: id.to_string().into(),
            host_key: pin.fingerprint.as_str().into(),
            how: pin.how.as_str().into(),
            uid,
            by: by.into(),
            reason: reason.into(),
        },
    );
    Answer::Done {
        text: format!(
            "amphora-{id}: the pin {} ({}) is forgotten; the next connection makes one, by mode {}",
            pin.fingerprint,
            pin.how,
            gateway.config().hostkeys.mode.word()
        ),
    }
}

/// The one amphora that is meant: also one that is gone, as long as it has a pin.
async fn find(gateway: &Gateway, target: &str) -> Result<Found, String> {
    let is_id = target.len() >= 8 && target.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let typed = match is_id {
        true => format!("amphora-{target}"),
        false => target.to_owned(),
    };
    let name = TargetName::parse(&typed).map_err(|error| error.to_string())?;
    let inventory = Arc::clone(&gateway.rules().inventory);
    let known = match inventory.resolve(&name).await {
        Ok(Resolution::One(amphora)) => vec![amphora],
        Ok(Resolution::Many(all) | Resolution::AskWhichIsActive(all)) => all,
        Ok(Resolution::None) | Err(_) => Vec::new(),
    };
    let beginning = match &name {
        TargetName::AmphoraId(id) => Some(id.to_string()),
        TargetName::AmphoraPrefix(prefix) => Some(prefix.clone()),
        _ => None,
    };
    let mut ids: BTreeSet<AmphoraId> = known.iter().map(|amphora| amphora.id).collect();
    if let Some(beginning) = beginning {
        let pinned = gateway.pins.all().into_iter().map(|pin| pin.amphora);
        let pinned = pinned.filter(|id| id.starts_with(&beginning));
        ids.extend(pinned.filter_map(|id| AmphoraId::parse(&id).ok()));
    }
    let shown: Vec<String> = ids.iter().map(|id| format!("amphora-{id}")).collect();
    match (ids.first(), shown.as_slice()) {
        (Some(id), [_]) => Ok((*id, known.into_iter().find(|amphora| amphora.id == *id))),
        (None, _) => Err(format!(
            "no amphora {} is known, nor has one a pin; `ampgate hostkeys list` shows all pins",
            target.escape_debug()
        )),
        (Some(_), several) => Err(format!(
            "{} means more than one: {}",
            target.escape_debug(),
            several.join(", ")
        )),
    }
}
