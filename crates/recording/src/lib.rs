//! In: the bytes of one session channel, as the gateway is about to forward them; later, files.
//! Out: an asciicast v3 file that proves itself, plain or sealed, and readers, a verifier and exports for such files.
//! Never: the network, a sealing key, a database; no async, no thread of its own. Format: docs/RECORDING-FORMAT.md.

pub use chain::Head;
pub use envelope::Envelope;
pub use error::{HeaderFault, ReadError, RecordingError};
pub use export::{Format, RawBytes, export, raw};
pub use header::Header;
pub use key::{PublicKey, Signature};
pub use live::{ClosedRecording, LiveRecording, Stream};
pub use proof::Ending;
pub use reader::{Event, EventKind, Exit, Reader};
pub use recipient::{Identities, RecipientError, Recipients};
pub use session::{is_session_id, session_millis};
pub use store::{Store, recording_id};
pub use sync::SyncHandle;
pub use unsealer::Unsealer;
pub use verify::{Unsealed, Verdict, verify, verify_against, verify_stream};

mod chain;
mod envelope;
mod error;
mod escape;
mod export;
mod frame;
mod frames;
mod header;
mod key;
mod line;
mod live;
mod pending;
mod proof;
mod reader;
mod recipient;
mod sealer;
mod session;
mod store;
mod sync;
mod unsealer;
mod utf8;
mod verify;
mod writer;
