//! In: an admin's connection to the control socket. Out: a live session's screen on it, as it happens, and keys back.
//! Never: another format than JSON lines in, or anything but drawing out.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::{Admin, Answer, name_of};
use crate::gateway::Gateway;
use crate::live::LiveSession;
use crate::pane::{Keys, Pane, STUCK, Touch, window};
use crate::watch::{self, By};
use crate::wish::SessionWord;

/// The longest line of keys; what is pasted is longer, and is no key.
const LONGEST: usize = 8 << 10;

/// What the command line sends while it watches.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sign {
    Keys(Vec<u8>),
    Size(u32, u32),
}

/// Lines of signs.
struct Signs<R> {
    read: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin + Send> Keys for Signs<R> {
    async fn next(&mut self) -> Touch {
        loop {
            // Only what `fill_buf` gave is taken: nothing is lost when this is dropped while it waits.
            let Ok(buffer) = self.read.fill_buf().await else {
                return Touch::Gone;
            };
            if buffer.is_empty() {
                return Touch::Gone;
            }
            let end = buffer.iter().position(|b| *b == b'\n');
            let taken = end.map_or(buffer.len(), |end| end + 1);
            self.line
                .extend_from_slice(buffer.get(..taken).unwrap_or_default());
            self.read.consume(taken);
            if self.line.len() > LONGEST {
                return Touch::Gone;
            }
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                return match serde_json::from_slice(&line) {
                    Ok(Sign::Keys(typed)) => Touch::Keys(typed),
                    Ok(Sign::Size(columns, rows)) => Touch::Size(window(columns, rows)),
                    Err(_) => Touch::Gone,
                };
            }
        }
    }
}

impl Pane for OwnedWriteHalf {
    async fn show(&mut self, drawing: Vec<u8>) -> bool {
        self.write_all(&drawing).await.is_ok()
    }
}

/// The one live session whose id begins so.
pub fn find(gateway: &Gateway, session: &str) -> Result<Arc<LiveSession>, String> {
    let word = SessionWord::parse(session)?;
    let mut found = gateway.sessions.all();
    found.retain(|live| live.session.to_string().starts_with(word.as_str()));
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(format!(
            "there is no session {} that is live",
            word.as_str()
        )),
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(format!(
            "{} is the beginning of several live sessions; type more of it",
            word.as_str()
        )),
    }
}

/// Answers that it begins, and watches.
pub async fn attend(
    gateway: &Arc<Gateway>,
    admin: &Admin,
    session: &str,
    size: (u32, u32),
    read: OwnedReadHalf,
    mut write: OwnedWriteHalf,
) -> std::io::Result<()> {
    let line = |answer: &Answer| {
        let mut line = serde_json::to_vec(answer).unwrap_or_default();
        line.push(b'\n');
        line
    };
    let live = match find(gateway, session) {
        Ok(live) => live,
        Err(text) => return say(&mut write, &line(&Answer::Error { text }), STUCK).await,
    };
    say(&mut write, &line(&Answer::Watching), STUCK).await?;
    let mut signs = Signs {
        read: BufReader::new(read),
        line: Vec::new(),
    };
    let by = By::Admin {
        uid: admin.uid,
        name: name_of(admin.uid),
    };
    let size = window(size.0, size.1);
    let told = match watch::run(gateway, &live, by, &mut signs, &mut write, size).await {
        Ok(over) => over.told,
        Err(trouble) => Some(trouble.to_string()),
    };
    let told = told.map(|told| format!("ampgate: {told}. session {}\r\n", live.session));
    say(&mut write, told.unwrap_or_default().as_bytes(), STUCK).await
}

/// A word to a program that may read nothing.
async fn say<W: AsyncWrite + Unpin>(
    write: &mut W,
    text: &[u8],
    at_most: Duration,
) -> std::io::Result<()> {
    let said = tokio::time::timeout(at_most, write.write_all(text)).await;
    said.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn a_program_that_reads_nothing_holds_nobody() {
        let (mut ours, theirs) = tokio::io::duplex(4);
        let at_most = Duration::from_millis(20);
        let said = say(&mut ours, b"more than it holds", at_most).await;
        assert!(said.is_err_and(|e| e.kind() == std::io::ErrorKind::TimedOut));
        drop(theirs);
    }

    #[tokio::test]
    async fn signs_are_read_and_anything_else_is_the_end() {
        let text = b"{\"keys\":[107,113]}\n{\"size\":[100,30]}\nnonsense\n".as_slice();
        let mut signs = Signs {
            read: BufReader::with_capacity(3, text),
            line: Vec::new(),
        };
        assert!(matches!(signs.next().await, Touch::Keys(typed) if typed == b"kq"));
        assert!(matches!(signs.next().await, Touch::Size((100, 30))));
        assert!(matches!(signs.next().await, Touch::Gone));
        let endless = vec![b'x'; 1 << 20];
        let mut signs = Signs {
            read: BufReader::new(endless.as_slice()),
            line: Vec::new(),
        };
        assert!(matches!(signs.next().await, Touch::Gone));
    }
}
