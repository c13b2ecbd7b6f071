//! Real servers for tests: private ones, on free ports of the loopback, in temporary folders. No test
//! binary but a module: `#[path = "../servers/lib.rs"] mod servers;` in `tests/x/main.rs`.
//!
//! Each ends when its value is dropped, or with the process that started it (see `guard.sh`).
//! Starting, killing and stopping block their thread: a test that works meanwhile needs a runtime
//! of several.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part of it"
)]

mod ask;
mod certificates;
mod cluster;
mod pooler;
mod port;
mod postgres;
mod process;
mod proxy;
mod redis;
mod sentinel;
mod server;
pub mod shared;

pub use certificates::{Authority, Certificate};
pub use cluster::Cluster;
pub use pooler::Pooler;
pub use postgres::{Access, PASSWORD, Postgres, USER, Wanted};
pub use proxy::Proxy;
pub use redis::{DURABLE, Redis, patient};
pub use sentinel::Sentinel;
pub use server::Server;
