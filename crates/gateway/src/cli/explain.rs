//! In: a user, a target, a landing, an action. Out: yes or no and the rules that say so, from the files as they are now.
//! Never: a grant; and never the running gateway's opinion, but the one it would have after a reload.
#![allow(clippy::print_stdout, reason = "a command line talks on stdout")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use ampgate_access::{Action, Amphora, Circumstances, Landing, Reach, TargetName, User, UserName};
use ampgate_inventory::Resolution;
use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;

use super::{Failure, Json, Outcome, load, print_json, table};
use crate::rules::Rules;

/// Under which circumstances to ask.
#[derive(Args)]
struct Asking {
    /// As if the user came from this address.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    from: IpAddr,
    /// As if it were this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// As if the user had given this reason.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    json: Json,
}

impl Asking {
    fn circumstances(&self) -> Circumstances {
        Circumstances {
            now: self.at.unwrap_or_else(Timestamp::now),
            reason: self.reason.clone(),
        }
    }
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ampgate explain alice amphora-93b939b0-1c1d-4a5e-9d2c-1f0a5a3a9a10\n  ampgate explain alice lb-shop-web.master root\n  ampgate explain alice amphora-93b939b0 netns exec --from 198.51.100.7 --at 2026-12-24T03:00:00Z\n\nExit status 0 for yes, 1 for no."
)]
pub struct Explain {
    user: String,
    target: String,
    /// plain, root or netns (default: plain).
    landing: Option<Landing>,
    /// connect, shell, exec, sftp or forward.
    #[arg(default_value = "shell")]
    action: Action,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
#[command(after_help = "Example:\n  ampgate who-can lb-shop-web")]
pub struct WhoCan {
    target: String,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
#[command(after_help = "Example:\n  ampgate what-can alice")]
pub struct WhatCan {
    user: String,
    #[command(flatten)]
    asking: Asking,
}

impl Explain {
    pub fn run(self, config: &Path) -> Outcome {
        let rules = load(config)?.with_last_known();
        let user = user(&rules, &self.user)?;
        let circumstances = self.asking.circumstances();
        let subject = user.subject(self.asking.from);
        let mut allowed = true;
        let mut answers = Vec::new();
        for amphora in amphorae(&rules, &self.target)? {
            let landing = self.landing.unwrap_or(Landing::Plain);
            let answer =
                rules
                    .policy
                    .explain(&subject, &amphora, landing, self.action, &circumstances);
            allowed &= answer.allowed;
            if self.asking.json.json {
                answers.push(serde_json::json!({"amphora": amphora.id.to_string(), "landing": landing, "action": self.action.as_str(), "answer": answer}));
                continue;
            }
            println!(
                "{} on amphora-{} ({}), {landing} {}: {answer}",
                user.name(),
                amphora.id,
                amphora.load_balancer.name.escape_debug(),
                self.action
            );
        }
        if let Some(refusal) = user.refusal(circumstances.now) {
            allowed = false;
            if !self.asking.json.json {
                println!("but {} cannot log in: {refusal}", user.name());
            }
        }
        if self.asking.json.json {
            print_json(&answers)?;
        }
        if allowed {
            Ok(())
        } else {
            Err(Failure::Status(1))
        }
    }
}

impl WhoCan {
    pub fn run(self, config: &Path) -> Outcome {
        let rules = load(config)?.with_last_known();
        let circumstances = self.asking.circumstances();
        let mut found = Vec::new();
        for amphora in amphorae(&rules, &self.target)? {
            found.extend(rules.policy.who_can(
                &rules.users,
                &amphora,
                self.asking.from,
                &circumstances,
            ));
        }
        show(&found, &self.asking.json)
    }
}

impl WhatCan {
    pub fn run(self, config: &Path) -> Outcome {
        let rules = load(config)?.with_last_known();
        let all = asked(rules.inventory.all())?;
        let found = rules.policy.what_can(
            user(&rules, &self.user)?,
            &all,
            self.asking.from,
            &self.asking.circumstances(),
        );
        show(&found, &self.asking.json)
    }
}

fn show(found: &[Reach], json: &Json) -> Outcome {
    let rows = |reach: &Reach| -> Vec<[String; 5]> {
        let one = |(landing, actions): &(Landing, Vec<Action>)| {
            let actions: Vec<&str> = actions.iter().map(|a| a.as_str()).collect();
            [
                reach.user.to_string(),
                format!("amphora-{}", reach.amphora.id),
                reach.amphora.load_balancer.name.clone(),
                landing.to_string(),
                actions.join(" "),
            ]
        };
        reach.landings.iter().map(one).collect()
    };
    let all: Vec<[String; 5]> = found.iter().flat_map(rows).collect();
    if json.json {
        let objects: Vec<_> = all.iter().map(|[user, target, load_balancer, landing, actions]| serde_json::json!({"user": user, "target": target, "load_balancer": load_balancer, "landing": landing, "actions": actions.split(' ').collect::<Vec<_>>()})).collect();
        return print_json(&objects);
    }
    if all.is_empty() {
        println!("nobody and nothing: no rule permits it");
        return Ok(());
    }
    let mut lines = vec![
        ["USER", "TARGET", "LOAD BALANCER", "LANDING", "ACTIONS"]
            .map(str::to_owned)
            .to_vec(),
    ];
    lines.extend(all.into_iter().map(Vec::from));
    table(&lines)?;
    Ok(())
}

fn user<'r>(rules: &'r Rules, name: &str) -> anyhow::Result<&'r User> {
    let parsed = UserName::parse(name).with_context(|| format!("{name:?} is no user name"))?;
    rules
        .users
        .get(&parsed)
        .with_context(|| format!("there is no user {name} in the users file"))
}

fn amphorae(rules: &Rules, target: &str) -> anyhow::Result<Vec<Arc<Amphora>>> {
    let name =
        TargetName::parse(target).with_context(|| format!("{target:?} is no target name"))?;
    match asked(rules.inventory.resolve(&name))? {
        Resolution::One(amphora) => Ok(vec![amphora]),
        Resolution::Many(amphorae) | Resolution::AskWhichIsActive(amphorae) => Ok(amphorae),
        Resolution::None => bail!("the inventory knows no {target}"),
    }
}

/// The inventory's answers may come over a network; a command line waits for them.
fn asked<T, E: std::error::Error + Send + Sync + 'static>(
    answer: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(answer)?)
}
