//! In: what is known of one recording, and the deployer's days. Out: what may happen to it.
//! Never: the time, a file, a store: those are arguments. What it does not know is a reason to keep.

use std::time::Duration;

use crate::state::Ended;

/// How long recordings are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Days {
    /// On this machine; none: for ever.
    pub hot: Option<Duration>,
    /// At all; none: for ever. Never less than `hot`.
    pub kept: Option<Duration>,
}

/// What is known of one recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Since its session began.
    pub age: Duration,
    /// How it ended; none: it is open, or nobody knows.
    pub ended: Option<Ended>,
    /// Whether every byte of it was read back from the store.
    pub verified: bool,
    /// Whether somebody holds it.
    pub held: bool,
    /// Whether it lies on this machine.
    pub local: bool,
    /// Whether the store would let it go: no object lock.
    pub removable: bool,
}

/// What may happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nothing.
    Keep,
    /// The local copy goes; the store has it.
    RemoveLocal,
    /// It goes from the store too, and with that for good.
    RemoveRemote,
}

/// The rule. A recording leaves this machine first and the store later, never both at once.
#[must_use]
pub fn fate(facts: &Facts, days: &Days) -> Fate {
    let past = |limit: Option<Duration>| limit.is_some_and(|limit| facts.age > limit);
    if facts.held {
        return Fate::Keep;
    }
    if facts.local {
        let proved = facts.verified && facts.ended == Some(Ended::Sealed);
        return match proved && past(days.hot) {
            true => Fate::RemoveLocal,
            false => Fate::Keep,
        };
    }
    match past(days.kept) && facts.removable {
        true => Fate::RemoveRemote,
        false => Fate::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn facts() -> impl Strategy<Value = Facts> {
        let ended = prop_oneof![
            Just(None),
            Just(Some(Ended::Sealed)),
            Just(Some(Ended::Unsealed))
        ];
        let flags = any::<(bool, bool, bool, bool)>();
        (0..4000_u32, ended, flags).prop_map(|(days, ended, (verified, held, local, removable))| {
            Facts {
                age: DAY * days,
                ended,
                verified,
                held,
                local,
                removable,
            }
        })
    }

    fn days() -> impl Strategy<Value = Days> {
        (
            proptest::option::of(0..400_u32),
            proptest::option::of(0..4000_u32),
        )
            .prop_map(|(hot, kept)| Days {
                hot: hot.map(|d| DAY * d),
                kept: kept.map(|d| DAY * d),
            })
    }

    proptest! {
        #[test]
        fn what_is_held_open_unsealed_or_unproved_stays(facts in facts(), days in days()) {
            let fate = fate(&facts, &days);
            if facts.held {
                prop_assert_eq!(fate, Fate::Keep);
            }
            if fate == Fate::RemoveLocal {
                prop_assert!(facts.verified && facts.local && facts.ended == Some(Ended::Sealed));
                prop_assert!(days.hot.is_some_and(|hot| facts.age > hot));
            }
            if fate == Fate::RemoveRemote {
                prop_assert!(!facts.local && facts.removable);
                prop_assert!(days.kept.is_some_and(|kept| facts.age > kept));
            }
        }

        #[test]
        fn without_days_nothing_ever_goes(facts in facts()) {
            prop_assert_eq!(fate(&facts, &Days::default()), Fate::Keep);
        }

        #[test]
        fn what_goes_today_went_not_because_it_is_younger(facts in facts(), days in days()) {
            let older = Facts { age: facts.age + DAY, ..facts };
            if fate(&facts, &days) != Fate::Keep {
                prop_assert_eq!(fate(&older, &days), fate(&facts, &days));
            }
        }
    }
}
