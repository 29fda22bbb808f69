//! In: a user, a target, a landing, an action. Out: yes or no and the rules that say so, from the files as they are now.
//! Never: a grant; and never the running gateway's opinion, but the one it would have after a reload.
#![allow(clippy::print_stdout, reason = "a command line talks on stdout")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use ampgate_access::{
    Action, Amphora, Circumstances, GroupName, KeystoneUser, Landing, Method, ProjectId, Reach,
    Subject, TargetName, Transfer, UserName,
};
use ampgate_inventory::Resolution;
use anyhow::{Context as _, anyhow, bail};
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
            transfers: Vec::new(),
        }
    }
}

/// About whom.
#[derive(Args)]
struct Whom {
    user: String,
    /// As if Keystone had let the user in, who is in this group there. (May be given several times.)
    #[arg(long = "group", value_name = "NAME", value_parser = GroupName::of_keystone)]
    groups: Vec<GroupName>,
    /// As if Keystone had let the user in, who has these roles in this project.
    #[arg(long = "project", value_name = "ID[:ROLE,…]", value_parser = project)]
    projects: Vec<(ProjectId, BTreeSet<String>)>,
    /// As if a one-time code had been asked for as well.
    #[arg(long)]
    totp: bool,
}

fn project(text: &str) -> Result<(ProjectId, BTreeSet<String>), String> {
    let (id, roles) = text.split_once(':').unwrap_or((text, ""));
    let roles = roles.split(',').filter(|role| !role.is_empty());
    let id = ProjectId::parse(id).map_err(|error| error.to_string())?;
    Ok((id, roles.map(str::to_owned).collect()))
}

impl Whom {
    /// The person of the file, or of Keystone, and why they could not log in if so.
    fn subject(&self, rules: &Rules, asking: &Asking) -> anyhow::Result<(Subject, Option<String>)> {
        let name = UserName::parse(&self.user)
            .with_context(|| format!("{:?} is no user name", self.user))?;
        let local = rules.users.get(&name);
        if self.groups.is_empty() && self.projects.is_empty() && !self.totp {
            let user = local.with_context(|| {
                format!("there is no user {name} in the users file; of somebody whom only Keystone knows, say --project and --group")
            })?;
            let refusal = user.refusal(asking.circumstances().now);
            return Ok((user.subject(asking.from), refusal.map(|r| r.to_string())));
        }
        let who = KeystoneUser {
            id: String::new(),
            name,
            groups: self.groups.iter().cloned().collect(),
            projects: self.projects.iter().cloned().collect(),
        };
        let method = match self.totp {
            true => Method::PasswordTotp,
            false => Method::Password,
        };
        let now = asking.circumstances().now;
        let principal = rules
            .users
            .authenticate_keystone(&who, method, asking.from, now);
        let principal =
            principal.with_context(|| format!("{} cannot log in by Keystone", who.name))?;
        Ok((principal.subject().clone(), None))
    }
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ampgate explain erin lb-shop-web root --project 8a1f0c2d4e6b4f0f9a7c5d3e1b2a4c6e:member --totp\n  ampgate explain alice amphora-93b939b0-1c1d-4a5e-9d2c-1f0a5a3a9a10\n  ampgate explain alice lb-shop-web.master root\n  ampgate explain alice amphora-93b939b0 netns exec --from 198.51.100.7 --at 2026-12-24T03:00:00Z\n  ampgate explain ada lb-shop-web root watch\n  ampgate explain alice lb-shop-web root sftp --operation read --path /var/lib/octavia/certs\n  ampgate explain alice lb-shop-web root break-glass --reason \"INC-1 disk full\"\n  ampgate explain bob lb-shop-web plain exec --transfer rsync\n\nExit status 0 for yes, 1 for no."
)]
pub struct Explain {
    #[command(flatten)]
    whom: Whom,
    target: String,
    /// plain, root or netns (default: plain).
    landing: Option<Landing>,
    /// connect, shell, exec, sftp, forward or break-glass; or, about other people's sessions in that landing: watch, replay or kill.
    #[arg(default_value = "shell")]
    action: Action,
    /// About one file, within sftp: read, write, list or delete.
    #[arg(long, requires = "path", value_parser = operation)]
    operation: Option<Action>,
    /// Which file: an absolute path on the amphora, without symbolic links.
    #[arg(long, requires = "operation", value_parser = absolute)]
    path: Option<String>,
    /// About exec: as if the command were this tool's, scp (scp -O) or rsync. (May be given twice.)
    #[arg(long = "transfer", value_name = "TOOL", conflicts_with = "operation")]
    transfers: Vec<Transfer>,
    #[command(flatten)]
    asking: Asking,
}

fn operation(word: &str) -> Result<Action, String> {
    Action::OF_FILES
        .into_iter()
        .find(|action| action.as_str() == word)
        .ok_or_else(|| "an operation is read, write, list or delete".to_owned())
}

/// The gateway decides about paths without `.` and `..`; an answer about another one would be about nothing.
fn absolute(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err("write the whole path, from / on".to_owned());
    }
    let plain = ampgate_transfer::absolute(b"/", path.as_bytes());
    Ok(String::from_utf8_lossy(&plain).into_owned())
}

#[derive(Args)]
#[command(after_help = "Example:\n  ampgate who-can lb-shop-web")]
pub struct WhoCan {
    target: String,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  ampgate what-can alice\n  ampgate what-can frank --group netops --project 8a1f0c2d4e6b4f0f9a7c5d3e1b2a4c6e:reader"
)]
pub struct WhatCan {
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    asking: Asking,
}

impl Explain {
    pub fn run(self, config: &Path) -> Outcome {
        let rules = load(config)?.with_last_known();
        let circumstances = Circumstances {
            transfers: self.transfers,
            ..self.asking.circumstances()
        };
        if !circumstances.transfers.is_empty() && self.action != Action::Exec {
            return Err(anyhow!(
                "--transfer is about exec: say exec behind the landing (sftp is an action of its own)"
            )
            .into());
        }
        let (subject, refusal) = self.whom.subject(&rules, &self.asking)?;
        let mut allowed = true;
        let mut answers = Vec::new();
        for amphora in amphorae(&rules, &self.target)? {
            let landing = self.landing.unwrap_or(Landing::Plain);
            let tools: Vec<&str> = circumstances.transfers.iter().map(|t| t.as_str()).collect();
            let (policy, file) = (&rules.policy, self.operation.zip(self.path.as_deref()));
            let answer = match file {
                Some((operation, path)) => policy.explain_file(
                    &subject,
                    &amphora,
                    landing,
                    operation,
                    path,
                    &circumstances,
                ),
                None => policy.explain(&subject, &amphora, landing, self.action, &circumstances),
            };
            let action = self.operation.unwrap_or(self.action);
            allowed &= answer.allowed;
            if self.asking.json.json {
                answers.push(serde_json::json!({"amphora": amphora.id.to_string(), "landing": landing, "action": action.as_str(), "path": self.path, "transfers": tools, "answer": answer}));
                continue;
            }
            println!(
                "{} on amphora-{} ({}), {landing} {action}{}{}: {answer}",
                subject.name,
                amphora.id,
                amphora.load_balancer.name.escape_debug(),
                file.map(|(_, path)| format!(" {}", path.escape_debug()))
                    .unwrap_or_default(),
                match tools.is_empty() {
                    true => String::new(),
                    false => format!(" of {}", tools.join(" and ")),
                },
            );
        }
        if let Some(refusal) = refusal {
            allowed = false;
            if !self.asking.json.json {
                println!("but {} cannot log in: {refusal}", subject.name);
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
        let (subject, refusal) = self.whom.subject(&rules, &self.asking)?;
        if let Some(refusal) = refusal {
            return Err(anyhow!("{} cannot log in: {refusal}", subject.name).into());
        }
        let circumstances = self.asking.circumstances();
        show(
            &rules.policy.what_can(&subject, &all, &circumstances),
            &self.asking.json,
        )
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
