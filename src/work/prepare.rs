//! At the start: has each store bring itself up to date, until all have. Until then the service
//! listens and says that it is not ready: a database that is away at the start is no reason to die.

use std::sync::Arc;
use std::time::Duration;

use super::{Stopping, sweep};
use crate::app::App;
use crate::store::Error;

/// The first wait before another try; each is twice as long, up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Runs until the stores are ready, or it is told to stop.
pub async fn run(app: Arc<App>, mut stopping: Stopping) {
    let (mut wait, mut said) = (WAIT_MIN, String::new());
    while let Err(error) = once(&app).await {
        // The same words every few seconds would drown the rest of the log.
        let why = error.to_string();
        if why != said {
            tracing::error!(%error, "not ready: a store cannot be worked with yet; trying again");
            said = why;
        }
        tokio::select! {
            () = stopping.begun() => return,
            () = tokio::time::sleep(wait) => wait = (2 * wait).min(WAIT_MAX),
        }
    }
}

/// One try.
pub async fn once(app: &App) -> Result<(), Error> {
    if app.is_prepared() {
        return Ok(());
    }
    for store in app.stores.places() {
        store.prepare().await?;
    }
    sweep::compare_clocks(app).await?;
    app.note_prepared();
    Ok(())
}
