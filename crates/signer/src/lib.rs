//! The process that holds the octavia key ring and the sealing key, behind the ssh-agent protocol.
//!
//! Reading order follows a request: [`run`] hardens the process, reads the keys and listens; a connection's bytes become a
//! [`Request`]; what is to be signed must be a [`LoginProof`] (octavia keys) or a [`SealMessage`] (sealing key), and nothing
//! else can be. [`SealClient`] is the gateway's side; for logins it uses its SSH library's own agent client.
//!
//! `docs/SIGNER.md` is the document.

mod client;
mod error;
mod harden;
mod keys;
mod login;
mod protocol;
mod rsa;
mod seal;
mod serve;
mod socket;

pub use client::{SealClient, SealError};
pub use error::SignerError;
pub use keys::{KeyRing, OctaviaKey, SealingKey};
pub use login::{LoginProof, NotALogin};
pub use protocol::{MAX_MESSAGE, Malformed, Request};
pub use seal::{NotASeal, SealMessage};
pub use serve::{SignerConfig, answer, run};
