//! Writes audit rows, many at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Stopping;
use crate::app::App;
use crate::store::{AuditRow, Error};

/// Rows per write. More wait for the next.
const BATCH_MAX: usize = 256;
/// Rows are gathered for so long: they are in the log already, and a commit each would cost a
/// sign-in half as many commits again.
const GATHER: Duration = Duration::from_secs(1);
/// Between two tries to write the same rows.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs until it is told to stop, and then until nothing waits.
pub async fn run(app: Arc<App>, mut rows: mpsc::Receiver<AuditRow>, mut stopping: Stopping) {
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            // Closed, the queue still hands out what is in it, and then ends.
            () = stopping.begun(), if !rows.is_closed() => rows.close(),
            count = rows.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    return;
                }
                if count < BATCH_MAX && !rows.is_closed() {
                    gather(&mut rows, &mut batch, &mut stopping).await;
                }
                write(&app, &batch, &mut stopping).await;
                batch.clear();
            }
        }
    }
}

/// Waits a moment for more rows, unless it is time to stop.
async fn gather(
    rows: &mut mpsc::Receiver<AuditRow>,
    batch: &mut Vec<AuditRow>,
    stopping: &mut Stopping,
) {
    tokio::select! {
        () = tokio::time::sleep(GATHER) => {}
        () = stopping.begun() => {}
    }
    while batch.len() < BATCH_MAX
        && let Ok(row) = rows.try_recv()
    {
        batch.push(row);
    }
}

/// Writes rows, again and again while the store is away; those that come meanwhile wait in the queue.
/// Written twice, they are there once.
async fn write(app: &App, batch: &[AuditRow], stopping: &mut Stopping) {
    let (rows, mut is_said) = (batch.len(), false);
    while let Err(error) = app.stores.users.audit(batch).await {
        let waits = matches!(error, Error::Unavailable(_)) && !begins(stopping, AGAIN).await;
        if !waits {
            tracing::warn!(%error, rows, "audit rows could not be written; they are in the log");
            app.audit.count_dropped(rows as u64);
            return;
        }
        if !is_said {
            tracing::warn!(%error, rows, "audit rows wait for the store; they are in the log");
            is_said = true;
        }
    }
}

/// Whether it is time to stop, waiting so long for it.
async fn begins(stopping: &mut Stopping, wait: Duration) -> bool {
    tokio::time::timeout(wait, stopping.begun()).await.is_ok()
}
