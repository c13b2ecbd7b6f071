//! What the service takes: bytes on the disk, time to start, memory.

use std::time::Instant;

use crate::client::Connection;
use crate::process::{BINARY, Service, resident_mib};
use crate::{Plan, line, median};

/// What Argon2id keeps per thread, on purpose.
const HASH_MIB: f64 = 19.0;

/// The size of the binary.
pub fn size() {
    let bytes = std::fs::metadata(BINARY).expect("it is built").len();
    line(
        "binary",
        format!("{:.1} MiB", bytes as f64 / 1048576.0),
        "stripped, the API page included",
    );
}

/// From exec to the first 200, on an empty folder.
pub fn start(times: usize) {
    let millis: Vec<f64> = (0..times)
        .map(|_| {
            let began = Instant::now();
            let service = Service::start(&[]);
            let took = began.elapsed().as_secs_f64() * 1e3;
            drop(service);
            took
        })
        .collect();
    let what = format!("from exec to the first 200, empty folder, {times} starts");
    line("start", format!("{:.0} ms", median(&millis)), &what);
}

/// Resident memory after many registrations, beside what the hash threads keep.
pub fn memory(plan: Plan) {
    let threads = plan.hash_threads.to_string();
    let service = Service::start(&[("PASSWORD_HASH_THREADS", &threads)]);
    let before = resident_mib(service.pid());
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let service = &service;
            scope.spawn(move || {
                let mut connection = Connection::to(service.port);
                for number in (lane..plan.registrations).step_by(4) {
                    let email = format!("memory{number}@example.com");
                    let codes = service.codes_for(&email);
                    service.register(&mut connection, &email, &codes);
                }
            });
        }
    });
    let after = resident_mib(service.pid());
    let pool = HASH_MIB * plan.hash_threads as f64;
    let count = plan.registrations;
    line(
        "memory at the start",
        format!("{before:.1} MiB"),
        "resident",
    );
    line(
        "memory after registrations",
        format!("{after:.1} MiB"),
        &format!("resident, {count} accounts and sessions"),
    );
    line(
        "  beside the hash pool",
        format!("{:.1} MiB", after - pool),
        &format!("{threads} × 19 MiB taken off"),
    );
}
