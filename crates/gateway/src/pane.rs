//! In: a terminal at the other end: an SSH channel, or the control socket. Out: what is pressed there; drawing on it.
//! Never: a byte to it that is no drawing of ours; waits for one that takes nothing, or without hearing that it is gone.

use std::future::Future;
use std::time::Duration;

use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};

/// A terminal that takes nothing for so long is given up.
pub const STUCK: Duration = Duration::from_secs(30);

/// What came from it.
pub enum Touch {
    Keys(Vec<u8>),
    /// It has this size now.
    Size((usize, usize)),
    Gone,
}

/// Hears what is pressed. Can be dropped while it waits, and asked again.
pub trait Keys: Send {
    fn next(&mut self) -> impl Future<Output = Touch> + Send;
}

/// Takes drawing. False when it is gone.
pub trait Pane: Send + Sync {
    fn show(&mut self, drawing: Vec<u8>) -> impl Future<Output = bool> + Send;
}

impl Keys for ChannelReadHalf {
    async fn next(&mut self) -> Touch {
        loop {
            return match self.wait().await {
                Some(ChannelMsg::Data { data }) => Touch::Keys(data.to_vec()),
                Some(ChannelMsg::WindowChange {
                    col_width,
                    row_height,
                    ..
                }) => Touch::Size(window(col_width, row_height)),
                Some(ChannelMsg::Close) | None => Touch::Gone,
                Some(_) => continue,
            };
        }
    }
}

impl Pane for &ChannelWriteHalf<Msg> {
    async fn show(&mut self, drawing: Vec<u8>) -> bool {
        self.data_bytes(drawing).await.is_ok()
    }
}

/// A window as a client says it; a usual one where it says none, and none larger than anybody has.
pub fn window(columns: u32, rows: u32) -> (usize, usize) {
    match (columns, rows) {
        (0, _) | (_, 0) => (80, 24),
        (columns, rows) => (columns.min(1000) as usize, rows.min(1000) as usize),
    }
}
