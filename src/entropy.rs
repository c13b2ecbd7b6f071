//! The only place that rolls dice.

use jiff::Timestamp;
use uuid::Uuid;

/// `N` bytes from the operating system's generator; see `docs/decisions/0008-dice-from-the-system.md`.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .expect("the operating system's generator does not fail once it is seeded");
    bytes
}

/// A row id that sorts by its time of birth (UUID v7, RFC 9562 §5.7). Never a secret.
pub fn row_id(now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random()).into_uuid()
}
