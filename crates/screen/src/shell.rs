//! In: the line of the cursor when a program waits, and at each newline.
//! Out: commands, as far as the screen tells them: what stands behind a prompt when Enter ends it.
//! Never: a proof. A program can draw a prompt that is none, and a shell can run what it never showed.

use std::time::Duration;

use avt::parser::{Osc, ShellIntegration};

/// More commands than this are not remembered.
const MOST: usize = 100_000;
/// What prompts end in.
const ENDS: [char; 7] = ['$', '#', '%', '>', '❯', '»', '➜'];
/// Longer than any prompt.
const LONGEST: usize = 256;

/// Tells commands from the rest.
#[derive(Default)]
pub struct Shell {
    /// What stood left of the cursor when the program began to wait.
    prompt: Option<String>,
    found: Vec<(Duration, String)>,
}

impl Shell {
    /// Whether it is worth looking where the cursor is.
    pub fn wants_prompt(&self) -> bool {
        self.prompt.is_none()
    }

    /// The program waits; `left` bytes of the line stand before the cursor.
    pub fn pause(&mut self, line: &str, left: usize) {
        let (before, after) = line.split_at_checked(left).unwrap_or((line, ""));
        let before = before.trim_end();
        if after.trim().is_empty() && looks_like_a_prompt(before) {
            self.prompt = Some(before.to_owned());
        }
    }

    /// The shell says itself where its prompt ends (OSC 133 B).
    pub fn mark(&mut self, mark: &Osc, place: impl FnOnce() -> (String, usize)) {
        if *mark == Osc::ShellIntegration(ShellIntegration::CommandStart) {
            let (line, left) = place();
            self.prompt = line.get(..left).map(|text| text.trim_end().to_owned());
        }
    }

    /// Enter, or any other newline.
    pub fn newline(&mut self, at: Duration, line: &str) {
        let prompt = self.prompt.take();
        let known = prompt.as_deref().and_then(|p| line.strip_prefix(p));
        let command = known.or_else(|| behind_a_usual_prompt(line));
        let command = command.map(str::trim).unwrap_or_default();
        if !command.is_empty() && self.found.len() < MOST {
            self.found.push((at, command.to_owned()));
        }
    }

    /// Commands since the last call.
    pub fn take(&mut self) -> Vec<(Duration, String)> {
        std::mem::take(&mut self.found)
    }
}

fn looks_like_a_prompt(text: &str) -> bool {
    let mut end = text.chars().rev();
    match (end.next(), end.next()) {
        // Progress, not a prompt.
        (Some('%'), Some(before)) if before.is_ascii_digit() => false,
        (Some(last), _) => ENDS.contains(&last) && text.len() <= LONGEST,
        (None, _) => false,
    }
}

/// Behind `user@host:~$ ` or `[user@host dir]# `, for what was typed before the prompt came.
fn behind_a_usual_prompt(line: &str) -> Option<&str> {
    let (prompt, command) = line.split_once("$ ").or_else(|| line.split_once("# "))?;
    let (user, host) = prompt.trim_start_matches('[').split_once('@')?;
    let plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let fits = !user.is_empty()
        && user.chars().all(plain)
        && host.starts_with(char::is_alphanumeric)
        && prompt.len() <= LONGEST;
    fits.then_some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pause: Option<&str>, line: &str) -> Option<String> {
        let mut shell = Shell::default();
        if let Some(pause) = pause {
            shell.pause(pause, pause.len());
        }
        shell.newline(Duration::ZERO, line);
        shell.take().pop().map(|(_, command)| command)
    }

    #[test]
    fn commands_stand_behind_prompts() {
        for (pause, line, command) in [
            (Some("$ "), "$ ls -l", Some("ls -l")),
            (Some("mysql> "), "mysql> select 1;", Some("select 1;")),
            (None, "op@amphora:~$ ip -br a", Some("ip -br a")),
            (None, "[root@amphora ~]# id", Some("id")),
            (Some("root@a:~# "), "root@a:~# ", None),
            (Some("done 45% "), "done 45% of it", None),
            (None, "costs 5$ or more", None),
            (None, "some output", None),
            (Some("❯ "), "❯ echo 한글", Some("echo 한글")),
        ] {
            assert_eq!(after(pause, line).as_deref(), command, "{pause:?} {line:?}");
        }
    }

    #[test]
    fn a_mark_of_the_shell_counts_whatever_the_prompt_looks_like() {
        let mut shell = Shell::default();
        let mark = Osc::ShellIntegration(ShellIntegration::CommandStart);
        shell.mark(&mark, || ("what now? ".to_owned(), 10));
        shell.newline(Duration::from_secs(3), "what now? reboot");
        assert_eq!(
            shell.take(),
            [(Duration::from_secs(3), "reboot".to_owned())]
        );
    }
}
