//! In: a command and a conversation. Out: what its terminal showed.
//! Never: a pause in the hope that something has happened: the script waits for texts.

use std::{fs, process::Command};

use crate::{
    bed::script,
    outcome::{Outcome, run},
};

/// Runs `command` on a pty of ROWSxCOLS, with lines for terminal.py: `expect`, `send`, `resize`, `close`.
pub fn talk(command: &Command, size: &str, lines: &[&str]) -> Outcome {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), lines.join("\n") + "\n").unwrap();
    let mut on_pty = Command::new("python3");
    on_pty
        .arg(script("terminal.py"))
        .args(["--size", size])
        .arg(file.path())
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    on_pty.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            on_pty.env(name, value);
        }
    }
    let shown = run(on_pty, b"");
    // A text that did not come, or a fault of the helper: never equal to itself by accident.
    assert!(!shown.err().contains("terminal.py"), "{shown:?}");
    shown
}
