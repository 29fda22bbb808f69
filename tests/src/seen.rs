//! In: a cast file. Out: what it says was seen, decoded from its document alone, not with the gateway's own code.
//! Never: lenient: a line that the document does not know fails the test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::gateway::{Gateway, files_below};

/// A recording, read back.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Where it lies.
    pub path: PathBuf,
    /// First line.
    pub header: Value,
    /// Bytes of standard output (or the terminal), in order.
    pub stdout: Vec<u8>,
    /// Bytes of standard error, in order.
    pub stderr: Vec<u8>,
    /// Columns and rows of each resize, in order.
    pub sizes: Vec<String>,
    /// What the gateway said.
    pub markers: Vec<String>,
    /// The `x` event, if any.
    pub exit: Option<String>,
    /// Number of proof lines.
    pub proofs: usize,
}

impl Seen {
    /// Reads one file.
    pub fn read(path: &Path) -> Seen {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut lines = text.lines();
        let header = serde_json::from_str(lines.next().expect("a header")).expect("a JSON header");
        let mut seen = Seen {
            path: path.to_owned(),
            header,
            stdout: vec![],
            stderr: vec![],
            sizes: vec![],
            markers: vec![],
            exit: None,
            proofs: 0,
        };
        let mut err = false;
        for line in lines {
            if line.starts_with('#') {
                seen.proofs += usize::from(line.contains("proof"));
                continue;
            }
            seen.event(line, &mut err);
        }
        seen
    }

    fn event(&mut self, line: &str, err: &mut bool) {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", self.path.display()));
        let data = event[2].as_str().expect("text");
        match event[1].as_str().expect("a code") {
            "s" => *err = data == "2",
            "o" => self.stream(*err).extend_from_slice(data.as_bytes()),
            "f" => patch(self.stream(*err), &unhex(data)),
            "b" => self.stream(*err).extend_from_slice(&unbase64(data)),
            "t" => self.stream(*err).extend_from_slice(&unhex(data)),
            "r" => self.sizes.push(data.to_owned()),
            "m" => self.markers.push(data.to_owned()),
            "x" => self.exit = Some(data.to_owned()),
            "i" | "j" => {}
            other => panic!("unknown event {other:?} in {}", self.path.display()),
        }
    }

    fn stream(&mut self, err: bool) -> &mut Vec<u8> {
        if err { &mut self.stderr } else { &mut self.stdout }
    }

    /// The command of the header, if there was one.
    pub fn command(&self) -> Option<&str> {
        self.header["command"].as_str()
    }
}

/// Puts the real bytes back in place of the U+FFFD of the last `o` event.
fn patch(stream: &mut Vec<u8>, real: &[u8]) {
    let _ = (stream, real);
    todo!("as soon as the format is written down")
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex")).collect()
}

fn unbase64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("no base64: {text}"),
    };
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0u32, |n, c| n << 6 | u32::from(value(*c))) << (6 * (4 - four.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    out
}

impl Gateway {
    /// All its recordings, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        let mut paths: Vec<_> = files_below(&self.recordings()).into_iter().filter(|p| p.extension().is_some_and(|e| e == "cast")).collect();
        paths.sort_by_key(|p| p.file_name().map(ToOwned::to_owned));
        paths.iter().map(|p| Seen::read(p)).collect()
    }
}
