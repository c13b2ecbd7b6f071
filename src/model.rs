//! The nouns: pure values and rules. No async, no I/O, no framework.

pub mod device;
pub mod language;
