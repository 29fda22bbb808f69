//! In: a sentence. Out: the operator has read it, on the right stream, and the channel is closed with its status.
//! Never: waits longer than a moment for a client that does not read.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ampgate_access::SessionId;

use crate::ask::{self, Downstream};
use crate::sentence::Trouble;

/// RFC 4254 section 5.2.
const STDERR: u32 = 1;
/// A client that does not take a sentence in this time does not want it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells why there is no session, or why it ended, and closes the channel.
pub async fn trouble(down: &Downstream, pty: bool, trouble: &Trouble, session: &SessionId) {
    ask::answer(down, true).await;
    // After EOF nothing may follow; the recording and the journal have the sentence all the same.
    if !down.ended.load(Ordering::Relaxed) {
        let said = down
            .write
            .extended_data_bytes(STDERR, line(pty, &trouble.told(session)));
        let _ = tokio::time::timeout(PATIENCE, said).await;
    }
    close(down, trouble.status()).await;
}

/// Answers with text on stdout.
pub async fn text(down: &Downstream, pty: bool, text: &str, status: u32) {
    ask::answer(down, true).await;
    let shown = if pty {
        text.replace('\n', "\r\n")
    } else {
        text.to_owned()
    };
    let _ = tokio::time::timeout(PATIENCE, down.write.data_bytes(shown.into_bytes())).await;
    close(down, status).await;
}

/// The program has ended and everything of it is said: closes the channel.
pub async fn done(down: &Downstream) {
    let _ = tokio::time::timeout(PATIENCE, async {
        ask::end_of_output(&down.write, &down.ended).await;
        let _ = down.write.close().await;
    })
    .await;
}

/// A line begins at the left edge, also on a terminal in raw mode with half a line on it.
pub fn line(pty: bool, sentence: &str) -> Vec<u8> {
    if pty {
        format!("\r\n{sentence}\r\n").into_bytes()
    } else {
        format!("{sentence}\n").into_bytes()
    }
}

async fn close(down: &Downstream, status: u32) {
    let _ = tokio::time::timeout(PATIENCE, async {
        let _ = down.write.exit_status(status).await;
        ask::end_of_output(&down.write, &down.ended).await;
        let _ = down.write.close().await;
    })
    .await;
}
