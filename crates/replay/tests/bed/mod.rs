//! In: what a hostile recording shall hold. Out: that recording, the program run on it, with or without a terminal.
//! Never: a wait for a time: for texts and for ends only.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, Winsize, tcgetattr, tcsetwinsize},
};
use serde_json::{Value, json};

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../recording/fixtures")
}

pub fn replay(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ampgate-replay"));
    command
        .args(args)
        .env_remove("AMPGATE_SEALING_KEY")
        .stdin(Stdio::null());
    command
}

/// Exit status, standard output, standard error.
pub fn run(args: &[&str]) -> (i32, String, String) {
    let done = replay(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        done.status.code().unwrap(),
        text(done.stdout),
        text(done.stderr),
    )
}

/// An unsealed recording: the header of a fixture with `change` in it, and these events.
pub fn cast(dir: &Path, change: impl FnOnce(&mut Value), events: &[Value]) -> PathBuf {
    let minimal = fs::read_to_string(fixtures().join("minimal.cast")).unwrap();
    let mut header: Value = serde_json::from_str(minimal.lines().next().unwrap()).unwrap();
    header["ampgate"]["cols"] = json!(80);
    header["ampgate"]["rows"] = json!(24);
    header["ampgate"]["pty"] = json!(true);
    change(&mut header);
    let path = dir.join("made.cast");
    let lines = std::iter::once(&header)
        .chain(events)
        .map(|line| format!("{line}\n"));
    fs::write(&path, lines.collect::<String>()).unwrap();
    path
}

/// Everything that has ever been sent to attack the terminal of whoever looks.
pub fn payloads() -> Vec<String> {
    let mut all: Vec<String> = [
        "\x1b]0;title\x07",
        "\x1b]2;title\x1b\\",
        "\x1b]52;c;b3duZWQ=\x07",
        "\x1b]52;c;?\x07",
        "\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\",
        "\x1b]1337;File=name=YQ==:AAAA\x07",
        "\x1b]4;0;?\x07",
        "\x1b]10;?\x07",
        "\x1b]133;A\x07",
        "\x1b]777;notify;a;b\x07",
        "\x1bP$r0m\x1b\\",
        "\x1bP+q544e\x1b\\",
        "\x1bPq#0;2;0;0;0#0~~@@vv\x1b\\",
        "\x1bP1000p",
        "\x1b_Gf=24;AAAA\x1b\\",
        "\x1b^private\x1b\\",
        "\x1bXstring\x1b\\",
        "\x1b[c",
        "\x1b[>c",
        "\x1b[=c",
        "\x1b[5n",
        "\x1b[6n",
        "\x1b[?6n",
        "\x1b[21t",
        "\x1b[14t",
        "\x1b[8;9999;9999t",
        "\x1b[x",
        "\x1b[?1$p",
        "\x1bZ",
        "\x05",
        "\u{9b}31m",
        "\u{9d}0;owned\u{9c}",
        "\u{90}$r0m\u{9c}",
        "\u{9f}apc\u{9c}",
        "\u{9e}pm\u{9c}",
        "\u{98}sos\u{9c}",
        "\u{85}\u{84}\u{8d}\u{9a}",
        "\x1b[?2004h",
        "\x1b[?1000h\x1b[?1002h\x1b[?1003h\x1b[?1006h",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "\x1b[?47h",
        "\x1b[?25l",
        "\x1b[?5h",
        "\x1b[?1004h",
        "\x1b[?2026h",
        "\x1b[99999999999999999999;99999999999999999999H",
        "\x1b[4294967295b",
        "\x1b[65535L\x1b[65535M\x1b[65535@\x1b[65535P\x1b[65535X\x1b[65535S\x1b[65535T",
        "\x1b[2;1r\x1b[65535;65535r",
        "\x1b[20h",
        "\x1b[4h",
        "\x1b[?3h",
        "\x1b[?6h",
        "\x1b[?7l",
        "\x1b[?69h\x1b[1;2s",
        "\x1b#8",
        "\x1bc",
        "\x1b[!p",
        "\x1b(0lqk\x1b(B\x0e\x0f",
        "\x1b%G\x1b%@",
        "\x1b[5i\x1b[4i",
        "\x1b[0q\x1b[2 q",
        "\x1b[>4;2m",
        "\x1b[38;2;999;999;999m\x1b[48;5;999m\x1b[8mhidden\x1b[28m",
        "\x1b[38:2::1:2:3m",
        "\x07\x08\x08\x0b\x0c\x18\x1a\x7f",
        "\x1b[",
        "\x1b]",
        "\x1bP",
        "한글🦀e\u{301}a\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}",
        "👩\u{200d}👧\u{fe0f}",
        "\u{202e}evil\u{202c}\u{2066}x\u{2069}",
        "\u{e0041}\u{feff}\u{200b}\u{ad}",
        "\u{100000}\u{10fffd}\u{f0000}\u{e000}",
        "\u{ffff}\u{fdd0}",
        "\u{301}alone",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push("x".repeat(200_000));
    all.push(format!("\x1b[{}m", "1;".repeat(5000)));
    all.push(format!("\x1b]0;{}\x07", "t".repeat(100_000)));
    all.push("한".repeat(1001));
    all
}

/// `o` events of texts, a hundredth of a second apart.
pub fn outputs<S: AsRef<str>>(texts: &[S]) -> Vec<Value> {
    texts
        .iter()
        .map(|text| json!([0.01, "o", text.as_ref()]))
        .collect()
}

/// A character that acts or hides; written anew here, so that a hole in the program's own list is found.
pub fn forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Everything that `play` may write: its own positions, erasures, colours and modes, and characters that only show.
#[track_caller]
pub fn only_drawing(shown: &[u8]) {
    let text = std::str::from_utf8(shown).unwrap();
    let mut rest = text.strip_suffix("\x1b[999;1H\r\n").unwrap_or(text);
    while let Some(at) = rest.find(forbidden) {
        let from = &rest[at..];
        let fixed = [
            "\x1b[K",
            "\x1b[H",
            "\x1b[2J",
            "\x1b[?1049h",
            "\x1b[?1049l",
            "\x1b[?25h",
            "\x1b[?25l",
            "\x1b[?7h",
            "\x1b[?7l",
        ];
        let length = fixed
            .iter()
            .find(|f| from.starts_with(**f))
            .map(|f| f.len())
            .or_else(|| {
                let parameters = from.strip_prefix("\x1b[")?;
                let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
                let numbers: Option<Vec<u16>> = parameters[..end]
                    .split(';')
                    .map(|n| n.parse().ok())
                    .collect();
                let numbers = numbers?;
                match (&parameters[end..=end], numbers.len()) {
                    ("H", 2) | ("G", 1) if numbers.iter().all(|n| (1..=2000).contains(n)) => {}
                    ("m", 1..20)
                        if numbers[0] == 0 && numbers.iter().all(|n| *n < 256 && *n != 8) => {}
                    _ => return None,
                }
                Some(2 + end + 1)
            });
        let Some(length) = length else {
            panic!(
                "this reached the terminal: {:?}",
                from.chars().take(40).collect::<String>()
            );
        };
        rest = &from[length..];
    }
}

/// `play` on a pseudo-terminal.
pub struct OnPty {
    master: File,
    slave: OwnedFd,
    child: std::process::Child,
    pub shown: Vec<u8>,
    pub before: Termios,
    mark: usize,
}

impl OnPty {
    pub fn start(args: &[&str], cols: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .unwrap();
        tcsetwinsize(
            &slave,
            Winsize {
                ws_col: cols,
                ws_row: rows,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )
        .unwrap();
        let before = tcgetattr(&slave).unwrap();
        let mut command = replay(args);
        command
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        Self {
            master: File::from(master),
            slave: slave.into(),
            child,
            shown: Vec::new(),
            before,
            mark: 0,
        }
    }

    /// Waits until this was shown after what was waited for before.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let found = self.shown[self.mark..]
                .windows(text.len())
                .position(|w| w == text.as_bytes());
            if let Some(at) = found {
                self.mark += at + text.len();
                return;
            }
            assert!(
                Instant::now() < patience && self.read(),
                "{text:?} was not shown; instead: {}",
                String::from_utf8_lossy(&self.shown[self.mark..]).escape_debug()
            );
        }
    }

    pub fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&mut self, cols: u16, rows: u16) {
        tcsetwinsize(
            &self.slave,
            Winsize {
                ws_col: cols,
                ws_row: rows,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )
        .unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Everything to the end, the exit status, and the terminal as it was before.
    #[track_caller]
    pub fn finish(mut self) -> (i32, Vec<u8>) {
        let patience = Instant::now() + Duration::from_secs(120);
        let status = loop {
            self.read();
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < patience,
                "it does not end: {}",
                String::from_utf8_lossy(&self.shown).escape_debug()
            );
        };
        while self.read() {}
        let after = tcgetattr(&self.slave).unwrap();
        assert_eq!(
            format!("{after:?}"),
            format!("{:?}", self.before),
            "the terminal was not given back"
        );
        (status.code().unwrap_or(-1), self.shown)
    }

    /// Reads what is there, or a moment later; false if there is nothing.
    fn read(&mut self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: 50_000_000,
        };
        if poll(&mut fds, Some(&wait)).unwrap() == 0 {
            return self.child.try_wait().unwrap().is_none();
        }
        let mut some = [0; 65536];
        let n = self.master.read(&mut some).unwrap_or(0);
        self.shown.extend_from_slice(&some[..n]);
        n > 0
    }
}
