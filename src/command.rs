//! The subcommands, one file each; none is `serve`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Parser, Subcommand};

use crate::config::Config;

pub mod backup;
pub mod config;
pub mod doctor;
pub mod healthcheck;
mod keys;
pub mod migrate;
pub mod serve;
pub mod users;

/// Authentication by e-mailed codes: register, verify, sign in, hold a session.
#[derive(Parser)]
#[command(name = "aidlc-auth", version)]
struct CommandLine {
    /// A TOML file with settings; environment variables take precedence over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service (the default).
    Serve,
    /// Print every setting with its value and where it came from; secrets stay hidden.
    Config,
    /// Copy the embedded database to FILE while the service runs, without sessions, codes and keys.
    Backup {
        /// Must not exist yet.
        file: PathBuf,
    },
    /// Bring the database's schema up to date, where a start must not (MIGRATE_AT_START=false).
    Migrate(migrate::Migrate),
    /// Look at everything the service stands on, and name what is wrong, with its remedy.
    Doctor(doctor::Doctor),
    /// Ask the service on this machine whether it lives; exits with 0 if it does.
    Healthcheck(healthcheck::Healthcheck),
    /// Look after accounts, beside a running service.
    Users {
        #[command(subcommand)]
        command: users::Users,
    },
}

/// Reads the command line, the settings, and runs. Whatever is wrong is said in one line each.
pub fn run() -> ExitCode {
    let CommandLine { config, command } = CommandLine::parse();
    let settings = config.as_deref();
    match command.unwrap_or(Command::Serve) {
        // For when something is wrong, perhaps with the settings.
        Command::Doctor(command) => doctor::run(settings, &command),
        Command::Healthcheck(command) => healthcheck::run(settings, &command),
        Command::Serve => with(settings, serve::run),
        Command::Config => with(settings, |config| {
            config::print(&config, &mut std::io::stdout().lock()).map_err(|error| anyhow!(error))
        }),
        Command::Backup { file } => with(settings, |config| backup::run(&config, &file)),
        Command::Migrate(command) => with(settings, |config| migrate::run(&config, &command)),
        Command::Users { command } => with(settings, |config| users::run(&config, &command)),
    }
}

/// Runs with settings that are all right, or says what is wrong with them.
fn with(settings: Option<&Path>, run: impl FnOnce(Config) -> anyhow::Result<()>) -> ExitCode {
    let config = match Config::from_process(settings) {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            return ExitCode::from(2);
        }
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aidlc-auth: {error:#}");
            ExitCode::FAILURE
        }
    }
}
