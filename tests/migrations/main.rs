//! The schema of a PostgreSQL server under starts, deaths, releases and operators: the binary as a
//! process, each test in a database of its own.
#![forbid(unsafe_code)]

#[path = "../servers/lib.rs"]
mod servers;
#[allow(dead_code, reason = "each test binary uses its own part of it")]
#[path = "../process/world.rs"]
mod world;

mod command;
mod database;
mod releases;
mod starters;
