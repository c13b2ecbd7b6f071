//! The audit trail: every security event as one log line before the answer, and as a row soon after.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::store::AuditRow;

/// Rows that may wait to be written. Beyond that they are counted instead: an attacker must not be
/// able to fill the memory with their own misdeeds.
const WAITING_MAX: usize = 8192;

/// Where stories report what happened.
pub struct Audit {
    rows: mpsc::Sender<AuditRow>,
    dropped: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Audit {
    /// The trail, and the end that a worker writes rows from.
    pub fn new() -> (Self, mpsc::Receiver<AuditRow>) {
        let (rows, waiting) = mpsc::channel(WAITING_MAX);
        (
            Self {
                rows,
                dropped: AtomicU64::new(0),
                refused: Mutex::default(),
            },
            waiting,
        )
    }

    /// Logs an event now and has its row written.
    pub fn record(&self, row: AuditRow) {
        self.log(&row);
        if self.rows.try_send(row).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Logs an event whose row is written already, with the change that it reports.
    pub fn log(&self, row: &AuditRow) {
        tracing::info!(
            target: "aidlc_auth::audit",
            event = row.event,
            outcome = row.outcome,
            user = row.user.map(tracing::field::display),
            subject = row.subject,
            client = row.client.map(tracing::field::display),
            request_id = row.request_id,
            "{} {}", row.event, row.outcome
        );
    }

    /// Counts a request that a limit refused: those come by the thousand and are no rows.
    pub fn count_refusal(&self, code: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(code).or_default() += 1;
    }

    /// Counts rows that could not be written.
    pub fn count_dropped(&self, rows: u64) {
        self.dropped.fetch_add(rows, Ordering::Relaxed);
    }

    /// Logs what was only counted since the last time; called once a minute.
    pub fn log_counts(&self) {
        let refused =
            std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner));
        for (code, count) in refused {
            tracing::info!(target: "aidlc_auth::audit", code, count, "limits refused requests");
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::error!(target: "aidlc_auth::audit", dropped, "audit rows were not written");
        }
    }
}
