//! In: a recording and how it shall be played.
//! Out: the playing of it, before and after which standard error says what is wrong with the recording.
//! Never: an end without the auditor's terminal as it was.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use ampgate_screen::{
    finder::Finder,
    player::{Ended, Player},
    timeline::survey,
};
use anyhow::Result;
use clap::Args;

use crate::{lines::stamp, scan, source, text, times, trust::KeyArgs, tty::Tty, verdict::Status};

/// Play a recording in the terminal, drawn through a virtual one: nothing recorded acts on yours
#[derive(Args)]
#[command(
    after_help = "Keys: space pause, + - speed, arrows 5 s back and forward, . step, / find, n N find after and before, [ ] marker before and after,\n0 begin, ? help, q quit.\nThe times in the status line are those of the session; silences are shortened only in the playing.\n\nExamples:\n  ampgate-replay play 01KAS2….cast\n  ampgate-replay play --speed 4 --idle-limit 0.5 --at 12:30 01KAS2….cast\n  ampgate-replay play --at 12:03 --store recordings 01M83T6P2ESH3FN762TGK9EQE9\n  ampgate-replay play --print-commands 01KAS2….cast\n  ssh gateway replay 01M83T6P2ESH3FN762TGK9EQE9 --file | ampgate-replay play --identity auditor.age -\n  ampgate-replay play --no-controls --speed 100 01KAS2….cast     (to the end, the last picture stays)"
)]
pub struct Play {
    /// The recording, or the id of its session; - for one that comes on standard input
    file: PathBuf,
    /// Where recordings are, for an id
    #[arg(long, value_name = "DIR", default_value = ".")]
    store: PathBuf,
    /// Print the commands, of an exec session and those typed at a prompt as far as the screen tells, and play nothing.
    /// A help for reading, no proof: programs can draw prompts, and shells run what they do not show
    #[arg(long)]
    print_commands: bool,
    /// How many times faster (0.1 to 1000)
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// The longest silence, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    idle_limit: f64,
    /// Where to begin, as the session's clock was: 90, 1:30, 1:02:03, 5m
    #[arg(long, alias = "start", value_name = "TIME", value_parser = text::place)]
    at: Option<Duration>,
    /// Read no keys; play to the end and leave the last picture
    #[arg(long)]
    no_controls: bool,
    #[command(flatten)]
    keys: KeyArgs,
}

impl Play {
    pub fn run(&self) -> Result<ExitCode> {
        let file = &match self.file.as_os_str() == "-" {
            true => source::standard_input()?,
            false => source::locate(&self.file, &self.store)?,
        };
        // Opened first: what is no recording is told as that.
        let timeline = times::open(file, self.idle())?;
        let wrong = source::examine(file, &self.keys)?;
        let say = |wrong: &Option<(Status, String)>| {
            if let Some((_, sentence)) = wrong {
                source::complain(&format!("{}: {sentence}", text::path(file)));
            }
        };
        say(&wrong);
        if self.print_commands {
            return print_commands(file);
        }
        let survey = survey(times::open(file, self.idle())?);
        if survey.faults > 0 {
            source::complain(&format!(
                "{} lines of it are no events and are passed over",
                survey.faults
            ));
        }
        let tty = Tty::take(!self.no_controls)?;
        let warning = wrong.as_ref().map(|(status, _)| status.word());
        let mut player = Player::new(timeline, survey, self.speed, warning, &tty)
            .with_search(Finder::of(times::opening(file)));
        let code = match player.run(self.at)? {
            Ended::Enough => ExitCode::SUCCESS,
            Ended::Signal(number) => ExitCode::from(128 + number),
        };
        let failures = player.failures();
        let other_screen = tty.interactive;
        drop(tty);
        if other_screen {
            // What was said before is on the screen that was away meanwhile; but who quits should not miss it.
            say(&wrong);
        }
        if failures > 0 {
            source::complain(&format!(
                "{failures} times the virtual terminal failed on what was recorded and was made anew; \"cat\" shows all of it"
            ));
        }
        Ok(code)
    }

    fn idle(&self) -> Duration {
        Duration::try_from_secs_f64(self.idle_limit).unwrap_or(Duration::MAX)
    }
}

/// A line for each: its time, and the command.
fn print_commands(file: &Path) -> Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    for (at, command) in scan::commands(file)?.commands {
        writeln!(out, "{} {}", stamp(at), text::safe(&command))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn speed(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|speed| (0.1..=1000.0).contains(speed))
        .ok_or_else(|| "a number from 0.1 to 1000".to_owned())
}
