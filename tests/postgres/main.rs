//! The store on real PostgreSQL servers: TLS, credentials, the pool, and what happens when a server fails.
#![forbid(unsafe_code)]

#[path = "../servers/lib.rs"]
mod servers;

#[path = "../process/world.rs"]
#[allow(dead_code, reason = "tests/process/ uses all of it")]
mod process;

mod faults;
mod load;
mod pool;
mod preparing;
mod service;
mod signing_in;
mod statements;
mod tls;
mod users;
mod world;
