//! In: the name of a target. Out: each step of the way to each amphora that it means, up to the one that fails.
//! Never: a way of its own: it goes where a session would, and has the same words for what is wrong.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use ampgate_access::{Amphora, TargetName};
use ampgate_inventory::{Console, Resolution, Silence};
use futures_util::future::join_all;

use super::{Check, Verdict};
use crate::config::hostkeys::HostKeyMode;
use crate::control::Admin;
use crate::diagnosis::{self, Step};
use crate::gateway::Gateway;
use crate::sentence::Trouble;
use crate::upstream::{self, Heard, Proof};

/// Of a name that means more, so many are looked at.
const MOST: usize = 6;

pub async fn examine(gateway: &Gateway, admin: &Admin, target: &str) -> Vec<Check> {
    let name = match TargetName::parse(target) {
        Ok(name) => name,
        Err(error) => return vec![Check::fail("target", error.to_string())],
    };
    let found = gateway.rules().inventory.resolve(&name).await;
    let amphorae = match found {
        Ok(Resolution::One(amphora)) => vec![amphora],
        Ok(Resolution::Many(several) | Resolution::AskWhichIsActive(several)) => several,
        Ok(Resolution::None) => {
            let said = format!("the inventory knows no {name}; see `ampgate status` for its age");
            return vec![Check::fail("target", said)];
        }
        Err(error) => return vec![Check::fail("target", error.to_string())],
    };
    let names: Vec<String> = amphorae
        .iter()
        .map(|amphora| format!("amphora-{}", amphora.id))
        .collect();
    let mut checks = vec![Check::ok(
        "target",
        format!("{name} means {}", names.join(", ")),
    )];
    let each = amphorae
        .iter()
        .take(MOST)
        .map(|amphora| one(gateway, admin, amphora));
    checks.extend(join_all(each).await.into_iter().flatten());
    checks
}

/// Asks the amphora, as `.active` does, and tells how far that went.
async fn one(gateway: &Gateway, admin: &Admin, amphora: &Arc<Amphora>) -> Vec<Check> {
    let heard = upstream::ask(gateway, &Proof::Doctor(admin, amphora)).await;
    let failed = heard.as_ref().err().map(diagnosis::step);
    let check = |step: &Step| {
        let name = step.as_str();
        let mut check = match (&heard, failed) {
            (Err(trouble), Some(failed)) if failed == *step => {
                fail(gateway, amphora, name, trouble)
            }
            (_, Some(failed)) if failed < *step => Check::skip(name, "needs what failed before"),
            (heard, _) => Check::ok(name, seen(gateway, amphora, *step, heard.as_ref().ok())),
        };
        check.amphora = Some(amphora.id.to_string());
        check
    };
    let mut checks: Vec<Check> = Step::ALL.iter().map(check).collect();
    checks.push(console(gateway, amphora).await);
    checks
}

/// What its console in Nova says of its host keys, whether or not there is a pin.
async fn console(gateway: &Gateway, amphora: &Amphora) -> Check {
    const NAME: &str = "nova console";
    let config = gateway.config();
    let mut check = match &gateway.octavia {
        None => Check::skip(NAME, Silence::NotAsked.to_string()),
        Some(live) => match live.console(amphora, config.hostkeys.timeout).await {
            Console::Keys(keys) => Check::ok(NAME, format!("names {} host keys", keys.len())),
            Console::Doubtful(doubt) => Check::fail(NAME, doubt.to_string()),
            Console::Silent(why) if config.hostkeys.mode == HostKeyMode::Console => {
                Check::fail(NAME, why.to_string())
            }
            Console::Silent(why) => Check::skip(NAME, why.to_string()),
        },
    };
    check.amphora = Some(amphora.id.to_string());
    check
}

fn fail(gateway: &Gateway, amphora: &Amphora, name: &str, trouble: &Trouble) -> Check {
    let mut check = Check::new(name, Verdict::Fail, trouble.to_string());
    if diagnosis::step(trouble) == Step::Route {
        check.advice = vec![source(gateway, amphora)];
    }
    check
}

/// What there is to say about a step that is good.
fn seen(gateway: &Gateway, amphora: &Amphora, step: Step, heard: Option<&Heard>) -> String {
    let pin = || gateway.pins.get(&amphora.id.to_string());
    match step {
        Step::Address => {
            let status = amphora.standing().sentence.map(|said| format!("; {said}"));
            format!(
                "{}{}",
                upstream::shown_address(amphora),
                status.unwrap_or_default()
            )
        }
        Step::Route => source(gateway, amphora),
        Step::Connect => "port answers".to_owned(),
        Step::Ssh => "completes the SSH handshake".to_owned(),
        Step::HostKey => match (heard, pin()) {
            (Some(heard), Some(pin)) => format!("{} is the pin ({})", heard.host_key, pin.how),
            (_, Some(pin)) => format!("is the pin ({})", pin.how),
            _ => "is the pin".to_owned(),
        },
        Step::Signer => "answers".to_owned(),
        Step::Key => {
            let by = heard.map_or("one of the keys", |heard| heard.octavia_key.as_str());
            format!("{} logs in by {by}", amphora.login_user)
        }
        Step::Sudo => "root without a password".to_owned(),
        Step::Namespace => match (heard, amphora.load_balancer.vip) {
            (Some(heard), Some(vip)) => match heard.has_vip == Some(true) {
                true => format!("amphora-haproxy is there, and has the VIP {vip}"),
                false => format!("amphora-haproxy is there, and does not have the VIP {vip}"),
            },
            _ => "amphora-haproxy is there".to_owned(),
        },
    }
}

/// Where this host would begin a connection to the amphora. Sends nothing.
fn source(gateway: &Gateway, amphora: &Amphora) -> String {
    let config = gateway.config();
    if let Some(via) = config
        .reach_of(amphora)
        .and_then(|reach| reach.via.as_ref())
    {
        return format!("[[reach]]: through {via}");
    }
    let Some(address) = amphora.address else {
        return "there is no address to find a route to".to_owned();
    };
    let any: SocketAddr = match address.0.is_ipv4() {
        true => (Ipv4Addr::UNSPECIFIED, 0).into(),
        false => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let route = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(address.0)?;
        socket.local_addr()
    });
    match route {
        Ok(from) => format!("this host routes {} from {}", address.0.ip(), from.ip()),
        Err(error) => format!("this host has no route to {}: {error}", address.0.ip()),
    }
}
