//! Once a minute: forgets what is over, finishes what a dead process left, compares the clocks.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Stopping, follow_up};
use crate::app::App;
use crate::clock::{self, SKEW_MAX};
use crate::store::{Error, Store};

const EVERY: Duration = Duration::from_secs(60);
/// Nobody works on a follow-up for longer than this.
const LEFT_BEHIND_AFTER: SignedDuration = SignedDuration::from_secs(15);

/// Runs until it is told to stop. The first sweep is at once: a dead process may have left work.
pub async fn run(app: Arc<App>, mut stopping: Stopping) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stopping.begun() => break,
            _ = every.tick() => {}
        }
        once(&app).await;
    }
    app.audit.log_counts();
}

/// One sweep. What fails holds up nothing else, and is tried again by the next.
pub async fn once(app: &App) {
    app.audit.log_counts();
    tried("comparing the clocks", compare_clocks(app).await);
    let (now, config, stores) = (app.now(), &app.config.stores, &app.stores);
    let left_behind = now.checked_sub(LEFT_BEHIND_AFTER).unwrap_or(now);
    let follow_ups = stores.users.follow_ups(left_behind).await;
    for left in tried("reading what is left to follow up", follow_ups) {
        tried(
            "following up a change",
            follow_up::perform(stores, &left, now).await,
        );
    }
    let challenges = tried("forgetting challenges", stores.challenges.sweep(now).await);
    let sessions = tried("forgetting sessions", stores.sessions.sweep(now).await);
    let withdrawn_before = days_before(now, config.retention_days);
    let audited_before = days_before(now, config.audit_retention_days);
    let erased = stores.users.erase(withdrawn_before, audited_before).await;
    let erased = tried("erasing what is too old", erased);
    tracing::debug!(challenges, sessions, erased, "swept");
}

fn tried<T: Default>(what: &'static str, done: Result<T, Error>) -> T {
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, what, "a part of a sweep failed; the next tries it again");
        T::default()
    })
}

fn days_before(now: Timestamp, days: u32) -> Timestamp {
    let days = SignedDuration::from_hours(24 * i64::from(days));
    now.checked_sub(days).unwrap_or(now)
}

/// Not ready while this machine's clock and a store's are too far apart.
pub async fn compare_clocks(app: &App) -> Result<(), Error> {
    let stores: [&dyn Store; 3] = [
        &*app.stores.users,
        &*app.stores.challenges,
        &*app.stores.sessions,
    ];
    let mut skewed = false;
    for store in stores {
        let asked = app.now();
        let theirs = store.check().await?;
        let apart = clock::apart(theirs, asked, app.now());
        if apart > SKEW_MAX {
            tracing::error!(
                store = store.kind(),
                seconds = apart.as_secs(),
                "this machine's clock and the store's differ: set them by NTP"
            );
            skewed = true;
        }
    }
    app.note_skew(skewed);
    Ok(())
}
