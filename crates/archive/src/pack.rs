//! In: plain bytes of a file, or an object's. Out: the other of the two.
//! Never: more bytes out of an object than were said to be in it.

use crate::name::Key;

/// Plain bytes of one object. It bounds the memory of a pass (three times this) and what one failure costs.
pub(crate) const VOLUME: usize = 64 << 20;
/// Plain bytes of a piece of a growing file.
pub(crate) const PART: u64 = 8 << 20;
/// No object of ours is larger: an incompressible volume, and what zstd adds.
pub(crate) const LARGEST_OBJECT: usize = VOLUME + (1 << 20);
/// Where zstd is smaller than gzip for short recordings too, and still faster than the way to a store.
const LEVEL: i32 = 9;

pub(crate) fn pack(key: &Key, plain: Vec<u8>) -> std::io::Result<Vec<u8>> {
    match key.compressed() {
        true => zstd::bulk::compress(&plain, LEVEL),
        false => Ok(plain),
    }
}

/// The plain bytes, which must be exactly so many.
pub(crate) fn unpack(key: &Key, stored: &[u8], size: u64) -> Result<Vec<u8>, String> {
    let size = usize::try_from(size).ok().filter(|size| *size <= VOLUME);
    let size = size.ok_or("it is said to be larger than any object")?;
    let plain = match key.compressed() {
        true => zstd::bulk::decompress(stored, size).map_err(|e| format!("no zstd frame: {e}"))?,
        false => stored.to_vec(),
    };
    match plain.len() == size {
        true => Ok(plain),
        false => Err(format!("{} bytes instead of {size}", plain.len())),
    }
}
