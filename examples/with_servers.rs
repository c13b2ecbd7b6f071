//! Runs a command with servers around it, which its tests share, and ends as the command does:
//! `with_servers cargo nextest run`.
#![forbid(unsafe_code)]

#[path = "../tests/servers/lib.rs"]
mod servers;

use std::process::{Command, ExitCode};
use std::thread;

use servers::{Cluster, Redis, shared};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: with_servers COMMAND ARGUMENT…");
        return ExitCode::from(2);
    };
    let (postgres, redis, cluster) = thread::scope(|scope| {
        let postgres = scope.spawn(shared::start_postgres);
        let cluster = scope.spawn(Cluster::start);
        let redis = Redis::start();
        (postgres.join().unwrap(), redis, cluster.join().unwrap())
    });
    let place = format!("{}:{}", postgres.folder().display(), postgres.port());
    let status = Command::new(&program)
        .args(arguments)
        .env(shared::POSTGRES, place)
        .env(shared::REDIS, redis.url())
        .env(shared::REDIS_CLUSTER, cluster.url())
        .status();
    match status {
        Ok(status) => ExitCode::from(status.code().map_or(1, |code| code as u8)),
        Err(error) => {
            eprintln!("{}: {error}", program.display());
            ExitCode::from(127)
        }
    }
}
