//! In: a command. Out: a terminal in which it runs, that is not ours: tmux, which draws, is resized and typed into.
//! Never: left behind; the server ends with the test.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::outcome::{Outcome, run, until};

/// A terminal of tmux.
#[derive(Debug)]
pub struct Pane {
    socket: String,
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

impl Pane {
    /// Starts `command` in a terminal of so many columns and rows; it stays when the command has ended.
    pub fn start(command: &Command, (columns, rows): (u32, u32)) -> Pane {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let pane = Pane {
            socket: format!("ampgate-test-{}-{number}", std::process::id()),
        };
        let mut line = "env -i".to_owned();
        for (name, value) in command.get_envs() {
            let value = value.map(|v| v.to_string_lossy()).unwrap_or_default();
            if name != "TERM" {
                line += &format!(" {}={}", name.to_string_lossy(), quoted(&value));
            }
        }
        line += " LANG=C.UTF-8 TERM=screen-256color";
        for word in std::iter::once(command.get_program()).chain(command.get_args()) {
            line += " ";
            line += &quoted(&word.to_string_lossy());
        }
        line += "; exec sleep 1000";
        let size = [columns.to_string(), rows.to_string()];
        let mut options = vec!["new-session", "-d", "-x", &size[0], "-y", &size[1], &line];
        options.extend([";", "set", "-g", "status", "off"]);
        options.extend([";", "set", "-g", "window-size", "manual"]);
        pane.tmux(&options).good();
        pane.resize(columns, rows);
        pane
    }

    fn tmux(&self, args: &[&str]) -> Outcome {
        let mut tmux = Command::new("tmux");
        tmux.env("LANG", "C.UTF-8").env("TERM", "xterm-256color");
        tmux.args(["-u", "-L", &self.socket, "-f", "/dev/null"]);
        tmux.args(args);
        run(tmux, b"")
    }

    /// What it shows now, row by row.
    pub fn screen(&self) -> Vec<String> {
        let shown = self.tmux(&["capture-pane", "-p"]).good().out();
        shown.lines().map(|l| l.trim_end().to_owned()).collect()
    }

    /// Types keys, by the names that tmux has for them.
    pub fn types(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat()).good();
    }

    /// Gives it another size.
    pub fn resize(&self, columns: u32, rows: u32) {
        let size = [columns.to_string(), rows.to_string()];
        self.tmux(&["resize-window", "-x", &size[0], "-y", &size[1]])
            .good();
    }

    /// Waits until a text is shown.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        let limit = Duration::from_secs(60);
        let mut last = Vec::new();
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(text, limit, || {
                last = self.screen();
                last.iter().any(|row| row.contains(text))
            });
        }));
        assert!(shown.is_ok(), "{text:?} is not on this screen: {last:#?}");
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
