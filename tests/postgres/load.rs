//! A load on the store while its server fails: many who write and read, with every answer timed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aidlc_auth::store::postgres::Postgres as Store;
use aidlc_auth::store::{Created, Error, Users as _};
use tokio::task::JoinSet;

use crate::servers::Postgres;
use crate::world::{ada, number};

const WRITERS: u32 = 12;
const READERS: u32 = 8;
/// Nobody waits longer for an answer, whatever happens.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// After which everything works again, once the server does.
const BACK_MAX: Duration = Duration::from_secs(20);

/// What the answers were.
#[derive(Default)]
struct Record {
    /// The accounts that are said to be written.
    acknowledged: Vec<u32>,
    /// When who was answered: a worker's number, whether it got what it asked for, the reason if not.
    answers: Vec<Answer>,
    slowest: Duration,
}

struct Answer {
    by: u32,
    at: Instant,
    why: Option<String>,
}

/// Clients at work.
pub struct Load {
    record: Arc<Mutex<Record>>,
    is_over: Arc<AtomicBool>,
    workers: JoinSet<()>,
}

impl Load {
    /// Begins, and returns when every client has been served.
    pub async fn begin(store: &Arc<Store>) -> Self {
        let load = Self {
            record: Arc::default(),
            is_over: Arc::default(),
            workers: JoinSet::new(),
        };
        let mut load = load;
        let next = Arc::new(AtomicU32::new(1));
        for by in 0..WRITERS + READERS {
            let (store, record) = (Arc::clone(store), Arc::clone(&load.record));
            let (next, is_over) = (Arc::clone(&next), Arc::clone(&load.is_over));
            load.workers.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let outcome = if by < WRITERS {
                        write(&store, next.fetch_add(1, Ordering::Relaxed)).await
                    } else {
                        store.find(&ada(1).0.email).await.map(|_| None)
                    };
                    note(&record, by, began, outcome);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
        }
        load.is_served(Instant::now()).await;
        load
    }

    /// Everyone has been served since this instant.
    async fn is_served(&self, since: Instant) {
        let served = async {
            while self.served(since).len() < (WRITERS + READERS) as usize {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let back = tokio::time::timeout(BACK_MAX, served).await;
        back.unwrap_or_else(|_| {
            panic!("not served: {:?}", self.reasons(since).last());
        });
    }

    fn served(&self, since: Instant) -> HashSet<u32> {
        let record = self.record.lock().unwrap();
        let answers = record.answers.iter();
        answers
            .filter(|answer| answer.at >= since && answer.why.is_none())
            .map(|answer| answer.by)
            .collect()
    }

    /// Why those who were refused since this instant were.
    pub fn reasons(&self, since: Instant) -> Vec<String> {
        let record = self.record.lock().unwrap();
        let late = record.answers.iter().filter(|answer| answer.at >= since);
        late.filter_map(|answer| answer.why.clone()).collect()
    }

    /// Whether a reader was refused since this instant.
    pub fn refused_readers(&self, since: Instant) -> usize {
        let record = self.record.lock().unwrap();
        let late = record.answers.iter().filter(|answer| answer.at >= since);
        late.filter(|answer| answer.by >= WRITERS && answer.why.is_some())
            .count()
    }

    /// The server works again: so does everything else, soon, and nothing was lost.
    pub async fn recovers(mut self, server: &Postgres, database: &str) -> Outcome {
        let mended = Instant::now();
        self.is_served(mended).await;
        let back_after = mended.elapsed();
        self.is_over.store(true, Ordering::Relaxed);
        while self.workers.join_next().await.is_some() {}

        let superuser = server.superuser(database).await;
        let (ids, slowest, refused) = {
            let record = self.record.lock().unwrap();
            let ids = record.acknowledged.iter().map(|n| ada(*n).0.id.0);
            let refused = record.answers.iter().filter(|it| it.why.is_some());
            (ids.collect::<Vec<_>>(), record.slowest, refused.count())
        };
        assert!(slowest < ANSWER_MAX, "{slowest:?}");
        let count = ids.len();
        let there = "SELECT count(*) FROM users WHERE id = ANY($1)";
        let there: i64 = superuser.query_one(there, &[&ids]).await.unwrap().get(0);
        assert_eq!(
            usize::try_from(there).unwrap(),
            count,
            "acknowledged and lost"
        );
        let left = "SELECT count(*) FROM pg_stat_activity
            WHERE application_name = 'aidlc-auth' AND state <> 'idle' AND pid <> pg_backend_pid()";
        let settled = Instant::now();
        while number(&superuser, left).await > 0 {
            assert!(
                settled.elapsed() < Duration::from_secs(10),
                "something is left at the server"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let outcome = Outcome {
            back_after,
            slowest,
            acknowledged: count,
            refused,
        };
        println!("{outcome:?}");
        outcome
    }
}

/// What it came to.
#[derive(Debug)]
#[expect(dead_code, reason = "printed for whoever looks at the run")]
pub struct Outcome {
    back_after: Duration,
    slowest: Duration,
    acknowledged: usize,
    refused: usize,
}

/// Answers the number of an account that is written now.
async fn write(store: &Store, n: u32) -> Result<Option<u32>, Error> {
    let (user, audit) = ada(n);
    match store.create(&user, &audit).await? {
        Created::Written => Ok(Some(n)),
        other => panic!("{n} is new: {other:?}"),
    }
}

fn note(record: &Mutex<Record>, by: u32, began: Instant, outcome: Result<Option<u32>, Error>) {
    let mut record = record.lock().unwrap();
    record.slowest = record.slowest.max(began.elapsed());
    let why = match outcome {
        Ok(written) => {
            record.acknowledged.extend(written);
            None
        }
        Err(Error::Unavailable(why)) => Some(why),
        Err(Error::Broken(why)) => panic!("broken: {why}"),
    };
    let at = Instant::now();
    record.answers.push(Answer { by, at, why });
}
