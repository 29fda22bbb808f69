//! In: the auditor's terminal.
//! Out: its size, its keys, and the terminal itself as it was before, whatever ends the program.
//! Never: a wait without an end; a terminal left raw or without its cursor.

use std::{
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    panic,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read},
    termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr},
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use ampgate_screen::{
    draw::{ENTER, LEAVE},
    player::Stage,
    screen,
};

/// What gives the terminal back; empty when it is ours no more.
static BORROWED: Mutex<Option<Borrowed>> = Mutex::new(None);

struct Borrowed {
    /// The modes of standard input, if they were changed.
    modes: Option<Termios>,
    /// What standard output is told.
    last_words: String,
}

/// The auditor's terminal, or whatever standard output is. Dropping it gives the terminal back.
pub struct Tty {
    /// Keys are read.
    pub interactive: bool,
    /// The number of a signal that wants the program to end.
    signal: Arc<AtomicUsize>,
}

impl Tty {
    /// Takes the terminal. Keys are read if `controls`, and both standard input and output are terminals.
    pub fn take(controls: bool) -> io::Result<Self> {
        let draws = io::stdout().is_terminal();
        let interactive = controls && draws && io::stdin().is_terminal();
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            signal_hook::flag::register_usize(
                number,
                signal.clone(),
                number.unsigned_abs() as usize,
            )?;
        }
        let modes = interactive.then(|| tcgetattr(io::stdin())).transpose()?;
        if let Some(modes) = &modes {
            let mut raw = modes.clone();
            raw.make_raw();
            // Not flushing: a key pressed early counts.
            tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        }
        let (enter, leave) = match (draws, interactive) {
            (false, _) => ("", ""),
            (true, true) => (ENTER, LEAVE),
            (true, false) => ("\x1b[?25l\x1b[?7l", "\x1b[0m\x1b[?7h\x1b[?25h\x1b[999;1H\n"),
        };
        *lock() = Some(Borrowed {
            modes,
            last_words: leave.to_owned(),
        });
        let tty = Self {
            interactive,
            signal,
        };
        tty.write(enter)?;
        Ok(tty)
    }
}

impl Stage for Tty {
    fn interactive(&self) -> bool {
        self.interactive
    }

    /// Writes to standard output at once.
    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Columns and rows; a usual size where there is none.
    fn size(&self) -> (usize, usize) {
        tcgetwinsize(io::stdout())
            .ok()
            .filter(|size| size.ws_col > 0 && size.ws_row > 0)
            .map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
    }

    /// The signal that wants the program to end, if there was one.
    fn signal(&self) -> Option<u8> {
        u8::try_from(self.signal.load(Ordering::Relaxed))
            .ok()
            .filter(|number| *number != 0)
    }

    /// Waits for keys; returns what was typed, `None` if the terminal is gone. A signal ends the wait.
    fn keys(&self, at_most: Duration) -> Option<Vec<u8>> {
        if !self.interactive {
            thread::sleep(at_most);
            return Some(Vec::new());
        }
        let stdin = io::stdin();
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        let wait = Timespec {
            tv_sec: at_most.as_secs().cast_signed(),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&wait)) {
            Ok(0) | Err(Errno::INTR) => return Some(Vec::new()),
            Ok(_) => {}
            Err(_) => return None,
        }
        let mut typed = [0; 256];
        match read(stdin.as_fd(), &mut typed) {
            Ok(0) => None,
            Ok(n) => Some(typed.get(..n).unwrap_or_default().to_vec()),
            Err(Errno::INTR | Errno::AGAIN) => Some(Vec::new()),
            Err(_) => None,
        }
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back before a panic says anything.
pub fn install_panic_hook() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !screen::is_drawing() {
            give_back();
            usual(info);
        }
    }));
}

fn give_back() {
    let Some(borrowed) = lock().take() else {
        return;
    };
    let mut out = io::stdout().lock();
    let _ = out
        .write_all(borrowed.last_words.as_bytes())
        .and_then(|()| out.flush());
    if let Some(modes) = borrowed.modes {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<Borrowed>> {
    BORROWED.lock().unwrap_or_else(PoisonError::into_inner)
}
