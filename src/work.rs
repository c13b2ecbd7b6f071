//! Stories started by the clock instead of a request.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::{App, Queues};

pub mod follow_up;
pub mod keep_audit;
pub mod prepare;
pub mod send_mail;
pub mod sweep;

/// How long the workers have for what they hold, once the last request is answered.
pub const LAST_LETTERS: Duration = Duration::from_secs(10);

/// The workers, running.
pub struct Workers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Workers {
    /// Starts them. Letters pause before they are begun; tests that move the clock have none of that.
    pub fn start(app: &Arc<App>, queues: Queues, letters_pause: bool) -> Self {
        let (stop, stopping) = watch::channel(false);
        let stopping = Stopping(stopping);
        let mut tasks = JoinSet::new();
        tasks.spawn(prepare::run(Arc::clone(app), stopping.clone()));
        let mut once_prepared = |worker: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let (app, mut stopping) = (Arc::clone(app), stopping.clone());
            tasks.spawn(async move {
                tokio::select! {
                    // Told to stop before there was anything to do: it still writes what it holds.
                    () = stopping.begun() => {}
                    () = app.prepared() => {}
                }
                worker.await;
            });
        };
        let mail = send_mail::run(
            Arc::clone(app),
            queues.letters,
            stopping.clone(),
            letters_pause,
        );
        once_prepared(Box::pin(mail));
        let audit = keep_audit::run(Arc::clone(app), queues.audit, stopping.clone());
        once_prepared(Box::pin(audit));
        once_prepared(Box::pin(sweep::run(Arc::clone(app), stopping.clone())));
        Self { stop, tasks }
    }

    /// Lets them finish what they have in hand, for so long. Nothing is lost by cutting them short:
    /// letters stay in the outbox, follow-ups in their table.
    pub async fn finish(mut self, patience: Duration) {
        self.stop.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("stopped with work in hand; the next start goes on with it");
        }
    }
}

/// Tells a worker when to stop.
#[derive(Clone)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Waits until then.
    pub async fn begun(&mut self) {
        // An error says that whoever could tell is gone, which is the same.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}
