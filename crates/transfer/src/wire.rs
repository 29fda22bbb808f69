//! In: the body of one packet. Out: its fields (draft-ietf-secsh-filexfer-02 section 3), and packets made of fields.
//! Never: reads past the end, or leaves bytes over unseen.

use bytes::Bytes;

use crate::error::Malformed;

/// PATH_MAX: no path is longer. It also bounds what waiting requests and refusals may hold.
const LONGEST_PATH: usize = 4096;

/// What is left of a packet's body.
pub(crate) struct Fields<'b> {
    rest: &'b [u8],
    what: &'static str,
}

impl<'b> Fields<'b> {
    pub(crate) fn new(body: &'b [u8], what: &'static str) -> Self {
        Self { rest: body, what }
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], Malformed> {
        let cut = self.rest.split_at_checked(count);
        let (taken, rest) =
            cut.ok_or_else(|| Malformed::new(format!("{} is cut short", self.what)))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    pub(crate) fn string(&mut self) -> Result<&'b [u8], Malformed> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    /// A path. A NUL in it would end it for the amphora, and not for us.
    pub(crate) fn path(&mut self) -> Result<&'b [u8], Malformed> {
        let path = self.string()?;
        if path.contains(&0) {
            return Err(Malformed::new(format!(
                "{} has a NUL in its path",
                self.what
            )));
        }
        if path.len() > LONGEST_PATH {
            return Err(Malformed::new(format!(
                "{} has a path of {} bytes, and Linux knows none above {LONGEST_PATH}",
                self.what,
                path.len()
            )));
        }
        Ok(path)
    }

    /// File attributes (section 5), and the size in them if there is one.
    pub(crate) fn attributes(&mut self) -> Result<Attributes, Malformed> {
        let mut found = Attributes {
            flags: self.u32()?,
            ..Attributes::default()
        };
        if found.flags & 0x1 != 0 {
            found.size = Some(self.u64()?);
        }
        if found.flags & 0x2 != 0 {
            found.owner = Some((self.u32()?, self.u32()?));
        }
        if found.flags & 0x4 != 0 {
            found.mode = Some(self.u32()?);
        }
        if found.flags & 0x8 != 0 {
            found.times = Some((self.u32()?, self.u32()?));
        }
        if found.flags & 0x8000_0000 != 0 {
            for _ in 0..self.u32()? {
                self.string()?;
                self.string()?;
            }
        }
        match found.flags & !0x8000_000f {
            0 => Ok(found),
            _ => Err(Malformed::new(format!(
                "{} has attributes of no known kind",
                self.what
            ))),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        match self.rest {
            [] => Ok(()),
            _ => Err(Malformed::new(format!(
                "{} has bytes behind its last field",
                self.what
            ))),
        }
    }
}

/// What is known of a file beside its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    flags: u32,
    pub(crate) size: Option<u64>,
    owner: Option<(u32, u32)>,
    mode: Option<u32>,
    times: Option<(u32, u32)>,
}

impl std::fmt::Display for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut words = Vec::new();
        words.extend(self.size.map(|size| format!("size {size}")));
        words.extend(
            self.owner
                .map(|(user, group)| format!("owner {user}:{group}")),
        );
        words.extend(self.mode.map(|mode| format!("mode {:04o}", mode & 0o7777)));
        words.extend(
            self.times
                .map(|(_, modified)| format!("modified {modified}")),
        );
        f.write_str(&words.join(", "))
    }
}

/// A packet under way: kind, then fields, then its length in front.
pub(crate) struct Packet(Vec<u8>);

impl Packet {
    pub(crate) fn new(kind: u8, id: u32) -> Self {
        let mut packet = vec![0, 0, 0, 0, kind];
        packet.extend_from_slice(&id.to_be_bytes());
        Self(packet)
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn string(self, value: &[u8]) -> Self {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.u32(length).raw(value)
    }

    pub(crate) fn raw(mut self, value: &[u8]) -> Self {
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn finish(mut self) -> Bytes {
        let length = u32::try_from(self.0.len().saturating_sub(4)).unwrap_or(u32::MAX);
        for (place, byte) in self.0.iter_mut().zip(length.to_be_bytes()) {
            *place = byte;
        }
        self.0.into()
    }
}
