//! In: the section [anchor]. Out: where the journal's signed head is left, so that its end cannot be cut off unseen.
//! Never: a place that only the gateway's own user can vouch for is called safe: that is for the deployer to choose.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ampgate_access::table::Table;

use super::units::{duration, show_duration};

/// Where anchors go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anchors {
    pub every: Duration,
    /// Appended to, a line each.
    pub file: Option<PathBuf>,
    /// A syslog daemon's socket.
    pub syslog: Option<PathBuf>,
    pub https: Option<String>,
    /// Certificate authorities for `https`.
    pub ca_file: Option<PathBuf>,
}

/// Reads the section.
pub fn read(s: Table<'_, '_>, base: &Path) -> Option<Anchors> {
    let there = |key| s.string(key).map(|at| base.join(at.value));
    let https = s.parsed_if_there("https", |text: &str| match text.starts_with("https://") {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no https:// address")),
    });
    let anchors = Anchors {
        every: duration(
            &s,
            "every",
            Duration::from_secs(60),
            Duration::from_secs(1)..=Duration::from_secs(86_400),
        ),
        file: there("file"),
        syslog: there("syslog"),
        https,
        ca_file: there("ca_file"),
    };
    if anchors.file.is_none() && anchors.syslog.is_none() && anchors.https.is_none() {
        s.fault(
            s.span(),
            "[anchor] leaves anchors nowhere: give `file`, `syslog` or `https`",
        );
    }
    s.end();
    Some(anchors)
}

/// The section as it is in force.
pub fn show(anchors: &Anchors, out: &mut String) {
    let _ = writeln!(
        out,
        "\n[anchor]\nevery = {:?}",
        show_duration(anchors.every)
    );
    for (key, path) in [
        ("file", &anchors.file),
        ("syslog", &anchors.syslog),
        ("ca_file", &anchors.ca_file),
    ] {
        if let Some(path) = path {
            let _ = writeln!(out, "{key} = {:?}", path.display().to_string());
        }
    }
    if let Some(url) = &anchors.https {
        let _ = writeln!(out, "https = {url:?}");
    }
}
