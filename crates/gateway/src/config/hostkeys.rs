//! In: the section [hostkeys]. Out: where amphorae's host keys are learnt from before they are pinned.
//! Never: the gateway's own host keys; those are [host_keys].

use std::fmt::Write as _;
use std::time::Duration;

use ampgate_access::table::Table;

use super::units::{duration, show_duration};

/// How an amphora's host key becomes known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hostkeys {
    pub mode: HostKeyMode,
    /// How long Nova may take to give a console.
    pub timeout: Duration,
}

/// Who may vouch for a host key. A key in the inventory file counts in every mode, and must agree with the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostKeyMode {
    /// Nova's console.
    Console,
    /// Nova's console; where it says nothing, the network.
    ConsoleOrFirstContact,
    /// The network, once.
    FirstContact,
    /// Nobody but the inventory file.
    Static,
}

impl HostKeyMode {
    const ALL: [Self; 4] = [
        Self::Console,
        Self::ConsoleOrFirstContact,
        Self::FirstContact,
        Self::Static,
    ];

    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::ConsoleOrFirstContact => "console-or-first-contact",
            Self::FirstContact => "first-contact",
            Self::Static => "static",
        }
    }

    pub fn asks_console(self) -> bool {
        matches!(self, Self::Console | Self::ConsoleOrFirstContact)
    }
}

/// Reads the section. Nova is where Octavia is, so without the one there is no console to ask for.
pub fn read(s: Table<'_, '_>, octavia: bool) -> Hostkeys {
    let parse = |text: &str| {
        let found = HostKeyMode::ALL.into_iter().find(|m| m.word() == text);
        let mode = found.ok_or_else(|| {
            let all = HostKeyMode::ALL.map(|mode| format!("{:?}", mode.word()));
            format!("{text:?} is none of {}", all.join(", "))
        })?;
        match mode.asks_console() && !octavia {
            true => Err(format!(
                "{text:?} asks Nova, which [inventory.octavia] names: add that section, or say \"first-contact\" or \"static\""
            )),
            false => Ok(mode),
        }
    };
    let default = match octavia {
        true => HostKeyMode::ConsoleOrFirstContact,
        false => HostKeyMode::FirstContact,
    };
    let second = Duration::from_secs(1);
    let value = Hostkeys {
        mode: s.parsed_if_there("mode", parse).unwrap_or(default),
        timeout: duration(&s, "timeout", second * 5, second / 10..=second * 60),
    };
    s.end();
    value
}

/// The section as it is in force.
pub fn show(hostkeys: &Hostkeys, out: &mut String) {
    let _ = writeln!(
        out,
        "\n[hostkeys]\nmode = {:?}\ntimeout = {:?}",
        hostkeys.mode.word(),
        show_duration(hostkeys.timeout)
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn mode(text: &str) -> Result<&'static str, String> {
        let config = Config::parse(Path::new("ampgate.toml"), text);
        let word = config.map(|config| config.hostkeys.mode.word());
        word.map_err(|faults| {
            let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
            shown.join("\n")
        })
    }

    #[test]
    fn the_console_is_asked_where_octavia_is() {
        let octavia = "[inventory.octavia]\ncloud = \"x\"\nlogin_user = \"ubuntu\"\n";
        assert_eq!(mode(""), Ok("first-contact"));
        assert_eq!(mode(octavia), Ok("console-or-first-contact"));
        for word in HostKeyMode::ALL.map(HostKeyMode::word) {
            let text = format!("{octavia}[hostkeys]\nmode = {word:?}\n");
            assert_eq!(mode(&text), Ok(word));
        }
    }

    #[test]
    fn a_mode_that_cannot_be_is_a_fault_with_its_line() {
        for (text, words) in [
            ("[hostkeys]\nmode = \"console\"\n", "[inventory.octavia]"),
            ("[hostkeys]\nmode = \"never\"\n", "\"static\""),
            ("[hostkeys]\ntimeout = \"1h\"\n", "from 100ms to 1m"),
            ("[host_keys]\nmode = \"static\"\n", "[hostkeys]"),
        ] {
            let said = mode(text).unwrap_err();
            assert!(said.contains("ampgate.toml:2:"), "{said}");
            assert!(said.contains(words), "{said}");
        }
    }
}
