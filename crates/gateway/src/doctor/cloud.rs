//! In: [inventory.octavia]. Out: whether Keystone gives a token, Octavia allows what is asked, and the clocks agree.
//! Never: more than one request of each kind.

use std::time::Duration;

use ampgate_inventory::{CloudError, Examination, State, examine as ask, show_age};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::Check;
use crate::config::Config;
use crate::gateway::Gateway;

/// All requests together.
const PATIENCE: Duration = Duration::from_secs(120);
/// Certificates, tokens and one-time passwords stand half a minute; a minute apart, something is wrong with a clock.
const APART: i64 = 60;

/// What Octavia's operators may do about a refusal: least privilege, one way or the other.
const LEAST_PRIVILEGE: [&str; 14] = [
    "Either give the credential's user a role ampgate_reader, and let it read by these five lines in Octavia's policy.yaml (stock rules, with",
    "the role appended; append it to your own where you have changed them):",
    "  \"os_load-balancer_api:amphora:get_all\": \"rule:load-balancer:admin or role:ampgate_reader\"",
    "  \"os_load-balancer_api:amphora:get_one\": \"rule:load-balancer:admin or role:ampgate_reader\"",
    "  \"os_load-balancer_api:loadbalancer:get_all\": \"rule:load-balancer:read or role:ampgate_reader\"",
    "  \"os_load-balancer_api:loadbalancer:get_all-global\": \"rule:load-balancer:read-global or role:ampgate_reader\"",
    "  \"os_load-balancer_api:loadbalancer:get_one\": \"rule:load-balancer:read or role:ampgate_reader\"",
    "Or use an application credential with the role admin and these access rules (service load-balancer), no others:",
    "  GET /v2/octavia/amphorae",
    "  GET /v2/octavia/amphorae/*",
    "  GET /v2/lbaas/loadbalancers",
    "  GET /v2/lbaas/loadbalancers/*",
    "They need service_type = load-balancer in [keystone_authtoken] of Octavia. A list and its /* are two rules, and /v2.0 is not covered",
    "by /v2. A refusal by access rules looks like an expired token (401).",
];

pub async fn examine(gateway: &Gateway, config: &Config) -> Vec<Check> {
    let Some(settings) = &config.octavia else {
        let none = "no [inventory.octavia]: amphorae come from the file";
        return ["clock", "keystone", "octavia"]
            .map(|check| Check::skip(check, none))
            .into();
    };
    let mut checks = match tokio::time::timeout(PATIENCE, ask(settings)).await {
        Ok(found) => of(found),
        Err(_late) => vec![Check::fail(
            "keystone",
            format!("the cloud did not answer within {} s", PATIENCE.as_secs()),
        )],
    };
    checks.push(inventory(gateway).await);
    checks
}

fn of(found: Examination) -> Vec<Check> {
    let clock = match &found.date {
        Some(date) => clock(date, Timestamp::now()),
        None => Check::skip("clock", "Keystone says no time to compare with"),
    };
    let keystone = match &found.token {
        Ok(()) => Check::ok("keystone", "gives the gateway's credential a token"),
        Err(error) => Check::fail("keystone", error.to_string()),
    };
    vec![clock, keystone, octavia(&found)]
}

fn clock(date: &str, now: Timestamp) -> Check {
    let Ok(theirs) = rfc2822::parse(date) else {
        let said = format!("Keystone's Date cannot be read: {}", date.escape_debug());
        return Check::skip("clock", said);
    };
    let apart = now.as_second() - theirs.timestamp().as_second();
    match apart.abs() <= APART {
        true => Check::ok("clock", "agrees with Keystone's"),
        false => {
            let word = if apart > 0 { "ahead of" } else { "behind" };
            let said = format!(
                "{} s {word} Keystone's; the journal's times are evidence: look at NTP on both hosts",
                apart.abs()
            );
            Check::fail("clock", said)
        }
    }
}

fn octavia(found: &Examination) -> Check {
    if found.requests.is_empty() {
        return Check::skip("octavia", "without a token nothing can be asked");
    }
    let refused: Vec<_> = found
        .requests
        .iter()
        .filter_map(|(what, answer)| answer.as_ref().err().map(|error| (what, error)))
        .collect();
    let Some((_, first)) = refused.first() else {
        return Check::ok("octavia", "amphorae and load balancers may be read");
    };
    let whats: Vec<&str> = refused.iter().map(|(what, _)| **what).collect();
    let mut check = Check::fail("octavia", format!("{first} ({})", whats.join(", ")));
    let permission = |error: &&CloudError| matches!(error, CloudError::Permission { .. });
    if refused.iter().any(|(_, error)| permission(error)) {
        check.advice = LEAST_PRIVILEGE.map(str::to_owned).into();
    }
    check
}

async fn inventory(gateway: &Gateway) -> Check {
    let condition = gateway.rules().inventory.condition().await;
    let age = condition.age.map(show_age).unwrap_or_default();
    let said = format!("{} amphorae, {} {age}", condition.amphorae, condition.state);
    match (condition.state, condition.sentence) {
        (State::Down | State::Gone, Some(why)) => {
            Check::fail("inventory", format!("{said}; {why}"))
        }
        _ => Check::ok("inventory", said.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Verdict;
    use super::*;

    #[test]
    fn clocks_are_compared_by_what_keystone_says() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let verdict = |date: &str| clock(date, now).verdict;
        assert_eq!(verdict("Mon, 23 Nov 2026 10:00:45 GMT"), Verdict::Ok);
        assert_eq!(verdict("Mon, 23 Nov 2026 10:02:00 GMT"), Verdict::Fail);
        assert_eq!(verdict("Mon, 23 Nov 2026 09:58:00 GMT"), Verdict::Fail);
        assert_eq!(verdict("yesterday"), Verdict::Skip);
    }
}
