//! How long to wait before the next attempt.

use core::time::Duration;

use super::policy::ReconnectPolicy;
use crate::login::Entropy;

/// No pause is shorter, whatever the policy says: a loop without pauses would do nothing but dial.
const SHORTEST: Duration = Duration::from_millis(1);

/// What is to be said for a connection that is lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// For how long it was up.
    pub(super) time: Duration,
    /// Whether a command was answered on it.
    pub(super) progress: bool,
}

/// Counts what has failed since a connection last held.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Attempts in a row that failed.
    failures: u32,
    /// Connections in a row that were lost again in no time.
    short_lived: u32,
}

impl Backoff {
    /// Starts again.
    pub(super) fn reset(&mut self) {
        *self = Backoff::default();
    }

    /// The pause after the loss of a connection. One that held for longer than the pause proves that the target works. One
    /// that did not counts as a failure, as it may be we that break it; but if it got something done, pauses
    /// do not grow.
    pub(super) fn after_loss(
        &mut self,
        held: Held,
        policy: &ReconnectPolicy,
        entropy: &mut Entropy,
    ) -> Duration {
        self.failures = 0;
        if held.time >= whole(self.short_lived, policy) {
            self.short_lived = 0;
        } else if held.progress {
            self.short_lived = 1;
        }
        let pause = whole(self.short_lived, policy);
        self.short_lived = self.short_lived.saturating_add(1);
        shorten(pause, entropy)
    }

    /// The pause after an attempt that failed.
    pub(super) fn after_failure(&mut self, policy: &ReconnectPolicy, entropy: &mut Entropy) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let step = self.failures.saturating_add(self.short_lived.saturating_sub(1));
        shorten(whole(step, policy), entropy)
    }
}

/// The pause of a step before any of it is left out at random. Step 0 has none.
fn whole(step: u32, policy: &ReconnectPolicy) -> Duration {
    match step.checked_sub(1) {
        None => Duration::ZERO,
        Some(doubled) => {
            let pause = policy.first_pause.saturating_mul(2u32.saturating_pow(doubled));
            pause.min(policy.longest_pause).max(SHORTEST)
        }
    }
}

/// Leaves out up to half.
fn shorten(pause: Duration, entropy: &mut Entropy) -> Duration {
    if pause.is_zero() {
        return pause;
    }
    let nanos = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
    // Below the half of a u64.
    let spread = (u128::from(nanos / 2) * u128::from(entropy.word())) >> 32;
    Duration::from_nanos(nanos - nanos / 2 + spread as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(first: u64, longest: u64) -> ReconnectPolicy {
        ReconnectPolicy {
            first_pause: Duration::from_millis(first),
            longest_pause: Duration::from_millis(longest),
            ..ReconnectPolicy::default()
        }
    }

    fn held(millis: u64) -> Held {
        Held { time: Duration::from_millis(millis), progress: false }
    }

    #[test]
    fn pauses_do_not_grow_while_something_gets_done() {
        let (policy, mut entropy) = (policy(100, 10_000), Entropy::new([9; 32]));
        let mut backoff = Backoff::default();
        let mut after = |progress| {
            let held = Held { progress, ..held(1) };
            backoff.after_loss(held, &policy, &mut entropy).as_millis()
        };
        assert_eq!(after(true), 0);
        for _ in 0..10 {
            assert!((50..=100).contains(&after(true)));
        }
        assert!((100..=200).contains(&after(false)));
        assert!((200..=400).contains(&after(false)));
        assert!((50..=100).contains(&after(true)));
    }

    // Goal: pauses double, stay within half and all, and differ. Method: twenty steps for each of 500 seeds.
    #[test]
    fn pauses_double_up_to_the_longest_and_vary_by_half() {
        let policy = policy(100, 10_000);
        let (mut seen, mut short, mut long) = (std::collections::BTreeSet::new(), 0, 0);
        for seed in 0..500u16 {
            let mut bytes = [1; 32];
            bytes[..2].copy_from_slice(&seed.to_be_bytes());
            let (mut entropy, mut backoff) = (Entropy::new(bytes), Backoff::default());
            assert_eq!(backoff.after_loss(held(0), &policy, &mut entropy), Duration::ZERO);
            for step in 0..20u32 {
                let whole = Duration::from_millis((100 << step.min(10)).min(10_000));
                let pause = backoff.after_failure(&policy, &mut entropy);
                assert!(whole / 2 <= pause && pause <= whole, "step {step}: {pause:?} of {whole:?}");
                if step == 0 {
                    seen.insert(pause);
                    short += u32::from(pause < whole * 5 / 8);
                    long += u32::from(pause > whole * 7 / 8);
                }
            }
        }
        assert!(
            seen.len() > 490 && short > 60 && long > 60,
            "{} different, {short} short, {long} long",
            seen.len()
        );
    }

    #[test]
    fn a_connection_that_held_starts_the_pauses_again_and_one_that_did_not_goes_on() {
        let (policy, mut entropy) = (policy(100, 10_000), Entropy::new([9; 32]));
        let mut backoff = Backoff::default();
        let mut after = |lasted| backoff.after_loss(held(lasted), &policy, &mut entropy).as_millis();
        assert_eq!(after(0), 0);
        assert!((50..=100).contains(&after(99)));
        assert!((100..=200).contains(&after(199)));
        assert_eq!(after(400), 0);
        assert!((50..=100).contains(&after(99)));
        // Attempts that fail before a login succeeds say nothing about how long connections last.
        for _ in 0..9 {
            backoff.after_failure(&policy, &mut entropy);
        }
        let pause = backoff.after_loss(held(200), &policy, &mut entropy);
        assert_eq!(pause, Duration::ZERO);
    }

    #[test]
    fn odd_policies_neither_overflow_nor_spin() {
        let mut entropy = Entropy::new([9; 32]);
        for policy in [
            policy(0, 0),
            policy(0, 1000),
            policy(1000, 0),
            ReconnectPolicy { first_pause: Duration::MAX, longest_pause: Duration::MAX, ..policy(1, 1) },
        ] {
            for failures in [0, 1, 31, 32, 100, u32::MAX] {
                let mut backoff = Backoff { failures, short_lived: failures };
                assert!(backoff.after_failure(&policy, &mut entropy) >= SHORTEST / 2);
                let mut backoff = Backoff { failures, short_lived: failures.max(1) };
                assert!(backoff.after_loss(held(0), &policy, &mut entropy) >= SHORTEST / 2);
            }
        }
    }
}
