//! In: the recipients, then the bytes of a cast, in order.
//! Out: the first line of a sealed recording, then its frames: compressed, encrypted, numbered.
//! Never: a key with which an earlier frame could be read again: each frame's key is forgotten with the frame.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};
use zstd::zstd_safe::{CCtx, CParameter};

use crate::{
    envelope::Envelope,
    error::RecordingError,
    escape::json,
    frame::{FrameHead, HISTORY, MAGIC, PLAIN, TAG},
    header::Header,
    recipient::{DataKey, Recipients},
};

/// What stays of the history while nothing happens: so many bytes of the cast,
const RESTING: usize = 32 << 10;
/// if they can be packed into so many; text can.
const PACKED: usize = 8 << 10;
/// If not, so many as they are.
const UNPACKED: usize = 4 << 10;
/// zstd's level for packing, which is done once a minute.
const PACK: i32 = 3;
/// zstd's level for frames that time closed: small ones, where size counts.
const SMALL: i32 = 9;
/// And for full ones, of which many follow each other.
const BULK: i32 = 7;

const CONTEXT_CHAIN: &str = "ampgate sealed recording v1: chain key from data key and first line";
const CONTEXT_FRAME: &str = "ampgate sealed recording v1: frame key from chain key";
const CONTEXT_NEXT: &str = "ampgate sealed recording v1: next chain key from chain key";

/// By which frames of a recording are told from those of another: the begin of the hash of its first line.
pub(crate) fn recording_tag(first_line: &[u8]) -> [u8; 4] {
    let hash = blake3::hash(first_line);
    let mut tag = [0; 4];
    for (to, from) in tag.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    tag
}

/// The key that frame after frame moves on. What it was before cannot be computed from what it is.
pub(crate) struct Ratchet(Zeroizing<Vec<u8>>);

impl Ratchet {
    /// Bound to the first line, so that it cannot be exchanged.
    pub(crate) fn new(data_key: &DataKey, first_line: &[u8]) -> Self {
        let mut chain = Zeroizing::new(vec![0; 32]);
        derive(
            CONTEXT_CHAIN,
            &[data_key, blake3::hash(first_line).as_bytes()],
            &mut chain,
        );
        scrub();
        Self(chain)
    }

    /// The key of the next frame, which is used once: its nonce is zero. Whoever is done with it calls [`scrub`].
    #[inline(never)]
    pub(crate) fn key(&mut self) -> Option<LessSafeKey> {
        let mut key = Zeroizing::new(vec![0; 32]);
        derive(CONTEXT_FRAME, &[&self.0], &mut key);
        let mut next = Zeroizing::new(vec![0; 32]);
        derive(CONTEXT_NEXT, &[&self.0], &mut next);
        self.0 = next;
        UnboundKey::new(&AES_256_GCM, &key)
            .ok()
            .map(LessSafeKey::new)
    }

    pub(crate) fn nonce() -> Nonce {
        Nonce::assume_unique_for_key([0; 12])
    }
}

/// BLAKE3's key derivation, without a copy of anything in what is freed.
#[inline(never)]
fn derive(context: &str, material: &[&[u8]], to: &mut [u8]) {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in material {
        hasher.update(part);
    }
    let mut out = hasher.finalize_xof();
    out.fill(to);
    out.zeroize();
    hasher.zeroize();
}

/// Overwrites what the calls before it have left on this thread's stack: ciphers and hashes keep no promise about it.
#[inline(never)]
pub(crate) fn scrub() {
    let mut stack = [0_u8; 32 << 10];
    std::hint::black_box(&mut stack);
}

/// The last bytes of the cast, which compression may refer to.
#[derive(Default)]
pub(crate) struct History {
    bytes: Vec<u8>,
    /// What `bytes` were, by zstd, while nothing happens.
    packed: Option<Vec<u8>>,
}

impl History {
    /// The last so many; `None` if there are fewer.
    pub(crate) fn last(&self, bytes: usize) -> Option<&[u8]> {
        self.bytes.get(self.bytes.len().checked_sub(bytes)?..)
    }

    pub(crate) fn push(&mut self, plain: &[u8]) {
        self.bytes.extend_from_slice(plain);
        self.shrink(HISTORY);
    }

    fn shrink(&mut self, to: usize) {
        self.bytes.drain(..self.bytes.len().saturating_sub(to));
    }

    /// Gives memory back: a thousand shells at rest are to cost megabytes, and each line that they print later is to find
    /// what it repeats.
    fn rest(&mut self) {
        self.shrink(RESTING);
        if self.bytes.len() > UNPACKED {
            match zstd::bulk::compress(&self.bytes, PACK) {
                Ok(mut packed) if packed.len() <= PACKED => {
                    packed.shrink_to_fit();
                    self.packed = Some(packed);
                    self.bytes.clear();
                }
                _ => self.shrink(UNPACKED),
            }
        }
        self.bytes.shrink_to_fit();
    }

    /// What was packed, as it was. What cannot be unpacked, for want of memory, is no history: frames are larger then.
    fn wake(&mut self) {
        if let Some(packed) = self.packed.take() {
            self.bytes = zstd::bulk::decompress(&packed, RESTING).unwrap_or_default();
        }
    }
}

/// Makes the frames of one recording.
pub(crate) struct Sealer {
    ratchet: Ratchet,
    recording: [u8; 4],
    number: u32,
    history: History,
}

impl Sealer {
    /// A new data key for a recording, and its first line with a newline.
    pub(crate) fn new(
        header: &Header,
        recipients: &Recipients,
    ) -> Result<(Self, String), RecordingError> {
        let (data_key, wrapped) = recipients.deal().map_err(RecordingError::Recipients)?;
        let line = json(&Envelope::new(header, recipients.needed(), wrapped)) + "\n";
        let sealer = Self {
            ratchet: Ratchet::new(&data_key, line.as_bytes()),
            recording: recording_tag(line.as_bytes()),
            number: 0,
            history: History::default(),
        };
        Ok((sealer, line))
    }

    /// One frame, head and all. `plain` is not empty and at most [`PLAIN`] long.
    ///
    /// # Errors
    /// What could not be done; the recording is dead then.
    pub(crate) fn frame(&mut self, plain: &[u8]) -> Result<Vec<u8>, &'static str> {
        let frame = self.make_frame(plain);
        scrub();
        frame
    }

    #[inline(never)]
    fn make_frame(&mut self, plain: &[u8]) -> Result<Vec<u8>, &'static str> {
        self.history.wake();
        let history = self.history.bytes.as_slice();
        let level = if plain.len() < PLAIN { SMALL } else { BULK };
        let mut frame = vec![0; crate::frame::HEAD];
        frame.reserve(plain.len() + TAG);
        let compressed = compress(plain, history, level, &mut frame).is_some();
        if !compressed {
            frame.extend_from_slice(plain);
        }
        self.number = self.number.checked_add(1).ok_or("too many frames")?;
        let head = FrameHead {
            compressed,
            number: self.number,
            recording: self.recording,
            plain: plain.len(),
            history: if compressed { history.len() } else { 0 },
            sealed: frame.len() - crate::frame::HEAD + TAG,
        }
        .bytes()
        .ok_or("too long")?;
        let (front, body) = frame
            .split_first_chunk_mut::<{ crate::frame::HEAD }>()
            .ok_or("no head")?;
        *front = head;
        let key = self.ratchet.key().ok_or("no key")?;
        let tag = key
            .seal_in_place_separate_tag(Ratchet::nonce(), Aad::from(head), body)
            .map_err(|_| "encryption failed")?;
        frame.extend_from_slice(tag.as_ref());
        self.history.push(plain);
        Ok(frame)
    }

    /// Gives memory back while nothing happens.
    pub(crate) fn rest(&mut self) {
        self.history.rest();
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.history.bytes.capacity() + self.history.packed.as_ref().map_or(0, Vec::capacity)
    }
}

/// Appends the compressed bytes; `None`, and nothing appended, where that makes them no smaller.
fn compress(plain: &[u8], history: &[u8], level: i32, out: &mut Vec<u8>) -> Option<()> {
    // A context lives as long as its history may be looked at: for this frame.
    let mut context = CCtx::try_create()?;
    context
        .set_parameter(CParameter::CompressionLevel(level))
        .ok()?;
    // The frame's head has the size.
    context
        .set_parameter(CParameter::ContentSizeFlag(false))
        .ok()?;
    context.ref_prefix(history).ok()?;
    let mut room = vec![0; plain.len().saturating_sub(1) + MAGIC.len()];
    let length = context.compress2(room.as_mut_slice(), plain).ok()?;
    out.extend_from_slice(room.get(..length)?.strip_prefix(&MAGIC)?);
    Some(())
}
