//! The same on PostgreSQL and Redis: session checks beside a bare server that reads one key through the
//! same client, sign-ins, and what the servers themselves can do.

use std::process::Command;

use redis::Commands as _;

use crate::bare::{Bare, KEY};
use crate::process::Service;
use crate::{Plan, flows, line, sessions};

#[path = "../../tests/servers/lib.rs"]
mod private;

use private::{DURABLE, Postgres, Redis, Wanted};

/// Measures and prints.
pub fn measure(plan: Plan) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let postgres = Postgres::with(Wanted {
        durable: true,
        ..Wanted::default()
    });
    let redis = Redis::with(&DURABLE);
    let database = runtime.block_on(postgres.database());
    let service = Service::start(&[
        ("DATABASE_URL", &database),
        ("REDIS_URL", &redis.url()),
        (
            "SECRET_KEYS",
            "k1:QmVjYXVzZSBhIHRlc3QgbmVlZHMgc29tZSBrZXkgdG9vLg==",
        ),
    ]);
    line("on PostgreSQL and Redis", String::new(), "both durable");
    let bare = |body: &str| {
        let client = redis::Client::open(redis.url()).expect("a URL");
        let mut connection = client.get_connection().expect("the server answers");
        let () = connection.set(KEY, body).expect("it can be written");
        Bare::start_on_redis(&redis.url())
    };
    let answering = "one GET from Redis brings through the same client";
    sessions::measure(&service, bare, answering, plan);
    flows::measure(&service, plan);
    drop(service);
    raw_redis(redis.port());
    raw_postgres(&database, plan);
}

/// What Redis does for 64 clients that each wait for their answer, as the session checks' callers do.
fn raw_redis(port: u16) {
    let port = port.to_string();
    let arguments = [
        "-p", &port, "-c", "64", "-n", "200000", "-t", "get", "--csv",
    ];
    let said = output("redis-benchmark", &arguments);
    let rate = said
        .lines()
        .find(|line| line.starts_with("\"GET\""))
        .and_then(|line| line.split(',').nth(1))
        .map_or("not there", |rate| rate.trim_matches('"'))
        .to_owned();
    line("  redis-benchmark GET", rate + "/s", "64 clients");
}

/// What PostgreSQL does for 10 connections, the size of the service's pool.
fn raw_postgres(url: &str, plan: Plan) {
    output("pgbench", &["-i", "-q", url]);
    for (name, mode) in [("reads", "-S"), ("writes", "-N")] {
        let secs = plan.time.as_secs().to_string();
        let said = output(
            "pgbench",
            &[
                mode, "-n", "-c", "10", "-j", "2", "-T", &secs, "-M", "prepared", url,
            ],
        );
        let rate = said
            .lines()
            .find_map(|line| line.strip_prefix("tps = "))
            .and_then(|rest| rest.split('.').next())
            .unwrap_or("not there")
            .to_owned();
        line(
            &format!("  pgbench, {name}"),
            rate + "/s",
            "10 connections, prepared",
        );
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}
