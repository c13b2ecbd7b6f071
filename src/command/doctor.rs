//! `aidlc-auth doctor`: names what is wrong, from where the service runs and with its settings.

use std::env;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::doctor::catalogue::Catalogue;
use crate::doctor::{Place, examine, report};
use crate::model::finding::{Finding, Status};
use crate::model::language::Language;

/// How to tell it.
#[derive(Args)]
pub struct Doctor {
    /// As a JSON array, in both languages.
    #[arg(long)]
    json: bool,
    /// `en` or `ko`; without it, what LANG says.
    #[arg(long, value_parser = language, conflicts_with = "json")]
    language: Option<Language>,
}

/// Looks, tells, and fails if anything failed. Settings may be wrong: that is a finding, too.
pub fn run(file: Option<&Path>, command: &Doctor) -> ExitCode {
    let found = match found(file) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("aidlc-auth: the doctor cannot begin: {error}");
            return ExitCode::FAILURE;
        }
    };
    let catalogue = Catalogue::read();
    let told = match command.json {
        true => report::json(&found, &catalogue),
        false => {
            let language = command.language.unwrap_or_else(language_of_the_terminal);
            report::text(&found, &catalogue, language)
        }
    };
    // Whoever closed the pipe has seen enough.
    let _ = std::io::stdout().lock().write_all(told.as_bytes());
    let has_failed = found.iter().any(|it| it.status == Status::Failed);
    ExitCode::from(u8::from(has_failed))
}

fn found(file: Option<&Path>) -> std::io::Result<Vec<Finding>> {
    // Only if something else in this process chose before; then that one stays.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (config, problems) = Config::with_problems(file);
    // Set by ECS in every container.
    let task = env::var_os("ECS_CONTAINER_METADATA_URI_V4");
    let place = Place {
        is_task: task.is_some_and(|url| !url.is_empty()),
        root: Path::new("/"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let looking = examine(&config, &problems, place, &SystemClock);
    let found = runtime.block_on(looking);
    // Not waiting for a look-up of a name that may still be under way.
    runtime.shutdown_background();
    Ok(found)
}

fn language(text: &str) -> Result<Language, String> {
    Language::parse(text).ok_or_else(|| "it is `en` or `ko`".into())
}

/// As POSIX has it: the first of these that is set decides (`ko_KR.UTF-8`).
fn language_of_the_terminal() -> Language {
    let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
    let mut said = names.iter().filter_map(|name| env::var(name).ok());
    let said = said.find(|said| !said.is_empty()).unwrap_or_default();
    match said.starts_with("ko") {
        true => Language::Ko,
        false => Language::En,
    }
}
