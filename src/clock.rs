//! The only place that reads the time. Stories read it once and pass it on.

use jiff::Timestamp;

/// Where the time comes from: the machine, or a test that moves it by hand.
pub trait Clock: Send + Sync {
    /// The present instant, cut to the microseconds that the stores keep.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn now(&self) -> Timestamp {
        to_microseconds(Timestamp::now())
    }
}

/// Cuts an instant to whole microseconds, so that what was stored compares equal to what is held.
pub fn to_microseconds(instant: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(instant.as_microsecond())
        .expect("an instant cut short stays in range")
}
