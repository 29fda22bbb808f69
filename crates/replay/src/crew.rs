//! In: many things to be done, each by itself.
//! Out: the results in the order of the things, on as many threads as there are cores.
//! Never: results in memory without bound: a thread that is far ahead waits.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::sync_channel,
    },
    thread,
};

use anyhow::Result;

/// Results that wait for an earlier one.
const AHEAD: usize = 64;

/// Does `work` for each and gives the results to `take`, until that fails.
pub fn each<T: Sync, R: Send>(
    things: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut take: impl FnMut(usize, R) -> Result<()>,
) -> Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (next, taken, stop) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicBool::new(false),
    );
    let (sender, results) = sync_channel(AHEAD);
    thread::scope(|scope| {
        for _ in 0..threads.min(things.len()) {
            let (sender, next, taken, stop, work) = (sender.clone(), &next, &taken, &stop, &work);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(thing) = things.get(at) else { return };
                    while at > taken.load(Ordering::Relaxed) + AHEAD
                        && !stop.load(Ordering::Relaxed)
                    {
                        thread::sleep(std::time::Duration::from_millis(1));
                    }
                    if stop.load(Ordering::Relaxed) || sender.send((at, work(thing))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        for (at, result) in results {
            waiting.insert(at, result);
            while let Some(result) = waiting.remove(&turn) {
                if let Err(e) = take(turn, result) {
                    stop.store(true, Ordering::Relaxed);
                    return Err(e);
                }
                turn += 1;
                taken.store(turn, Ordering::Relaxed);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn results_come_in_order_and_a_fault_ends_it() {
        let things: Vec<u64> = (0..500).collect();
        let mut seen = Vec::new();
        each(
            &things,
            |n| n * 2,
            |at, double| {
                seen.push((at, double));
                Ok(())
            },
        )
        .unwrap();
        assert!(
            seen.iter()
                .enumerate()
                .all(|(at, (n, double))| at == *n && *double == 2 * at as u64)
        );
        assert_eq!(seen.len(), 500);
        let mut count = 0;
        let done = each(
            &things,
            |n| *n,
            |_, n| {
                count += 1;
                if n == 3 {
                    anyhow::bail!("enough")
                } else {
                    Ok(())
                }
            },
        );
        assert!(done.is_err() && count == 4);
        each(&[], |n: &u64| *n, |_, _| Ok(())).unwrap();
    }
}
