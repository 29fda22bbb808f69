//! In: how the last pass went. Out: a small file that `ampgate archive status` reads, also while nothing runs.
//! Never: read to decide anything.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How the archive stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// When this was written.
    pub at: Timestamp,
    /// Which store.
    pub store: String,
    /// Files of this machine that are wholly there and proved.
    pub shipped: usize,
    /// Open files, whose bytes so far are there as parts.
    pub growing: usize,
    /// Files with bytes that are not there.
    pub waiting: usize,
    /// Those bytes.
    pub waiting_bytes: u64,
    /// Recordings that are held.
    pub held: usize,
    /// Deletions that wait for somebody to agree.
    pub to_approve: Vec<String>,
    /// What is wrong, since when.
    pub fault: Option<String>,
    /// Passes in a row that failed.
    pub failures: u32,
}
