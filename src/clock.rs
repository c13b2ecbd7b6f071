//! The only place that reads the time. Stories read it once and pass it on.

use jiff::{SignedDuration, Timestamp};

/// Clocks that are further apart judge differently what is over.
pub const SKEW_MAX: SignedDuration = SignedDuration::from_secs(2);

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

/// How far another's clock is outside of ours, which was read before asking for it and after: it was
/// read at some moment in between, which on a slow disk is long. Less than nothing: it is inside.
pub fn apart(theirs: Timestamp, asked: Timestamp, answered: Timestamp) -> SignedDuration {
    let (early, late) = (
        asked.duration_since(theirs),
        theirs.duration_since(answered),
    );
    early.max(late)
}

/// Cuts an instant to whole microseconds, so that what was stored compares equal to what is held.
pub fn to_microseconds(instant: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(instant.as_microsecond())
        .expect("an instant cut short stays in range")
}
