//! The binary: reads the command line and hands over to the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    aidlc_auth::command::run()
}
