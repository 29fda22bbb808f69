//! What happened: the hash-chained journal, the session index made from it, and the pins.
//!
//! Reading order follows an event: [`Text`] and [`Event`], the line it becomes, its segment, the [`Journal`]; then who
//! reads it: the [`Index`] and [`verify_journal`]. [`Pins`] and [`KeyMemory`] are what the gateway learned of amphorae.
//!
//! The journal is the truth and fails closed. The index is a copy: it may be lost, it is rebuilt, and nothing ever waits
//! for it. `docs/AUDIT-EVENTS.md` is the format's document.

mod anchor;
mod contents;
mod error;
mod event;
mod feed;
mod follow;
mod index;
mod journal;
mod key_memory;
mod line;
mod lock;
mod pins;
mod query;
mod reindex;
mod row;
mod segment;
mod text;
mod verify;

pub use anchor::Anchor;
pub use contents::contents;
pub use error::AuditError;
pub use event::{About, Event};
pub use feed::Feed;
pub use index::Index;
pub use journal::{Appended, Journal};
pub use key_memory::KeyMemory;
pub use line::{Envelope, JournalHead, LineHash, MAX_LINE};
pub use pins::{Pin, PinVerdict, Pins};
pub use query::{Page, Query};
pub use reindex::{Reindexed, reindex};
pub use row::SessionRow;
pub use segment::{Segment, no_power_cut};
pub use text::Text;
pub use verify::{ClosedRecordingRef, JournalFault, JournalReport, VerifyOptions, verify_journal};
