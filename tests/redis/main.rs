//! The Redis store on servers of a test's own: how they are reached, what a promise costs there, and
//! what happens when they fail.
//!
//! What it promises is asked in `tests/it/promises/`, like of every other store.
#![forbid(unsafe_code)]

mod cost;
mod faults;
mod load;
mod reach;
mod whole;
mod world;

#[path = "../servers/lib.rs"]
mod servers;
