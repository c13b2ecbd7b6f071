//! Measures the service as a process, release build, on the embedded store and on servers, and prints one
//! table. See `benches/README.md`.
//!
//! `cargo bench --bench service -- [--rounds N] [--seconds N] [--registrations N] [--hash-threads N]
//! [--servers-only]`

use std::time::Duration;

mod bare;
mod client;
mod flows;
mod process;
mod resources;
mod servers;
mod sessions;

use bare::Bare;
use process::Service;

/// Where the numbers on the command line end up.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How often each pair is measured, one after the other.
    pub rounds: usize,
    /// How long one measurement lasts.
    pub time: Duration,
    /// Accounts to make before memory is read.
    pub registrations: usize,
    /// `PASSWORD_HASH_THREADS` while they are made.
    pub hash_threads: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, port, argument] = &arguments[..]
        && [bare::CONSTANT, bare::FROM_REDIS].contains(&flag.as_str())
    {
        return bare::serve(flag, port, argument);
    }
    let number = |flag: &str, default: usize| {
        let at = arguments.iter().position(|a| a == flag);
        at.map_or(default, |at| {
            arguments[at + 1]
                .parse()
                .expect("a number follows the flag")
        })
    };
    let plan = Plan {
        rounds: number("--rounds", 5),
        time: Duration::from_secs(number("--seconds", 2) as u64),
        registrations: number("--registrations", 1000),
        hash_threads: number("--hash-threads", 1),
    };
    println!("{:44} {:>14}   what it is", "", "median");
    if !arguments.iter().any(|a| a == "--servers-only") {
        resources::size();
        resources::start(20);
        sessions::measure(&Service::start(&[]), Bare::start, "a constant", plan);
        flows::measure(&Service::start(&[]), plan);
        flows::disk(plan);
        resources::memory(plan);
    }
    servers::measure(plan);
}

/// One line of the table.
pub fn line(name: &str, value: String, what: &str) {
    println!("{name:44} {value:>14}   {what}");
}

/// The middle one of the values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
