//! Writes audit rows, many at once.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Stopping;
use crate::app::App;
use crate::store::AuditRow;

/// Rows per write. More wait for the next.
const BATCH_MAX: usize = 256;

/// Runs until it is told to stop, and then until nothing waits.
pub async fn run(app: Arc<App>, mut rows: mpsc::Receiver<AuditRow>, mut stopping: Stopping) {
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            count = rows.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    return;
                }
                write(&app, &batch).await;
                batch.clear();
            }
            // Closed, the queue still hands out what is in it, and then ends.
            () = stopping.begun(), if !rows.is_closed() => rows.close(),
        }
    }
}

async fn write(app: &App, batch: &[AuditRow]) {
    if let Err(error) = app.stores.users.audit(batch).await {
        tracing::warn!(%error, rows = batch.len(), "audit rows could not be written; they are in the log");
        app.audit.count_dropped(batch.len() as u64);
    }
}
