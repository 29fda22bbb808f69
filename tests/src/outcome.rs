//! In: a command and what it reads. Out: everything it said and how it ended.
//! Never: a wait without an end: a program that hangs is killed and named.

use std::{
    fmt,
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Long enough for any case on a loaded machine; only a hang is longer.
pub const HANG: Duration = Duration::from_secs(180);

/// How a program ended, and all that it wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// Standard error, byte for byte.
    pub stderr: Vec<u8>,
    /// Exit status, if it exited.
    pub code: Option<i32>,
    /// Signal, if one ended it.
    pub signal: Option<i32>,
    /// Whether it had to be killed because it did not end.
    pub hung: bool,
}

impl Outcome {
    /// Standard output as text; bytes that are no UTF-8 shown as such.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
    /// Itself, if the exit status is 0; everything it said otherwise.
    #[track_caller]
    pub fn good(self) -> Self {
        self.exits(0)
    }
    /// Itself, if it exited with this status.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "another exit status than expected: {self:?}"
        );
        self
    }
    /// Itself, if standard output holds this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.out().contains(text),
            "{text:?} is not on standard output of {self:?}"
        );
        self
    }
    /// Itself, if standard error holds this text.
    #[track_caller]
    pub fn complains(self, text: &str) -> Self {
        assert!(
            self.err().contains(text),
            "{text:?} is not on standard error of {self:?}"
        );
        self
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Outcome {{ code: {:?}, signal: {:?}, hung: {}",
            self.code, self.signal, self.hung
        )?;
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let shown = &bytes[..bytes.len().min(2000)];
            write!(
                f,
                ",\n  {name} ({} bytes): {:?}",
                bytes.len(),
                String::from_utf8_lossy(shown)
            )?;
        }
        write!(f, " }}")
    }
}

/// Runs `command` with `stdin` to its end.
pub fn run(command: Command, stdin: &[u8]) -> Outcome {
    run_for(command, stdin, HANG)
}

/// The same with another limit for hangs.
pub fn run_for(mut command: Command, stdin: &[u8], limit: Duration) -> Outcome {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(if stdin.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{name}: {e} (has `make setup` been run?)"));
    let mut out = child.stdout.take().unwrap();
    let mut err = child.stderr.take().unwrap();
    let (stdout, stderr, status, hung) = thread::scope(|threads| {
        if let Some(mut pipe) = child.stdin.take() {
            // A program that does not read its input to the end is no fault of the writer.
            threads.spawn(move || pipe.write_all(stdin).ok());
        }
        let out = threads.spawn(move || read_all(&mut out));
        let err = threads.spawn(move || read_all(&mut err));
        let (status, hung) = wait(&mut child, limit);
        (out.join().unwrap(), err.join().unwrap(), status, hung)
    });
    if hung {
        eprintln!("hung, killed after {limit:?}: {name}");
    }
    Outcome {
        stdout,
        stderr,
        code: status.code(),
        signal: status.signal(),
        hung,
    }
}

fn read_all(from: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).ok();
    all
}

fn wait(child: &mut std::process::Child, limit: Duration) -> (ExitStatus, bool) {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, false);
        }
        if Instant::now() > end {
            child.kill().ok();
            return (child.wait().unwrap(), true);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Waits until `what` is true, or fails with `text`. For things that other programs do in their own time.
#[track_caller]
pub fn until(text: &str, limit: Duration, mut what: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !what() {
        assert!(Instant::now() < end, "after {limit:?} still not: {text}");
        thread::sleep(Duration::from_millis(20));
    }
}
