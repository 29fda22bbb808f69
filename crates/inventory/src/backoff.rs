//! In: how often something failed in a row. Out: how long to wait, with jitter. Never: longer than its bound, or in step with others.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};

/// The first wait; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest: what was down or forbidden is noticed to be up again within a minute, and a request a minute is no storm.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// The wait after the `failures`-th failure in a row, between half of the step and all of it. A service that said how
/// long it wants to be left alone (`at_least`, bounded where it was read) is obeyed.
pub fn wait(failures: u32, at_least: Option<Duration>) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1).min(16));
    let step = (FIRST * doubled.unwrap_or(u32::MAX).max(1)).min(LONGEST);
    // Controllers that lost Octavia at one moment do not come back at one moment.
    let wait = step.mul_f64(0.5 + 0.5 * fraction());
    wait.max(at_least.unwrap_or_default())
}

/// 0 to 1. Without randomness all wait alike, which is no reason to stop.
fn fraction() -> f64 {
    let mut bytes = [0; 4];
    let _ = SystemRandom::new().fill(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_obey_the_service() {
        for (failures, longest) in [(0, 1), (1, 1), (2, 2), (4, 8), (7, 60), (u32::MAX, 60)] {
            let wait = wait(failures, None);
            let longest = Duration::from_secs(longest);
            assert!(
                wait <= longest && wait >= longest / 2,
                "{failures} {wait:?}"
            );
        }
        let asked = Duration::from_secs(200);
        assert_eq!(wait(1, Some(asked)), asked);
    }
}
