//! The log: one line per event on standard output, for people or as JSON, that nobody else can write into.

mod escape;

pub use escape::Escaped;
