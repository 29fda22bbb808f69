//! In: a cast file. Out: what it says was seen, decoded from docs/RECORDING-FORMAT.md alone, not with the gateway's code.
//! Never: lenient: a line that the document does not know fails the test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::gateway::{Gateway, files_below};

/// A recording, read back.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Where it lies.
    pub path: PathBuf,
    /// First line.
    pub header: Value,
    /// Bytes of standard output (or the terminal), in order.
    pub stdout: Vec<u8>,
    /// Bytes of standard error, in order.
    pub stderr: Vec<u8>,
    /// COLSxROWS of each resize as the client said it, in order.
    pub sizes: Vec<String>,
    /// What the gateway said.
    pub markers: Vec<String>,
    /// The `x` event, if any.
    pub exit: Option<String>,
    /// The signal that ended the program, if one did.
    pub signal: Option<String>,
    /// Bytes of recorded input.
    pub input: Vec<u8>,
    /// Proof lines.
    pub proofs: Vec<String>,
    err: bool,
    held: [Vec<u8>; 2],
    replaced: Option<Vec<Vec<u8>>>,
    size: Option<String>,
}

impl Seen {
    /// Reads one file; a last line that is cut off does not count.
    pub fn read(path: &Path) -> Seen {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut lines = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
        let header = serde_json::from_str(lines.next().expect("a header")).expect("a JSON header");
        let mut seen = Seen {
            path: path.to_owned(),
            header,
            ..Seen::default()
        };
        for line in lines {
            if line.starts_with('#') {
                seen.proofs.push(line.trim_end().to_owned());
            } else {
                seen.event(line);
            }
        }
        seen.finish();
        seen
    }

    fn event(&mut self, line: &str) {
        let event: Value = serde_json::from_str(line)
            .unwrap_or_else(|e| panic!("{}: {e}: {line}", self.path.display()));
        let data = event[2].as_str().expect("text");
        match event[1].as_str().expect("a code") {
            "s" => self.err = data == "2",
            "f" => self.replaced = Some(data.split(' ').map(unhex).collect()),
            "o" => {
                let bytes = restore(data, self.replaced.take());
                self.output(&bytes);
            }
            "b" => self.output(&unbase64(data)),
            "t" => self.held[usize::from(self.err)] = unhex(data),
            "z" => self.size = Some(data.to_owned()),
            "r" => {
                let asked = self.size.take().unwrap_or_else(|| data.to_owned());
                self.sizes.push(asked);
            }
            "m" => self.markers.push(data.to_owned()),
            "g" => self.signal = Some(data.to_owned()),
            "x" => self.exit = Some(data.to_owned()),
            "i" => self.input.extend_from_slice(data.as_bytes()),
            "j" => self.input.extend_from_slice(&unbase64(data)),
            other => panic!("unknown event {other:?} in {}", self.path.display()),
        }
    }

    /// Output of the current stream; it begins with what was held back of it (`t`).
    fn output(&mut self, bytes: &[u8]) {
        let held = std::mem::take(&mut self.held[usize::from(self.err)]);
        assert!(
            bytes.starts_with(&held),
            "held-back bytes are not repeated in {}",
            self.path.display()
        );
        let stream = if self.err {
            &mut self.stderr
        } else {
            &mut self.stdout
        };
        stream.extend_from_slice(bytes);
    }

    fn finish(&mut self) {
        let [out, err] = std::mem::take(&mut self.held);
        self.stdout.extend(out);
        self.stderr.extend(err);
    }

    /// The command of the header, if there was one.
    pub fn command(&self) -> Option<&str> {
        self.header["command"].as_str()
    }

    /// A field of the header's `ampgate` object.
    pub fn fact(&self, name: &str) -> &str {
        self.header["ampgate"][name].as_str().unwrap_or_default()
    }

    /// Its session's id.
    pub fn session(&self) -> &str {
        self.fact("session")
    }

    /// Whether a last proof closes it.
    pub fn sealed(&self) -> bool {
        self.proofs
            .last()
            .is_some_and(|p| p.contains("\"final\":true"))
    }
}

/// The bytes of a text in which each U+FFFD may stand for others.
fn restore(text: &str, replaced: Option<Vec<Vec<u8>>>) -> Vec<u8> {
    let Some(replaced) = replaced else {
        return text.as_bytes().to_vec();
    };
    let mut parts = text.split('\u{fffd}');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    let mut replaced = replaced.into_iter();
    for part in parts {
        bytes.extend(replaced.next().expect("bytes for each U+FFFD"));
        bytes.extend_from_slice(part.as_bytes());
    }
    assert_eq!(replaced.next(), None, "more bytes than U+FFFD");
    bytes
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex"))
        .collect()
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
        let bits =
            four.iter().fold(0u32, |n, c| n << 6 | u32::from(value(*c))) << (6 * (4 - four.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    out
}

impl Gateway {
    /// Paths of all its recordings, oldest first.
    pub fn casts(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = files_below(&self.recordings())
            .into_iter()
            .filter(|p| p.extension().is_some_and(|e| e == "cast"))
            .collect();
        paths.sort_by_key(|p| p.file_name().map(ToOwned::to_owned));
        paths
    }

    /// All its recordings read back, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.casts().iter().map(|p| Seen::read(p)).collect()
    }

    /// The one recording of exactly this command; its session may still be closing.
    #[track_caller]
    pub fn seen_as(&self, command: &str) -> Seen {
        let first = |path: &Path| {
            use std::io::{BufRead, BufReader};
            let mut line = String::new();
            BufReader::new(fs::File::open(path).unwrap())
                .read_line(&mut line)
                .unwrap();
            serde_json::from_str::<Value>(&line).unwrap()["command"].as_str() == Some(command)
        };
        let found: Vec<_> = self.casts().into_iter().filter(|p| first(p)).collect();
        assert_eq!(found.len(), 1, "recordings of {command:?}");
        Seen::read(&found[0])
    }

    /// The one recording whose command holds `text`.
    #[track_caller]
    pub fn seen_with(&self, text: &str) -> Seen {
        let mut found: Vec<_> = self
            .seen()
            .into_iter()
            .filter(|s| s.command().is_some_and(|c| c.contains(text)))
            .collect();
        assert_eq!(found.len(), 1, "recordings with {text:?} in their command");
        found.remove(0)
    }
}
