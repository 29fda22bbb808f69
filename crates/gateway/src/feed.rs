//! In: output of one session that is recorded already, and the sizes of its terminal. Out: the newest of it, in order.
//! Never: more than its limit; a wait; a byte that stays in memory after it was taken or the session closed.

use std::collections::VecDeque;

use zeroize::Zeroizing;

/// Bytes of one piece: an idle session has one.
const PIECE: usize = 2048;
/// Sizes that are remembered; a flood of them is history.
const SIZES: usize = 32;

/// What waits to be drawn.
pub struct Feed {
    pieces: VecDeque<Zeroizing<Vec<u8>>>,
    kept: usize,
    limit: usize,
    /// All that ever came.
    end: u64,
    sizes: VecDeque<(u64, (u32, u32))>,
    lost: u64,
    closed: bool,
}

/// What was taken of it.
pub struct Taken {
    pub pieces: VecDeque<Zeroizing<Vec<u8>>>,
    /// Where the first piece begins in all that ever came.
    pub start: u64,
    /// Where the terminal got another size, and which.
    pub sizes: VecDeque<(u64, (u32, u32))>,
    /// Bytes before them that there was no room for.
    pub lost: u64,
}

impl Taken {
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.sizes.is_empty()
    }
}

impl Feed {
    pub fn new(limit: usize) -> Self {
        Self {
            pieces: VecDeque::new(),
            kept: 0,
            limit: limit.max(PIECE),
            end: 0,
            sizes: VecDeque::new(),
            lost: 0,
            closed: false,
        }
    }

    /// Bytes that wait.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Takes output in; the oldest makes room.
    pub fn output(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        let skipped = bytes.len().saturating_sub(self.limit);
        let (skip, mut rest) = bytes.split_at(skipped);
        self.lost += skip.len() as u64;
        self.end += skip.len() as u64;
        if !skip.is_empty() {
            while self.forget_oldest().is_some() {}
        }
        while !rest.is_empty() {
            if self.pieces.back().is_none_or(|piece| piece.len() == PIECE) {
                let full = self.kept + PIECE > self.limit;
                // The oldest is written over, which costs neither memory nor the wiping of it.
                let used = if full { self.forget_oldest() } else { None };
                let fresh = || Zeroizing::new(Vec::with_capacity(PIECE));
                self.pieces.push_back(used.unwrap_or_else(fresh));
            }
            let Some(piece) = self.pieces.back_mut() else {
                return;
            };
            let (now, later) = rest.split_at(rest.len().min(PIECE - piece.len()));
            piece.extend_from_slice(now);
            self.kept += now.len();
            self.end += now.len() as u64;
            rest = later;
        }
    }

    /// The terminal has another size from here on.
    pub fn resize(&mut self, size: (u32, u32)) {
        if self.closed {
            return;
        }
        if self.sizes.back().is_some_and(|(at, _)| *at == self.end) || self.sizes.len() == SIZES {
            self.sizes.pop_back();
        }
        self.sizes.push_back((self.end, size));
    }

    fn forget_oldest(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        let mut piece = self.pieces.pop_front()?;
        self.kept -= piece.len();
        self.lost += piece.len() as u64;
        piece.clear();
        Some(piece)
    }

    /// Everything that waits.
    pub fn take(&mut self) -> Taken {
        Taken {
            start: self.end - self.kept as u64,
            pieces: std::mem::take(&mut self.pieces),
            sizes: std::mem::take(&mut self.sizes),
            lost: {
                self.kept = 0;
                std::mem::take(&mut self.lost)
            },
        }
    }

    /// The session is over: nothing waits, and nothing is taken in.
    pub fn close(&mut self) {
        self.closed = true;
        drop(self.take());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;

    fn bytes(taken: &Taken) -> Vec<u8> {
        taken
            .pieces
            .iter()
            .flat_map(|p| p.iter().copied())
            .collect()
    }

    proptest! {
        /// Whatever comes in whatever pieces: the newest is kept, it is within the limit, and what is missing was counted.
        #[test]
        fn the_newest_is_kept_and_the_rest_counted(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9000), 0..12),
            limit in 2048usize..12_000,
            take_at in 0usize..12,
        ) {
            let mut feed = Feed::new(limit);
            let (mut all, mut from) = (Vec::new(), 0);
            for (at, chunk) in chunks.iter().enumerate() {
                if at == take_at {
                    feed.take();
                    from = all.len();
                }
                feed.output(chunk);
                all.extend_from_slice(chunk);
                prop_assert!(feed.kept() <= limit);
            }
            let since = all.len() - from;
            let taken = feed.take();
            let kept = bytes(&taken);
            prop_assert!(all.ends_with(&kept));
            prop_assert_eq!(kept.len() as u64 + taken.lost, since as u64);
            prop_assert_eq!(taken.start + kept.len() as u64, all.len() as u64);
            prop_assert!(taken.lost == 0 || kept.len() + 2 * PIECE > limit);
        }
    }

    #[test]
    fn sizes_stand_where_they_came_and_a_flood_of_them_is_one() {
        let mut feed = Feed::new(4096);
        feed.resize((80, 24));
        feed.resize((81, 25));
        feed.output(b"abc");
        for columns in 0..1000 {
            feed.resize((columns, 1));
            feed.output(b"x");
        }
        let taken = feed.take();
        assert_eq!(taken.sizes[0], (0, (81, 25)));
        assert!(taken.sizes.len() <= SIZES);
        assert_eq!(taken.sizes.back().unwrap().1, (999, 1));
        assert!(feed.take().is_empty());
    }

    #[test]
    fn a_closed_feed_takes_nothing() {
        let mut feed = Feed::new(4096);
        feed.output(b"secret");
        feed.close();
        feed.output(b"more");
        feed.resize((1, 1));
        assert!(feed.take().is_empty());
    }
}
