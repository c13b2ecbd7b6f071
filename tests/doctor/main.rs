//! `aidlc-auth doctor`: each failure of `deploy/failures.toml` that can be told from inside the task,
//! made to happen on real servers, and named.
#![forbid(unsafe_code)]

#[allow(dead_code, reason = "each test binary uses its own part of it")]
#[path = "../process/world.rs"]
mod process;
#[path = "../servers/lib.rs"]
mod servers;
#[path = "../it/support/smtp_server.rs"]
mod smtp_server;

mod coverage;
mod database;
mod patient;
mod redis;
mod settings;
mod whole;
