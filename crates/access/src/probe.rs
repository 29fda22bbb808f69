//! In: the first bytes that come back from an amphora after a landing was asked for.
//! Out: the same bytes without the gateway's own marker, and whether the operator has landed, or why not.
//! Never: drops, reorders or invents a byte of anybody else's, however the bytes are split.

use std::borrow::Cow;
use std::fmt;

/// A random number, new for each channel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce(u128);

impl Nonce {
    /// From 128 random bits.
    pub fn new(random: u128) -> Self {
        Self(random)
    }

    /// What all markers of this channel begin with. Printable ASCII without a newline: a terminal passes it as it is.
    pub(crate) fn stem(self) -> String {
        format!("ampgate-{:032x}", self.0)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(…)")
    }
}

/// The stream on which bytes came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Channel data.
    Stdout,
    /// Extended data, type 1.
    Stderr,
}

/// Why an operator did not land.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LandingFailure {
    /// There is no namespace `amphora-haproxy`.
    NoNamespace,
    /// There is no `ip` to enter the namespace with.
    NoIp,
    /// sudo said no. What it printed has been passed on.
    SudoRefused,
    /// There is no sudo.
    NoSudo,
    /// Root has no login shell that can be run.
    NoShell,
    /// There is no sftp-server.
    NoSftpServer,
    /// The channel ended, without an exit status, before anything was decided.
    Cut,
}

impl LandingFailure {
    /// One sentence for the operator: what is wrong, then what to try.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoNamespace => {
                "the amphora has no network namespace amphora-haproxy (haproxy was never configured there, or the amphora is not in service; try root@ and \"ip netns list\", or another amphora of this load balancer)"
            }
            Self::NoIp => {
                "the amphora has no \"ip\" program to enter amphora-haproxy with (try root@ and \"nsenter --net=/run/netns/amphora-haproxy\")"
            }
            Self::SudoRefused => {
                "sudo on the amphora refused (the login user needs NOPASSWD in sudoers, which cloud-init writes at first boot; try cloud-user@ for a plain shell)"
            }
            Self::NoSudo => {
                "the amphora has no sudo (try cloud-user@ for a plain shell; the image must carry sudo for root@ and netns@)"
            }
            Self::NoShell => {
                "root has no usable login shell on the amphora (see root's line in /etc/passwd there; try cloud-user@ for a plain shell)"
            }
            Self::NoSftpServer => {
                "the amphora has no sftp-server (try \"scp -O\", or install openssh-sftp-server in the image)"
            }
            Self::Cut => {
                "the amphora closed the channel before the landing came about (try again; if it stays, try cloud-user@ and look at sshd's log there)"
            }
        }
    }

    /// The word in events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoNamespace => "no_namespace",
            Self::NoIp => "no_ip",
            Self::SudoRefused => "sudo_refused",
            Self::NoSudo => "no_sudo",
            Self::NoShell => "no_shell",
            Self::NoSftpServer => "no_sftp_server",
            Self::Cut => "cut",
        }
    }
}

impl fmt::Display for LandingFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// The words that a script can say after the stem, with what they mean.
const WORDS: [(&str, Result<(), LandingFailure>); 5] = [
    ("=ready;", Ok(())),
    ("=no-namespace;", Err(LandingFailure::NoNamespace)),
    ("=no-ip;", Err(LandingFailure::NoIp)),
    ("=no-shell;", Err(LandingFailure::NoShell)),
    ("=no-sftp;", Err(LandingFailure::NoSftpServer)),
];

/// What became of one piece of bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Fed<'b> {
    /// Bytes to record and to forward now, on the stream on which they came. May be empty while a beginning of the
    /// marker is held back; never more than [`LandingProbe::LONGEST_HELD`] bytes are.
    pub pass: Cow<'b, [u8]>,
    /// Given once, with the piece in which the marker ended.
    pub verdict: Option<Result<(), LandingFailure>>,
}

/// Watches for the marker. Feed it each piece of output until it has [settled](Self::is_settled); when the channel is
/// closed (not at exit-status: sshd may send that before the last output) call [`finish`](Self::finish).
#[derive(Debug)]
pub struct LandingProbe {
    /// `None` once it is settled.
    stem: Option<Vec<u8>>,
    on: Stream,
    held: Vec<u8>,
    verdict: Option<Result<(), LandingFailure>>,
}

impl LandingProbe {
    /// The most bytes that are held back: the longest marker but one byte.
    pub const LONGEST_HELD: usize = 40 + 13;

    /// A probe for a channel on which nothing has been received.
    pub(crate) fn new(nonce: Nonce, pty: bool) -> Self {
        Self {
            stem: Some(nonce.stem().into_bytes()),
            on: if pty { Stream::Stdout } else { Stream::Stderr },
            held: Vec::new(),
            verdict: None,
        }
    }

    /// Nothing to wait for.
    pub(crate) fn landed() -> Self {
        Self {
            stem: None,
            on: Stream::Stdout,
            held: Vec::new(),
            verdict: Some(Ok(())),
        }
    }

    /// Is it known whether the operator landed? From then on, bytes need no feeding and pass as they are.
    pub fn is_settled(&self) -> bool {
        self.verdict.is_some()
    }

    /// What is known so far.
    pub fn verdict(&self) -> Option<Result<(), LandingFailure>> {
        self.verdict
    }

    /// Takes a piece of output.
    pub fn feed<'b>(&mut self, stream: Stream, bytes: &'b [u8]) -> Fed<'b> {
        let Some(stem) = self.stem.as_deref().filter(|_| stream == self.on) else {
            return Fed {
                pass: Cow::Borrowed(bytes),
                verdict: None,
            };
        };
        let mut seen = std::mem::take(&mut self.held);
        seen.extend_from_slice(bytes);
        let (found, keep) = find(&seen, stem);
        if let Some((start, end, meaning)) = found {
            seen.drain(start..end);
            self.stem = None;
            self.verdict = Some(meaning);
            return Fed {
                pass: Cow::Owned(seen),
                verdict: Some(meaning),
            };
        }
        self.held = seen.split_off(keep);
        Fed {
            pass: Cow::Owned(seen),
            verdict: None,
        }
    }

    /// The channel is closed; `exit` is the exit status, if one came. Gives the stream and the bytes which are still to
    /// be passed on, and the failure, if the operator did not land.
    pub fn finish(self, exit: Option<u32>) -> (Stream, Vec<u8>, Option<LandingFailure>) {
        let failure = match (self.verdict, exit) {
            (Some(known), _) => known.err(),
            (None, Some(126 | 127)) => Some(LandingFailure::NoSudo),
            (None, Some(_)) => Some(LandingFailure::SudoRefused),
            (None, None) => Some(LandingFailure::Cut),
        };
        (self.on, self.held, failure)
    }
}

type Found = (usize, usize, Result<(), LandingFailure>);

/// The first whole marker in `seen`; else from where on the bytes may be the beginning of one.
fn find(seen: &[u8], stem: &[u8]) -> (Option<Found>, usize) {
    let mut at = 0;
    while let Some(rest) = seen.get(at..).filter(|rest| !rest.is_empty()) {
        match marker(rest, stem) {
            Read::Whole(length, meaning) => return (Some((at, at + length, meaning)), at),
            Read::Beginning => return (None, at),
            Read::Other => at += 1,
        }
    }
    (None, seen.len())
}

enum Read {
    Whole(usize, Result<(), LandingFailure>),
    Beginning,
    Other,
}

/// Does `rest` begin with a marker?
fn marker(rest: &[u8], stem: &[u8]) -> Read {
    let Some(word) = rest.strip_prefix(stem) else {
        return if stem.starts_with(rest) {
            Read::Beginning
        } else {
            Read::Other
        };
    };
    let mut read = Read::Other;
    for (known, meaning) in WORDS {
        if word.starts_with(known.as_bytes()) {
            return Read::Whole(stem.len() + known.len(), meaning);
        }
        if known.as_bytes().starts_with(word) {
            read = Read::Beginning;
        }
    }
    read
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
