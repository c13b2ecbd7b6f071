//! How often is too often: the arithmetic of budgets (exact) and limits (smooth), without a store.
//!
//! The same arithmetic is spoken by every store, in Rust, SQL or Lua. Instants and spans are
//! microseconds.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

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
        let recent: Vec<i64> = self.recent(past, now).collect();
        let excess = (recent.len() + 1).checked_sub(self.max as usize)?;
        // The excess-th oldest of the recent ones has to leave the window first.
        let leaving = recent.get(excess.checked_sub(1)?);
        let passed = leaving.map_or(0, |at| micros(now) - at);
        Some(Duration::from_micros(
            (micros_of(self.window) - passed).max(1).unsigned_abs(),
        ))
    }

    /// Those of the window that ends now, oldest first.
    ///
    /// What lies ahead by up to a window comes from another machine's clock, and counts as now. What
    /// lies further ahead comes from a clock that was set back: counting it would refuse everyone
    /// until that time is reached again.
    fn recent(&self, past: &Instants, now: Timestamp) -> impl Iterator<Item = i64> {
        let (now, window) = (micros(now), micros_of(self.window));
        past.0
            .iter()
            .filter(move |&&at| now - window < at && at <= now + window)
            .map(move |&at| at.min(now))
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

    /// Notes an event, and forgets what no longer counts in the budget.
    pub fn note(&mut self, now: Timestamp, budget: Budget) {
        let (at, window) = (micros(now), micros_of(budget.window));
        // As they were noted, not as they count: one that is taken back is looked for by its instant.
        self.0
            .retain(|&past| at - window < past && past <= at + window);
        self.0.push(at);
        self.0.sort_unstable();
        let surplus = self.0.len().saturating_sub(budget.max as usize);
        self.0.drain(..surplus);
    }

    /// Takes back the event that was noted at `at`, if it is still known.
    pub fn take_back(&mut self, at: Timestamp) {
        if let Some(place) = self.0.iter().rposition(|&known| known == micros(at)) {
            self.0.remove(place);
        }
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
            burst: self.burst.saturating_mul(factor),
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

    /// The share of one of `count` partitions that count apart what together they bound; rounded up, so
    /// that none is left without.
    pub const fn shared_by(self, count: u32) -> Self {
        Self {
            burst: self.burst.div_ceil(count),
            period: self.period,
        }
    }

    /// The same in the numbers that a store's step counts with.
    ///
    /// `spaced_by` is the rate whose burst defines the spacing: two rates on one instant (see
    /// [`Rate::less_a_fifth`]) must share it.
    pub fn pace(self, spaced_by: Rate) -> Pace {
        let (period, burst) = (micros_of(spaced_by.period), spaced_by.burst.max(1));
        // Not `spacing * burst`: a rate of more than one event a microsecond has a spacing of 0, and
        // would refuse whatever is judged a moment late.
        let room = i128::from(period) * i128::from(self.burst.max(1)) / i128::from(burst);
        Pace {
            spacing: period / i64::from(burst),
            room: i64::try_from(room).unwrap_or(i64::MAX / 4),
            period,
        }
    }

    /// The instant to keep if the event is admitted, else how long to wait.
    ///
    /// `kept` is what the last admission returned; for `spaced_by` see [`Rate::pace`].
    pub fn admit(
        self,
        spaced_by: Rate,
        kept: Option<i64>,
        now: Timestamp,
    ) -> Result<i64, Duration> {
        self.pace(spaced_by).admit(kept, now)
    }
}

/// A rate in microseconds: the numbers that are worked out once, before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pace {
    /// How far apart events are in an even flow.
    pub spacing: i64,
    /// How far ahead of the clock the events that were admitted may reach.
    pub room: i64,
    /// In what time a spent burst is whole again.
    pub period: i64,
}

impl Pace {
    /// See [`Rate::admit`].
    fn admit(self, kept: Option<i64>, now: Timestamp) -> Result<i64, Duration> {
        let now = micros(now);
        let full = now + self.period;
        // A little beyond full is another machine's clock. A period beyond it is a clock that was
        // set back: keeping to it would refuse everyone until that time is reached again.
        let arrival = kept
            .filter(|&kept| kept <= full + self.period)
            .unwrap_or(now)
            .clamp(now, full);
        let next = arrival + self.spacing;
        if next - now > self.room {
            let wait = next - now - self.room;
            return Err(Duration::from_micros(wait.unsigned_abs()));
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

/// A span in microseconds; one that is longer than time itself is cut.
pub fn micros_of(span: Duration) -> i64 {
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
        past.note(at(0), budget);
        past.note(at(30), budget);
        assert_eq!(budget.wait(&past, at(31)), Some(Duration::from_secs(29)));
        assert_eq!(budget.wait(&past, at(60)), None);
        past.note(at(60), budget);
        assert_eq!(budget.wait(&past, at(61)), Some(Duration::from_secs(29)));
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out_for_longer_than_two_windows() {
        let budget = Budget::new(1, Duration::from_secs(60));
        for ahead in [1, 60, 61, 100_000] {
            let mut past = Instants::default();
            past.note(at(ahead), budget);
            assert!(budget.wait(&past, at(0)) <= Some(Duration::from_secs(60)));
            assert_eq!(budget.wait(&past, at(121)), None, "{ahead} s");
            // And what comes now is counted, not what lies ahead in its stead.
            past.note(at(121), budget);
            assert!(budget.wait(&past, at(122)).is_some(), "{ahead} s");
        }
        let rate = Rate::new(3, Duration::from_secs(30));
        for ahead in [1, 30, 60, 61, 100_000] {
            let kept = Some(at(ahead).as_microsecond());
            assert!(rate.admit(rate, kept, at(60)).is_ok(), "{ahead} s");
        }
    }

    #[test]
    fn a_clock_that_lags_behind_another_gives_nothing_back() {
        let budget = Budget::new(2, Duration::from_secs(60));
        let mut past = Instants::default();
        past.note(at(5), budget);
        past.note(at(5), budget);
        assert_eq!(budget.wait(&past, at(0)), Some(Duration::from_secs(60)));
        let rate = Rate::new(3, Duration::from_secs(30));
        let kept = Some(at(5 + 30).as_microsecond());
        assert!(rate.admit(rate, kept, at(0)).is_err());
    }

    #[test]
    fn an_event_taken_back_leaves_its_room() {
        let budget = Budget::new(5, Duration::from_secs(60));
        let mut past = Instants::default();
        past.note(at(1), budget);
        past.note(at(2), budget);
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
    fn a_rate_beyond_the_clock_refuses_nobody_who_is_judged_late() {
        let rate = Rate::new(1_000_000_000, Duration::from_secs(300));
        let kept = rate.admit(rate, None, at(1)).unwrap();
        assert!(rate.admit(rate, Some(kept), at(0)).is_ok());
    }

    #[test]
    fn shares_of_a_rate_are_never_nothing() {
        let rate = Rate::new(33, Duration::from_secs(30));
        assert_eq!(rate.shared_by(16).burst, 3);
        assert_eq!(rate.shared_by(1), rate);
        assert_eq!(Rate::new(1, rate.period).shared_by(16).burst, 1);
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
                    None => { past.note(at(now), budget); admitted.push(now); }
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
