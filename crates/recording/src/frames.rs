//! In: the records of a sealed recording, as anybody can see them.
//! Out: whether its frames are all there, in their order, and its own.
//! Never: a look into a frame: storage staff have no key.

use crate::{
    frame::FrameHead,
    line::Piece,
    proof::{DIED, END, HEAD, PROOF},
};

/// Counts frames.
pub(crate) struct Frames {
    recording: [u8; 4],
    seen: u32,
    /// The number of the frame that should have come; another one came.
    missing: Option<u32>,
}

impl Frames {
    pub(crate) fn new(recording: [u8; 4]) -> Self {
        Self {
            recording,
            seen: 0,
            missing: None,
        }
    }

    /// Whether a frame did not come in its place, and has not come since.
    pub(crate) fn is_waiting(&self) -> bool {
        self.missing.is_some()
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn take(&mut self, piece: &Piece<'_>) -> Result<(), &'static str> {
        if piece.cut {
            return Ok(());
        }
        if !piece.frame {
            let known = [HEAD, PROOF, END, DIED]
                .iter()
                .any(|word| piece.bytes.starts_with(word.as_bytes()));
            return if known {
                Ok(())
            } else {
                Err("neither a frame nor a proof")
            };
        }
        let head = FrameHead::parse(piece.bytes).ok_or("a frame that no recorder writes")?;
        if head.recording != self.recording {
            return Err("a frame of another recording");
        }
        if self.missing == Some(head.number) {
            return Err("frames have changed places");
        }
        if head.number <= self.seen {
            return Err("a frame is there twice");
        }
        if head.number > self.seen + 1 && self.missing.is_none() {
            self.missing = Some(self.seen + 1);
        }
        self.seen = head.number;
        Ok(())
    }
}
