//! Session checks beside a bare server that answers the same bytes, in turns.

use crate::bare::Bare;
use crate::client::{Connection, get, load};
use crate::process::{Service, cpu_secs};
use crate::{Plan, line, median};

const CONNECTIONS: usize = 64;
const PATH: &str = "/api/auth/session";

/// Measures and prints. `bare` starts the other server from the bytes that it has to answer.
pub fn measure(service: &Service, bare: impl FnOnce(&str) -> Bare, answering: &str, plan: Plan) {
    let mut connection = Connection::to(service.port);
    let tokens: Vec<String> = (0..CONNECTIONS)
        .map(|number| {
            let email = format!("check{number}@example.com");
            let codes = service.codes_for(&email);
            service.register(&mut connection, &email, &codes)
        })
        .collect();
    let bare = bare(&connection.get(PATH, Some(&tokens[0]), 200));
    let requests: Vec<String> = tokens.iter().map(|token| get(PATH, Some(token))).collect();

    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_cpu, mut their_cpu) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let (bare_rate, bare_cpu) = round(bare.port, bare.pid(), &requests, plan);
        let (rate, cpu) = round(service.port, service.pid(), &requests, plan);
        ratios.push(100.0 * rate / bare_rate);
        ours.push(rate);
        our_cpu.push(cpu);
        theirs.push(bare_rate);
        their_cpu.push(bare_cpu);
    }
    let all: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.0}")).collect();
    line(
        "session checks",
        format!("{:.0}/s", median(&ours)),
        "64 kept connections, loopback",
    );
    line(
        "  a bare axum server",
        format!("{:.0}/s", median(&theirs)),
        &format!("the same bytes as {answering}"),
    );
    line(
        "  ratio",
        format!("{:.0} %", median(&ratios)),
        &format!("by round: {}", all.join(", ")),
    );
    line(
        "  processor time per check",
        format!("{:.1} µs", median(&our_cpu)),
        "the server's own, user and system",
    );
    line(
        "  the bare server's",
        format!("{:.1} µs", median(&their_cpu)),
        "likewise",
    );
}

/// Answers per second, and the server's processor time per answer in microseconds.
fn round(port: u16, pid: u32, requests: &[String], plan: Plan) -> (f64, f64) {
    let before = cpu_secs(pid);
    let rate = load(port, requests, plan.time);
    // The load runs a tenth longer than it is counted.
    let answers = rate * plan.time.as_secs_f64() * 1.1;
    (rate, (cpu_secs(pid) - before) * 1e6 / answers)
}
