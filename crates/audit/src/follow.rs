//! In: a journal's directory and a place in it.
//! Out: the whole lines after that place, over all segments, up to the end as it is now.
//! Never: gives half a line, or leaves a segment before a later one exists.

use crate::error::AuditError;
use crate::line::MAX_LINE;
use crate::segment::Segment;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Reads a journal line by line, also while it grows.
pub(crate) struct Follower {
    dir: PathBuf,
    segment: Option<Segment>,
    offset: u64,
    reader: Option<BufReader<File>>,
}

impl Follower {
    /// Starts behind the given place; from the very first line without one.
    pub fn new(dir: &Path, after: Option<(Segment, u64)>) -> Follower {
        let (segment, offset) =
            after.map_or((None, 0), |(segment, offset)| (Some(segment), offset));
        Follower {
            dir: dir.into(),
            segment,
            offset,
            reader: None,
        }
    }

    /// The next line without its newline, into `line`; false at the end as it is now.
    pub fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool, AuditError> {
        loop {
            if self.read(line)? {
                return Ok(true);
            }
            let Some(later) = self.later()? else {
                return Ok(false);
            };
            // The writer may have added lines to the old segment before it made the new one: look once more.
            if self.read(line)? {
                return Ok(true);
            }
            *self = Follower::new(&self.dir, Some((later, 0)));
        }
    }

    /// Where the last line given ends.
    pub fn place(&self) -> Option<(Segment, u64)> {
        self.segment.map(|segment| (segment, self.offset))
    }

    fn read(&mut self, line: &mut Vec<u8>) -> Result<bool, AuditError> {
        let Some(segment) = self.segment else {
            return Ok(false);
        };
        let path = segment.path(&self.dir);
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let mut file = match File::open(&path) {
                    Ok(file) => file,
                    Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(false),
                    Err(fault) => return Err(AuditError::io("open", path)(fault)),
                };
                file.seek(SeekFrom::Start(self.offset))
                    .map_err(AuditError::io("read", &path))?;
                none.insert(BufReader::with_capacity(MAX_LINE, file))
            }
        };
        line.clear();
        let limit = MAX_LINE as u64 + 1;
        reader
            .take(limit)
            .read_until(b'\n', line)
            .map_err(AuditError::io("read", &path))?;
        if line.last() != Some(&b'\n') && line.len() as u64 != limit {
            // Nothing, or half a line: it will be whole another time.
            self.reader = None;
            return Ok(false);
        }
        self.offset += line.len() as u64;
        line.pop();
        Ok(true)
    }

    fn later(&self) -> Result<Option<Segment>, AuditError> {
        let all = Segment::list(&self.dir)?;
        Ok(all
            .into_iter()
            .find(|segment| Some(*segment) > self.segment))
    }
}
