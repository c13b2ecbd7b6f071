//! The service as a process: the real binary in a folder of its own, met over sockets, signals,
//! exit codes and its log.
//!
//! Nothing here reaches into it. What can be asked in-process is asked in `tests/it/`.

mod full_disk;
mod healthcheck;
mod kill;
mod operate;
mod refusals;
mod secrets;
mod start;
mod stop;
mod world;

#[path = "../servers/lib.rs"]
mod servers;
#[path = "../it/support/smtp_server.rs"]
mod smtp_server;
