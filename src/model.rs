//! The nouns: pure values and rules. No async, no I/O, no framework.

mod base64url;
pub mod challenge;
pub mod device;
pub mod email_address;
pub mod finding;
pub mod language;
pub mod limit;
pub mod outbox;
pub mod password;
pub mod session;
pub mod suppression;
pub mod user;
