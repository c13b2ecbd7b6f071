//! Everything that is tested from the outside, in one binary: one link, one list of tests.
#![forbid(unsafe_code)]

mod auth;
mod cookies;
mod promises;
mod support;
