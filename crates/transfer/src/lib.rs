//! In: the bytes of a file transfer, both ways, in pieces of any size.
//! Out: the same bytes, the operations that they are, and what has to be decided before it goes on.
//! Never: I/O, waiting, a decision, more memory than the constants here allow, or a byte that was not understood.

mod error;
mod frame;
mod wire;

mod content;
mod path;

mod asked;
mod happened;
mod request;
mod sftp;

mod command;
mod rsync;
mod scp;

pub use asked::{Asked, Follow, Named, Need, Place};
pub use command::{Command, Direction};
pub use content::{Completeness, Sum};
pub use error::Malformed;
pub use frame::LONGEST_PACKET;
pub use happened::{Change, ClosedFile, Happened, Keep};
pub use path::{Last, absolute, last_of};
pub use rsync::{Rsync, RsyncCommand, RsyncFile};
pub use scp::{Scp, ScpFile, Understood};
pub use sftp::{FromAmphora, FromClient, MAX_OUTSTANDING, Sftp, Status};
