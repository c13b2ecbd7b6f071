//! One thread writes. Jobs that wait while a commit is on its way share the next one, so that a
//! fsync is paid once per group; each job is atomic by a savepoint of its own, and is answered only
//! after its group's COMMIT.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::translate;
use crate::store::Error;

/// More jobs than this in one commit would make the first of them wait for no gain.
const GROUP_MAX: usize = 256;
/// Jobs that may wait. A disk that has stalled must refuse soon, not pile up.
const QUEUE_MAX: usize = 4096;
/// How long a request waits for its commit before it is told that the store is away.
const PATIENCE: Duration = Duration::from_secs(8);

/// The handle to the writing thread. The thread ends when the last handle is gone and its jobs are done.
pub struct Writer(SyncSender<Box<dyn Job>>);

/// A write that waits for its commit.
trait Job: Send {
    /// Does its work inside the group's transaction. Says whether to keep it.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Tells whoever asked what it made, or why that is not on the disk.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Work<T, F> {
    work: Option<F>,
    made: Option<Result<T, Error>>,
    asker: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        // A panic in one job must not take the others of its group, or the thread, with it.
        let made = catch_unwind(AssertUnwindSafe(|| work(connection)));
        let made = made.map_or_else(
            |_| Err(Error::Broken("a write panicked".into())),
            |made| made.map_err(translate),
        );
        self.made.insert(made).is_ok()
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let answer = match (self.made, committed) {
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (Some(Ok(made)), Ok(())) => Ok(made),
            (None, Ok(())) => Err(Error::Broken("a write was never run".into())),
        };
        // Nobody listens if the asker's patience ran out; the write stands all the same.
        let _ = self.asker.send(answer);
    }
}

impl Writer {
    /// Starts the thread.
    pub fn start(connection: Arc<Mutex<Connection>>) -> std::io::Result<Self> {
        let (sender, jobs) = sync_channel(QUEUE_MAX);
        std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || write(&connection, &jobs))?;
        Ok(Self(sender))
    }

    /// Does a piece of work and returns what it made once that is on the disk.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (asker, answer) = oneshot::channel();
        let job = Work {
            work: Some(work),
            made: None,
            asker,
        };
        self.0
            .try_send(Box::new(job))
            .map_err(|error| match error {
                TrySendError::Full(_) => Error::Unavailable("the disk does not keep up".into()),
                TrySendError::Disconnected(_) => Error::Broken("the writing thread is gone".into()),
            })?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::Broken("the writing thread is gone".into())),
            Err(_) => Err(Error::Unavailable(
                "the disk takes too long to commit".into(),
            )),
        }
    }
}

fn write(connection: &Mutex<Connection>, jobs: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(next) = jobs.try_recv()
        {
            group.push(next);
        }
        commit(
            &connection.lock().unwrap_or_else(PoisonError::into_inner),
            group,
        );
    }
}

/// Runs a group in one transaction, and answers.
fn commit(connection: &Connection, mut group: Vec<Box<dyn Job>>) {
    let committed = run(connection, &mut group);
    if committed.is_err() && !connection.is_autocommit() {
        // It fails only where there is nothing left to roll back.
        let _ = connection.execute_batch("ROLLBACK");
    }
    for job in group {
        job.answer(committed.clone());
    }
}

fn run(connection: &Connection, group: &mut [Box<dyn Job>]) -> Result<(), Error> {
    let say = |sql| connection.execute_batch(sql).map_err(translate);
    say("BEGIN IMMEDIATE")?;
    for job in group {
        say("SAVEPOINT job")?;
        if !job.run(connection) {
            // A full disk makes SQLite drop the whole transaction, and with it what the group's
            // other jobs did: then they are all answered that the store is away.
            if connection.is_autocommit() {
                return Err(Error::Unavailable("the disk is full or failing".into()));
            }
            say("ROLLBACK TO job")?;
        }
        say("RELEASE job")?;
    }
    say("COMMIT")
}

#[cfg(test)]
mod tests;
