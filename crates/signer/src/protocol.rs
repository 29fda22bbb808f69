//! In: one message of the ssh-agent protocol (draft-ietf-sshm-ssh-agent), any bytes at all.
//! Out: one of three requests, or why not; and the bytes of replies.
//! Never: panics, or keeps a request that it does not know: what is not here is refused.

/// The longest message, its 4 bytes of length not counted. OpenSSH's agents have the same limit.
pub const MAX_MESSAGE: usize = 256 * 1024;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const EXTENSION: u8 = 27;
const FAILURE: u8 = 5;
const EXTENSION_RESPONSE: u8 = 29;

/// The extension by which the gateway has heads sealed.
pub(crate) const SEAL: &[u8] = b"seal@ampgate";

/// Ask for a signature with SHA-256 (RSA only).
pub(crate) const RSA_SHA2_256: u32 = 2;
/// Ask for a signature with SHA-512 (RSA only).
pub(crate) const RSA_SHA2_512: u32 = 4;

/// What a client may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// The public octavia keys.
    Identities,
    /// A signature by an octavia key.
    Sign {
        /// The public key, as on the wire.
        key: &'a [u8],
        /// What to sign.
        data: &'a [u8],
        /// Which hash (RSA).
        flags: u32,
    },
    /// A signature by the sealing key; an empty message asks for its public key alone.
    Seal {
        /// What to sign.
        message: &'a [u8],
    },
}

/// Why a message is no request. Text for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends too early, or a length in it is wrong.
    #[error("the message is cut or has a wrong length in it")]
    Cut,
    /// Bytes are left over.
    #[error("bytes are left over at the message's end")]
    Trailing,
    /// A message type that is not served: adding, removing, locking keys …
    #[error("message type {0} is not served")]
    Type(u8),
    /// An extension that is not served.
    #[error("the extension is not served")]
    Extension,
}

impl<'a> Request<'a> {
    /// Reads one message, given without its 4 bytes of length.
    pub fn parse(message: &'a [u8]) -> Result<Request<'a>, Malformed> {
        let mut wire = Wire(message);
        let request = match wire.byte().ok_or(Malformed::Cut)? {
            REQUEST_IDENTITIES => Request::Identities,
            SIGN_REQUEST => {
                let key = wire.string().ok_or(Malformed::Cut)?;
                let data = wire.string().ok_or(Malformed::Cut)?;
                Request::Sign {
                    key,
                    data,
                    flags: wire.number().ok_or(Malformed::Cut)?,
                }
            }
            EXTENSION => match wire.string().ok_or(Malformed::Cut)? {
                name if name == SEAL => Request::Seal {
                    message: wire.string().ok_or(Malformed::Cut)?,
                },
                _ => return Err(Malformed::Extension),
            },
            other => return Err(Malformed::Type(other)),
        };
        wire.is_empty()
            .then_some(request)
            .ok_or(Malformed::Trailing)
    }
}

/// A reader of the SSH wire format (RFC 4251 §5). `None` wherever the bytes do not suffice.
pub(crate) struct Wire<'a>(pub &'a [u8]);

impl<'a> Wire<'a> {
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    pub fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends a string with its length.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    // Everything put here was read from messages of at most 256 KiB or made from keys.
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(text);
}

/// A request as a message, its length in front: the client's side.
pub(crate) fn seal_request(message: &[u8]) -> Vec<u8> {
    let mut body = vec![EXTENSION];
    put_string(&mut body, SEAL);
    put_string(&mut body, message);
    framed(body)
}

/// Reads the reply to [`seal_request`]: public key and signature (empty if only the key was asked for).
pub(crate) fn seal_reply(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut wire = Wire(message);
    let right = wire.byte()? == EXTENSION_RESPONSE && wire.string()? == SEAL;
    let reply = (wire.string()?, wire.string()?);
    (right && wire.is_empty()).then_some(reply)
}

pub(crate) fn refused() -> Vec<u8> {
    framed(vec![FAILURE])
}

pub(crate) fn identities<'k>(keys: impl ExactSizeIterator<Item = (&'k [u8], &'k str)>) -> Vec<u8> {
    let mut body = vec![IDENTITIES_ANSWER];
    body.extend_from_slice(&u32::try_from(keys.len()).unwrap_or(0).to_be_bytes());
    for (blob, comment) in keys {
        put_string(&mut body, blob);
        put_string(&mut body, comment.as_bytes());
    }
    framed(body)
}

pub(crate) fn signed(algorithm: &str, signature: &[u8]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(signature.len() + 32);
    put_string(&mut blob, algorithm.as_bytes());
    put_string(&mut blob, signature);
    let mut body = vec![SIGN_RESPONSE];
    put_string(&mut body, &blob);
    framed(body)
}

pub(crate) fn sealed(public: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut body = vec![EXTENSION_RESPONSE];
    put_string(&mut body, SEAL);
    put_string(&mut body, public);
    put_string(&mut body, signature);
    framed(body)
}

fn framed(body: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 4);
    put_string(&mut out, &body);
    out
}
