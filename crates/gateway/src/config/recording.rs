//! In: the section [recording]. Out: where recordings go, whom they are sealed to, how long anything may wait for them.
//! Never: an auditor's private key.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ampgate_access::table::Table;
use ampgate_recording::Recipients;

use super::units::{duration, path, show_duration, show_size, size, size_within};

/// What of the operator's input is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// Counted, not kept: passwords are typed there.
    Never,
    /// Kept where there is no terminal: scripts piped into a shell, uploads.
    WithoutPty,
    /// That, and on a terminal the lines that it echoes: not what is typed unseen, as passwords are.
    Echoed,
}

impl Input {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "without-pty" => Ok(Self::WithoutPty),
            "echoed" => Ok(Self::Echoed),
            _ => Err(format!(
                "\"{text}\" is none of \"never\", \"without-pty\", \"echoed\""
            )),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::WithoutPty => "without-pty",
            Self::Echoed => "echoed",
        }
    }

    /// Whether the input of a channel without a terminal is kept.
    #[must_use]
    pub fn keeps_streams(self) -> bool {
        self != Self::Never
    }

    /// Whether what is typed on a terminal is kept as far as it echoes.
    #[must_use]
    pub fn keeps_what_echoes(self) -> bool {
        self == Self::Echoed
    }
}

/// Where recordings go and how long anything may wait for them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    pub directory: PathBuf,
    /// Free bytes below which new sessions are refused.
    pub reserve: u64,
    /// Free bytes below which there is an alarm.
    pub low_space: u64,
    /// Free bytes below which not even break-glass begins a session.
    pub break_glass_reserve: u64,
    /// A session whose recording passes this many bytes ends with a sentence.
    pub max_size: u64,
    /// Of one transferred file at most this many bytes are kept, where policy asks for them.
    pub keep_file: u64,
    /// Of all files of a session.
    pub keep_session: u64,
    pub input: Input,
    /// How long a disk or the signer may make a session wait before it ends.
    pub deadline: Duration,
    /// Whom new recordings are sealed to; without anybody they are plain.
    pub recipients: Option<Arc<Recipients>>,
}

/// Reads the section.
pub fn read(s: Table<'_, '_>, base: &Path) -> Recording {
    let reserve = size(&s, "reserve", 512 << 20);
    let value = Recording {
        directory: path(&s, "directory", "recordings", base),
        reserve,
        low_space: size_within(
            &s,
            "low_space",
            reserve.saturating_mul(2),
            reserve..=u64::MAX,
        ),
        break_glass_reserve: size_within(
            &s,
            "break_glass_reserve",
            reserve.min(64 << 20),
            0..=reserve,
        ),
        max_size: size(&s, "max_size", 64 << 30),
        keep_file: size(&s, "keep_file", 16 << 20),
        keep_session: size(&s, "keep_session", 256 << 20),
        input: s
            .parsed_if_there("input", Input::parse)
            .unwrap_or(Input::Never),
        deadline: duration(
            &s,
            "deadline",
            Duration::from_secs(20),
            Duration::from_secs(1)..=Duration::from_secs(600),
        ),
        recipients: recipients(&s).map(Arc::new),
    };
    s.end();
    value
}

fn recipients(s: &Table<'_, '_>) -> Option<Recipients> {
    let keys = s.strings("recipients");
    let needed = s.integer("recipients_needed", 1, 64);
    if keys.is_empty() {
        // An empty list is somebody who thinks that recordings are sealed.
        if s.has("recipients") || needed.is_some() {
            s.fault(
                s.span(),
                "`recipients` names nobody: give the auditors' age public keys, or leave it and `recipients_needed` out for plain recordings",
            );
        }
        return None;
    }
    for key in &keys {
        if let Err(fault) = Recipients::new(&[key.value], 1) {
            s.fault(key.span.clone(), fault.to_string());
            return None;
        }
    }
    let texts: Vec<_> = keys.iter().map(|key| key.value).collect();
    let needed = usize::try_from(needed.unwrap_or(1)).unwrap_or(usize::MAX);
    Recipients::new(&texts, needed)
        .map_err(|fault| {
            let first = keys.first().map_or(s.span(), |key| key.span.clone());
            s.fault(first, fault.to_string());
        })
        .ok()
}

/// The section as it is in force.
pub fn show(r: &Recording, out: &mut String) {
    let _ = writeln!(
        out,
        "\n[recording]\ndirectory = {}\nreserve = {:?}\nlow_space = {:?}\nbreak_glass_reserve = {:?}\nmax_size = {:?}\nkeep_file = {:?}\nkeep_session = {:?}\ninput = {:?}\ndeadline = {:?}",
        format_args!("{:?}", r.directory.display().to_string()),
        show_size(r.reserve),
        show_size(r.low_space),
        show_size(r.break_glass_reserve),
        show_size(r.max_size),
        show_size(r.keep_file),
        show_size(r.keep_session),
        r.input.name(),
        show_duration(r.deadline)
    );
    if let Some(recipients) = &r.recipients {
        let keys: Vec<_> = recipients.keys().collect();
        let _ = writeln!(
            out,
            "recipients = {keys:?}\nrecipients_needed = {}",
            recipients.needed()
        );
    }
}
