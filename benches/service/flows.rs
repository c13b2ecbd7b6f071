//! Whole sign-ins: ask for a code, read it from the mail, send it back.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use crate::client::Connection;
use crate::process::{Service, cpu_secs, next, token};
use crate::{Plan, line, median};

const PEOPLE: usize = 16;

/// Measures and prints.
pub fn measure(service: &Service, plan: Plan) {
    let people = Arc::new(people(service, PEOPLE));
    let (mut rates, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let before = cpu_secs(service.pid());
        let (flows, secs) = sign_in_for(service, &people, plan);
        rates.push(flows / secs);
        cpus.push((cpu_secs(service.pid()) - before) * 1e3 / flows);
    }
    line(
        "sign-ins",
        format!("{:.0}/s", median(&rates)),
        "login, mail, verify-login; 16 people at once",
    );
    line(
        "  processor time per sign-in",
        format!("{:.2} ms", median(&cpus)),
        "the server's, sending the mail included",
    );
}

/// Counts what a sign-in waits for on the embedded store's disk.
pub fn disk(plan: Plan) {
    for count in [1, PEOPLE] {
        let what = format!("traced; {count} at once");
        let syncs =
            syncs_per_flow(count, plan).map_or("no strace".into(), |syncs| format!("{syncs:.1}"));
        line("  fsyncs per sign-in", syncs, &what);
    }
}

type Person = (String, std::sync::Mutex<Receiver<String>>);

fn people(service: &Service, count: usize) -> Vec<Person> {
    let mut connection = Connection::to(service.port);
    let person = |number| {
        let email = format!("flow{number}@example.com");
        let codes = service.codes_for(&email);
        service.register(&mut connection, &email, &codes);
        (email, std::sync::Mutex::new(codes))
    };
    (0..count).map(person).collect()
}

/// Everyone signs in again and again. How many sign-ins there were, and in how many seconds.
fn sign_in_for(service: &Service, people: &Arc<Vec<Person>>, plan: Plan) -> (f64, f64) {
    let began = Instant::now();
    let threads: Vec<_> = (0..people.len())
        .map(|index| {
            let (port, people) = (service.port, Arc::clone(people));
            std::thread::spawn(move || {
                let (email, codes) = &people[index];
                let codes = codes.lock().expect("nobody else signs in as them");
                let mut connection = Connection::to(port);
                let mut flows = 0;
                while began.elapsed() < plan.time {
                    sign_in(&mut connection, email, &codes);
                    flows += 1;
                }
                flows
            })
        })
        .collect();
    let flows: i32 = threads
        .into_iter()
        .map(|thread| thread.join().expect("it signs in"))
        .sum();
    (f64::from(flows), began.elapsed().as_secs_f64())
}

fn sign_in(connection: &mut Connection, email: &str, codes: &Receiver<String>) {
    connection.post("/api/auth/login", &format!(r#"{{"email":"{email}"}}"#), 202);
    let code = next(codes);
    let proof = format!(r#"{{"email":"{email}","verification_code":"{code}"}}"#);
    let answer = connection.post("/api/auth/verify-login", &proof, 200);
    assert!(!token(&answer).is_empty());
}

/// Under strace, which the service's other system calls do not notice (`--seccomp-bpf`). `None` where there is none.
fn syncs_per_flow(count: usize, plan: Plan) -> Option<f64> {
    let folder = tempfile::tempdir().expect("a folder for the trace");
    let trace = folder.path().join("trace");
    let to = trace.to_str()?;
    let tracer = [
        "strace",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-e",
        "trace=fsync,fdatasync",
        "-o",
        to,
    ];
    std::process::Command::new("strace")
        .arg("-V")
        .output()
        .ok()?;
    let service = Service::start_under(&tracer, &[]);
    let people = Arc::new(people(&service, count));
    let before = syncs(&trace);
    let (flows, _) = sign_in_for(&service, &people, plan);
    Some((syncs(&trace) - before) / flows)
}

fn syncs(trace: &Path) -> f64 {
    let trace = std::fs::read_to_string(trace).unwrap_or_default();
    trace.matches("sync(").count() as f64
}
