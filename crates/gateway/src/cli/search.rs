//! In: a text, and in whose sessions. Out: what `ampgate-replay search` finds in the recordings, with its exit status.
//! Never: opens a recording, and never asks the gateway to: who may read the store finds, and nobody else.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow};
use clap::Args;
use jiff::Timestamp;

use super::{Outcome, load_config};

/// The auditor's program, which draws recordings.
const PROGRAM: &str = "ampgate-replay";

/// What only a search takes.
#[derive(Args)]
pub struct Text {
    /// Look into the recordings: only where this text was on the screen, or in a command, by "ampgate-replay search".
    #[arg(long, conflicts_with_all = ["live", "limit"])]
    text: Option<String>,
    /// With --text: only in this session, by its id or its beginning.
    #[arg(long, value_name = "ID", requires = "text")]
    session: Option<String>,
    /// With --text: your age identity, for sealed recordings. (May be given several times.)
    #[arg(long = "identity", value_name = "FILE", requires = "text")]
    identities: Vec<PathBuf>,
}

/// What every list of sessions takes.
pub struct Filter {
    pub user: Option<String>,
    pub lb: Option<String>,
    pub amphora: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub json: bool,
}

impl Text {
    pub fn is_asked(&self) -> bool {
        self.text.is_some()
    }

    /// Becomes the auditor's program; comes back only where that cannot be.
    pub fn run(self, filter: Filter, config: &Path) -> Outcome {
        let store = load_config(config)?.recording.directory;
        std::fs::read_dir(&store).with_context(|| {
            format!(
                "the recordings in {} cannot be read by you; search as root or as the gateway's user, or have your own copy and run \"{PROGRAM} search\" there",
                store.display()
            )
        })?;
        let program = beside().unwrap_or_else(|| PathBuf::from(PROGRAM));
        let fault = Command::new(&program)
            .args(self.arguments(filter, &store))
            .exec();
        let said = match fault.kind() {
            std::io::ErrorKind::NotFound => anyhow!(
                "{PROGRAM}, which searches recordings, is neither beside ampgate nor in PATH; install it, or search on an auditor's machine that has both it and the recordings"
            ),
            _ => anyhow!("{} cannot be run: {fault}", program.display()),
        };
        Err(said.into())
    }

    fn arguments(self, filter: Filter, store: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["search".into()];
        let mut add = |option: &str, value: Option<OsString>| {
            if let Some(value) = value {
                // One word, so that no value is taken for an option.
                let mut word = OsString::from(option);
                word.push("=");
                word.push(value);
                arguments.push(word);
            }
        };
        // Already read here: "2h" is not two hours before another moment, and a fault is told before anything is searched.
        let moment = |time: Option<Timestamp>| time.map(|time| time.to_string().into());
        add("--user", filter.user.map(Into::into));
        add("--lb", filter.lb.map(Into::into));
        add("--amphora", filter.amphora.map(Into::into));
        add("--session", self.session.map(Into::into));
        add("--since", moment(filter.since));
        add("--until", moment(filter.until));
        for file in self.identities {
            add("--identity", Some(file.into()));
        }
        if filter.json {
            arguments.push("--json".into());
        }
        // A text may begin with a dash.
        let text = self.text.unwrap_or_default();
        arguments.extend(["--".into(), text.into(), store.into()]);
        arguments
    }
}

/// The one that was installed with this program.
fn beside() -> Option<PathBuf> {
    let here = std::env::current_exe().ok()?;
    Some(here.parent()?.join(PROGRAM)).filter(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_filter_is_handed_on() {
        let text = Text {
            text: Some("--dash".to_owned()),
            session: Some("01M8".to_owned()),
            identities: vec!["a.age".into(), "b.age".into()],
        };
        let filter = Filter {
            user: Some("-u".to_owned()),
            lb: Some("web".to_owned()),
            amphora: Some("93b9".to_owned()),
            since: Some("2026-11-01T00:00:00Z".parse().unwrap()),
            until: Some("2026-11-02T00:00:00Z".parse().unwrap()),
            json: true,
        };
        let given = text.arguments(filter, Path::new("/store"));
        let given: Vec<_> = given.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(
            given.join(" "),
            "search --user=-u --lb=web --amphora=93b9 --session=01M8 --since=2026-11-01T00:00:00Z --until=2026-11-02T00:00:00Z --identity=a.age --identity=b.age --json -- --dash /store"
        );
    }
}
