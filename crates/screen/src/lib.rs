//! In: bytes that programs printed, recorded or a moment ago, sizes, and keys that somebody presses.
//! Out: what a terminal of theirs would show, and the drawing that makes another terminal show it.
//! Never: I/O, a file, a network; a byte that acts on whoever looks.

pub mod draw;
pub mod drawn;
pub mod finder;
pub mod glyph;
pub mod keys;
pub mod picture;
pub mod player;
pub mod query;
mod rendered;
pub mod screen;
mod shell;
pub mod status;
pub mod text;
pub mod timeline;
pub mod watch;

/// The virtual terminal itself: whoever wants to know of its steps names them as it does.
pub use avt;
