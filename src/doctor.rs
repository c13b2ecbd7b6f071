//! The doctor: looks at everything that the service stands on, as the service would meet it, and says
//! of each failure that can be told whether it is there. It writes and mends nothing.
//!
//! The checks are leaves in `src/doctor/` and `src/store/examine.rs`; what their findings mean, and
//! what to do, stands in `deploy/failures.toml`.

use std::path::Path;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::{Config, Problem};
use crate::model::finding::Finding;
use crate::store::examine;

pub mod catalogue;
mod disk;
mod front;
mod mail;
mod memory;
pub mod report;
mod settings;

/// For each server. With the least patient of settings it has answered or been given up by then; all
/// are asked at once, so this is also how long the doctor takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the service runs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Whether that is a task of ECS, whose port, memory and stopping the templates set.
    pub is_task: bool,
    /// Where `/proc` and `/sys` are.
    pub root: &'a Path,
}

/// Looks at everything. Where a setting is wrong, what depends on it is left out.
pub async fn examine(
    config: &Config,
    problems: &[Problem],
    place: Place<'_>,
    clock: &dyn Clock,
) -> Vec<Finding> {
    let mut found = settings::of(problems);
    // A key, or how several begin.
    let is_right = |keys: &[&str]| {
        let is_meant = |problem: &Problem| keys.iter().any(|key| problem.key.starts_with(key));
        !problems.iter().any(is_meant)
    };

    if is_right(&["environment", "host"]) {
        found.push(front::address(config));
    }
    if is_right(&["environment", "port"]) {
        found.push(front::port(config, place.is_task));
    }
    if is_right(&["environment", "trusted_proxies"]) {
        found.push(front::proxies(config));
    }
    if is_right(&["environment", "idle_timeout_seconds", "drain_"]) {
        found.push(front::deployments(config));
    }
    if is_right(&["password_hash_threads"]) {
        found.push(memory::of(config.passwords.threads(), place.root));
    }
    found.extend(disk::of(&config.stores));

    let (database, redis, mail) = tokio::join!(
        within("database_unreachable", async {
            match is_right(&["database_", "instances", "migrate_at_start"]) {
                true => examine::database(&config.stores, clock).await,
                false => Vec::new(),
            }
        }),
        within("redis_unreachable", async {
            match is_right(&["redis_"]) {
                true => examine::redis(&config.stores, clock).await,
                false => Vec::new(),
            }
        }),
        within("mail_unreachable", async {
            match is_right(&["mail_transport", "smtp_", "ses_", "aws_region"]) {
                true => vec![mail::of(&config.mail).await],
                false => Vec::new(),
            }
        }),
    );
    found.extend([database, redis, mail].concat());
    found
}

async fn within(code: &'static str, look: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(found) => found,
        Err(_) => {
            let evidence = format!("it was not done within {} s", PATIENCE.as_secs());
            vec![Finding::failed(code, evidence)]
        }
    }
}
