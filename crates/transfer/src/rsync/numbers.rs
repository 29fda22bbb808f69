//! In: bytes that an rsync sent, from where something begins. Out: its numbers and strings, of every protocol from 29 on.
//! Never: reads past what is there; takes a number that rsync itself would not.

use super::NoRsync;

/// Why nothing was read.
pub(super) enum Stop {
    /// More bytes are needed.
    Short,
    NoRsync,
}

impl From<NoRsync> for Stop {
    fn from(_: NoRsync) -> Self {
        Self::NoRsync
    }
}

pub(super) type Read<T> = Result<T, Stop>;

pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    protocol: u32,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8], protocol: u32) -> Self {
        Self {
            bytes,
            at: 0,
            protocol,
        }
    }

    /// How many bytes were read.
    pub(super) fn read(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Read<&'b [u8]> {
        let end = self.at.checked_add(count).ok_or(Stop::NoRsync)?;
        let taken = self.bytes.get(self.at..end).ok_or(Stop::Short)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Read<u8> {
        self.take(1)?.first().copied().ok_or(Stop::Short)
    }

    /// Little-endian, of as many bytes as there are.
    fn little(&mut self, count: usize) -> Read<u64> {
        let bytes = self.take(count)?.iter().rev();
        Ok(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub(super) fn short(&mut self) -> Read<u32> {
        self.little(2).map(|number| number as u32)
    }

    pub(super) fn int(&mut self) -> Read<i32> {
        self.little(4).map(|number| number as u32 as i32)
    }

    /// A first byte that says how many follow, and holds the highest bits.
    fn packed(&mut self, least: usize, most: usize) -> Read<u64> {
        let first = self.byte()?;
        let extra = first.leading_ones().min(6) as usize;
        let width = least - 1 + extra;
        if width > most {
            return Err(Stop::NoRsync);
        }
        let low = self.little(width)?;
        let high = u64::from(first) & ((1 << (8 - extra)) - 1);
        match width {
            8 if high > 0 => Err(Stop::NoRsync),
            8 => Ok(low),
            width => Ok(low | high << (8 * width)),
        }
    }

    /// 32 bits in one to five bytes.
    pub(super) fn varint(&mut self) -> Read<i32> {
        let number = self.packed(1, 4)?;
        let number = u32::try_from(number).map_err(|_| Stop::NoRsync)?;
        Ok(number as i32)
    }

    /// 64 bits in `least` to nine bytes.
    pub(super) fn varlong(&mut self, least: usize) -> Read<i64> {
        self.packed(least, 8).map(|number| number as i64)
    }

    /// Protocol 29 has fixed numbers where later ones have packed ones.
    pub(super) fn varint30(&mut self) -> Read<i32> {
        match self.protocol {
            29 => self.int(),
            _ => self.varint(),
        }
    }

    pub(super) fn varlong30(&mut self, least: usize) -> Read<i64> {
        match self.protocol {
            29 => self.longint(),
            _ => self.varlong(least),
        }
    }

    pub(super) fn longint(&mut self) -> Read<i64> {
        match self.int()? {
            -1 => self.little(8).map(|number| number as i64),
            number => Ok(i64::from(number)),
        }
    }

    /// A string with its length in one or two bytes.
    pub(super) fn vstring(&mut self, longest: usize) -> Read<&'b [u8]> {
        let first = usize::from(self.byte()?);
        let length = match first & 0x80 {
            0 => first,
            _ => (first & 0x7f) << 8 | usize::from(self.byte()?),
        };
        match length < longest {
            true => self.take(length),
            false => Err(Stop::NoRsync),
        }
    }

    /// A string with its length in one byte.
    pub(super) fn string(&mut self) -> Read<&'b [u8]> {
        let length = self.byte()?;
        self.take(usize::from(length))
    }
}

/// Indices are sent as the difference to the one before; positive and negative ones apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Indices {
    positive: u32,
    negative: u32,
}

/// The end of something.
pub(super) const DONE: i32 = -1;
/// No more lists of files will come.
pub(super) const NO_MORE_LISTS: i32 = -2;
/// What was removed, in numbers.
pub(super) const REMOVED: i32 = -3;
/// From here downwards: the list of files of a directory.
pub(super) const LIST: i32 = -101;

impl Indices {
    pub(super) fn new() -> Self {
        Self {
            positive: u32::MAX,
            negative: 1,
        }
    }

    /// The next index, and what the one after it is seen from.
    pub(super) fn next(mut self, reader: &mut Reader<'_>) -> Read<(i32, Self)> {
        if reader.protocol < 30 {
            return Ok((reader.int()?, self));
        }
        let mut first = reader.byte()?;
        if first == 0 {
            return Ok((DONE, self));
        }
        let is_negative = first == 0xff;
        if is_negative {
            first = reader.byte()?;
        }
        let before = match is_negative {
            true => &mut self.negative,
            false => &mut self.positive,
        };
        let number = match first {
            0xfe => {
                let (high, low) = (reader.byte()?, reader.byte()?);
                match high & 0x80 {
                    0 => before.wrapping_add(u32::from(high) << 8 | u32::from(low)),
                    _ => {
                        let middle = reader.short()?;
                        u32::from(high & 0x7f) << 24 | middle << 8 | u32::from(low)
                    }
                }
            }
            difference => before.wrapping_add(u32::from(difference)),
        };
        *before = number;
        let index = i32::try_from(number).map_err(|_| Stop::NoRsync)?;
        Ok((if is_negative { -index } else { index }, self))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn read<T>(bytes: &[u8], take: impl Fn(&mut Reader<'_>) -> Read<T>) -> T {
        for short in 0..bytes.len() {
            let cut = take(&mut Reader::new(&bytes[..short], 32));
            assert!(matches!(cut, Err(Stop::Short)), "{bytes:02x?} at {short}");
        }
        let mut reader = Reader::new(bytes, 32);
        let Ok(value) = take(&mut reader) else {
            panic!("{bytes:02x?} is not read")
        };
        assert_eq!(reader.read(), bytes.len());
        value
    }

    /// The numbers as rsync's own documentation of its wire has them.
    #[test]
    fn packed_numbers() {
        for (bytes, number) in [
            (&[0x00][..], 0),
            (&[0x7f], 0x7f),
            (&[0x80, 0xff], 0xff),
            (&[0x81, 0xfe], 0x1fe),
            (&[0xc0, 0xff, 0xff], 0xffff),
            (&[0xe1, 0x02, 0x03, 0x04], 0x0104_0302),
            (&[0xf0, 0xff, 0xff, 0xff, 0xff], -1),
        ] {
            assert_eq!(
                read(bytes, |reader| reader.varint()),
                number,
                "{bytes:02x?}"
            );
        }
        let long = |bytes: &[u8]| read(bytes, |reader| reader.varlong(3));
        assert_eq!(long(&[0x00, 0x05, 0x00]), 5);
        assert_eq!(long(&[0x10, 0x00, 0x00]), 0x10_0000);
        assert_eq!(long(&[0xc0, 0x00, 0x00, 0x00, 0x40]), 0x4000_0000);
        let wide = [0xfe, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        let taken = Reader::new(&wide, 32).varlong(4);
        assert!(matches!(taken, Err(Stop::NoRsync)));
    }

    #[test]
    fn indices_are_differences() {
        let mut indices = Indices::new();
        for (bytes, index) in [
            (&[1][..], 0),
            (&[5], 5),
            (&[0xff, 1], -2),
            (&[0xff, 99], -101),
            (&[0], DONE),
            (&[0xfe, 0x01, 0x00], 0x105),
            (&[0xfe, 0x81, 0x04, 0x02, 0x03], 0x0103_0204),
            (&[1], 0x0103_0205),
        ] {
            let (seen, next) = read(bytes, |reader| indices.next(reader));
            assert_eq!(seen, index, "{bytes:02x?}");
            indices = next;
        }
    }
}
