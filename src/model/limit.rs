//! How often is too often: the arithmetic of budgets (exact) and limits (smooth), without a store.
//!
//! The same arithmetic is spoken by every store, in Rust, SQL or Lua. Instants and spans are
//! microseconds.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// At most `max` events in any window of this length, counted exactly.
///
/// GCRA would be smaller but admits up to twice as many in some windows: 39 guesses instead of 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How many events a window holds.
    pub max: u32,
    /// The length of the window.
    pub window: Duration,
}

impl Budget {
    /// A budget of `max` events in `window`.
    pub const fn new(max: u32, window: Duration) -> Self {
        Self { max, window }
    }

    /// How long until the next event fits; `None` when it fits now.
    pub fn wait(&self, past: &Instants, now: Timestamp) -> Option<Duration> {
        let start = micros(now) - micros_of(self.window);
        // What lies a window ahead comes from a clock that was set back: it counts for nothing, or
        // it would lock its owner out until then.
        let end = micros(now) + micros_of(self.window);
        let recent = || past.0.iter().filter(|&&at| at > start && at <= end);
        let excess = (recent().count() + 1).checked_sub(self.max as usize)?;
        if excess == 0 {
            return None;
        }
        // The excess-th oldest of the recent ones has to leave the window first.
        let leaving = recent().nth(excess - 1).copied().unwrap_or(end);
        Some(Duration::from_micros(
            (leaving - start).max(1).unsigned_abs(),
        ))
    }
}

/// The instants of past events, oldest first: what a store keeps for budgets of one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instants(Vec<i64>);

impl Instants {
    /// Reads what a store kept: microseconds since the epoch, eight bytes each, big-endian.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(
            bytes
                .chunks_exact(8)
                .map(|c| i64::from_be_bytes(c.try_into().unwrap_or_default()))
                .collect(),
        )
    }

    /// The bytes for a store to keep.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|at| at.to_be_bytes()).collect()
    }

    /// Notes an event, and forgets all but the last `keep`.
    pub fn note(&mut self, now: Timestamp, keep: u32) {
        self.0.push(micros(now));
        self.0.sort_unstable();
        let surplus = self.0.len().saturating_sub(keep as usize);
        self.0.drain(..surplus);
    }

    /// Takes back the event that was noted at `at`, if it is still known.
    pub fn take_back(&mut self, at: Timestamp) {
        if let Some(place) = self.0.iter().rposition(|&known| known == micros(at)) {
            self.0.remove(place);
        }
    }

    /// How long until the last event is this far away; `None` when it is.
    pub fn wait_after_last(&self, apart: Duration, now: Timestamp) -> Option<Duration> {
        let passed = micros(now) - self.0.last()?;
        // An event further ahead than that comes from a clock that was set back.
        let wait = micros_of(apart) - passed;
        (wait > 0 && passed >= -micros_of(apart))
            .then(|| Duration::from_micros(wait.unsigned_abs()))
    }
}

/// At most about `burst` events in `period`, smoothly (GCRA, ITU-T I.371): one instant is all it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many events may come at once.
    pub burst: u32,
    /// In what time a spent burst is whole again.
    pub period: Duration,
}

impl Rate {
    /// A rate of `burst` events in `period`.
    pub const fn new(burst: u32, period: Duration) -> Self {
        Self { burst, period }
    }

    /// The same rate with room for `factor` times as many.
    pub const fn times(self, factor: u32) -> Self {
        Self {
            burst: self.burst * factor,
            period: self.period,
        }
    }

    /// The same flow, but leaving a fifth of the burst to those who come first.
    pub const fn less_a_fifth(self) -> Self {
        Self {
            burst: self.burst - self.burst / 5,
            period: self.period,
        }
    }

    /// The instant to keep if the event is admitted, else how long to wait.
    ///
    /// `kept` is what the last admission returned. `spaced_by` is the rate whose burst defines the
    /// spacing: two rates on one instant (see [`Rate::less_a_fifth`]) must share it.
    pub fn admit(
        self,
        spaced_by: Rate,
        kept: Option<i64>,
        now: Timestamp,
    ) -> Result<i64, Duration> {
        let now = micros(now);
        let spacing = micros_of(spaced_by.period) / i64::from(spaced_by.burst.max(1));
        let room = spacing * i64::from(self.burst.max(1));
        // An arrival beyond now + period comes from a clock that was set back: it says nothing.
        let end = now + micros_of(spaced_by.period);
        let arrival = kept.filter(|&kept| kept <= end).unwrap_or(now).max(now);
        let next = arrival + spacing;
        if next - now > room {
            return Err(Duration::from_micros((next - now - room).unsigned_abs()));
        }
        Ok(next)
    }
}

/// The networks that a client is counted under, closest first, with how many times as much each may.
///
/// One IPv6 customer commonly holds a /64, often a /56, sometimes a /48: counting the closest only
/// would give each of them millions of addresses.
pub fn networks(client: IpAddr) -> Vec<(String, u32)> {
    match client {
        IpAddr::V4(address) => vec![(address.to_string(), 1)],
        IpAddr::V6(address) => [(64, 1), (56, 4), (48, 16)]
            .into_iter()
            .map(|(prefix, factor)| {
                let kept = address.to_bits() & (u128::MAX << (128 - prefix));
                (format!("{}/{prefix}", Ipv6Addr::from_bits(kept)), factor)
            })
            .collect(),
    }
}

fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

fn micros_of(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX / 4)
}

/// A span in whole seconds, rounded up: what `Retry-After` and `resend_after` carry.
pub fn seconds_up(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// `now` plus a span; the far end of time if that is later than time can say.
pub fn after(now: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span)
        .ok()
        .and_then(|span| now.checked_add(span).ok())
        .unwrap_or(Timestamp::MAX)
}

/// How long from `now` until `then`; zero if it is past.
pub fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_budget_counts_any_window_exactly() {
        let budget = Budget::new(2, Duration::from_secs(60));
        let mut past = Instants::default();
        assert_eq!(budget.wait(&past, at(0)), None);
        past.note(at(0), 2);
        past.note(at(30), 2);
        assert_eq!(budget.wait(&past, at(31)), Some(Duration::from_secs(29)));
        assert_eq!(budget.wait(&past, at(60)), None);
        past.note(at(60), 2);
        assert_eq!(budget.wait(&past, at(61)), Some(Duration::from_secs(29)));
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out_for_longer_than_two_windows() {
        let minute = Duration::from_secs(60);
        let budget = Budget::new(1, minute);
        let mut past = Instants::default();
        past.note(at(100_000), 1);
        assert_eq!(budget.wait(&past, at(0)), None);
        assert_eq!(past.wait_after_last(minute, at(0)), None);
        // A little ahead, as another machine's clock may be, it counts.
        assert_eq!(
            budget.wait(&past, at(99_999)),
            Some(Duration::from_secs(61))
        );
        assert_eq!(
            past.wait_after_last(minute, at(99_999)),
            Some(Duration::from_secs(61))
        );
        assert_eq!(past.wait_after_last(minute, at(100_060)), None);
        let rate = Rate::new(1, Duration::from_secs(30));
        let ahead = Some(at(100_000).as_microsecond());
        assert!(rate.admit(rate, ahead, at(0)).is_ok());
        assert!(rate.admit(rate, ahead, at(99_999)).is_err());
    }

    #[test]
    fn an_event_taken_back_leaves_its_room() {
        let mut past = Instants::default();
        past.note(at(1), 5);
        past.note(at(2), 5);
        past.take_back(at(1));
        past.take_back(at(77));
        assert_eq!(Instants::from_bytes(&past.to_bytes()), past);
        assert_eq!(past, Instants(vec![at(2).as_microsecond()]));
    }

    #[test]
    fn a_rate_admits_its_burst_and_then_its_flow() {
        let rate = Rate::new(3, Duration::from_secs(30));
        let mut kept = None;
        for _ in 0..3 {
            kept = Some(rate.admit(rate, kept, at(0)).unwrap());
        }
        assert_eq!(rate.admit(rate, kept, at(0)), Err(Duration::from_secs(10)));
        assert!(rate.admit(rate, kept, at(10)).is_ok());
    }

    #[test]
    fn newcomers_are_refused_while_others_still_pass() {
        let rate = Rate::new(10, Duration::from_secs(100));
        let mut kept = None;
        for _ in 0..8 {
            kept = Some(rate.less_a_fifth().admit(rate, kept, at(0)).unwrap());
        }
        assert!(rate.less_a_fifth().admit(rate, kept, at(0)).is_err());
        assert!(rate.admit(rate, kept, at(0)).is_ok());
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_the_budget(
            gaps in proptest::collection::vec(0i64..40, 1..80), max in 1u32..6,
        ) {
            let window = Duration::from_secs(60);
            let budget = Budget::new(max, window);
            let (mut past, mut admitted, mut now) = (Instants::default(), Vec::new(), 0);
            for gap in gaps {
                now += gap;
                match budget.wait(&past, at(now)) {
                    None => { past.note(at(now), max); admitted.push(now); }
                    Some(wait) => {
                        // What it says is enough, and not a second more than needed.
                        let later = at(now).checked_add(SignedDuration::try_from(wait).unwrap()).unwrap();
                        prop_assert_eq!(budget.wait(&past, later), None);
                    }
                }
            }
            for (i, start) in admitted.iter().enumerate() {
                let inside = admitted[i..].iter().take_while(|at| **at < start + 60).count();
                prop_assert!(inside <= max as usize);
            }
        }
    }
}
