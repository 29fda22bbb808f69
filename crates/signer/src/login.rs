//! In: bytes that somebody wants an octavia key to sign.
//! Out: what they prove, if they are exactly one SSH public key login (RFC 4252 §7).
//! Never: lets anything else pass: a signature over other bytes would be a signature over anything.

use crate::protocol::Wire;

/// A login that a signature would prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginProof<'a> {
    /// The session identifier: the exchange hash of the connection's first key exchange. Another connection has another.
    pub session_id: &'a [u8],
    /// The login user on the amphora.
    pub user: &'a str,
    /// The signature algorithm.
    pub algorithm: &'a str,
    /// The public key that is to log in.
    pub key: &'a [u8],
}

/// Why bytes are no login. Text for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALogin {
    /// Not the fields of RFC 4252 §7, or bytes are left over.
    #[error("not the data of an SSH public key login")]
    Form,
    /// Another message than SSH_MSG_USERAUTH_REQUEST.
    #[error("not a user authentication request")]
    Message,
    /// Another service than `ssh-connection`.
    #[error("not for the service ssh-connection")]
    Service,
    /// Another method than `publickey` (host-bound too: it would need the host key to be looked at).
    #[error("not the method publickey")]
    Method,
    /// A probe whether a key would do, which needs no signature.
    #[error("a probe that needs no signature")]
    Probe,
}

/// SSH_MSG_USERAUTH_REQUEST.
const USERAUTH_REQUEST: u8 = 50;
/// A hash's length: SHA-256 to SHA-512. No key exchange in use has another.
const SESSION_ID: std::ops::RangeInclusive<usize> = 32..=64;

impl<'a> LoginProof<'a> {
    /// Reads the bytes.
    pub fn parse(data: &'a [u8]) -> Result<LoginProof<'a>, NotALogin> {
        let mut wire = Wire(data);
        let session_id = wire
            .string()
            .filter(|id| SESSION_ID.contains(&id.len()))
            .ok_or(NotALogin::Form)?;
        if wire.byte().ok_or(NotALogin::Form)? != USERAUTH_REQUEST {
            return Err(NotALogin::Message);
        }
        let user = text(&mut wire)?;
        if text(&mut wire)? != "ssh-connection" {
            return Err(NotALogin::Service);
        }
        if text(&mut wire)? != "publickey" {
            return Err(NotALogin::Method);
        }
        match wire.byte().ok_or(NotALogin::Form)? {
            0 => return Err(NotALogin::Probe),
            1 => {}
            _ => return Err(NotALogin::Form),
        }
        let algorithm = text(&mut wire)?;
        let key = wire.string().ok_or(NotALogin::Form)?;
        wire.is_empty()
            .then_some(LoginProof {
                session_id,
                user,
                algorithm,
                key,
            })
            .ok_or(NotALogin::Form)
    }
}

fn text<'a>(wire: &mut Wire<'a>) -> Result<&'a str, NotALogin> {
    wire.string()
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .ok_or(NotALogin::Form)
}
