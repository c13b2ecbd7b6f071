//! People who have codes mailed, sign in, go on and sign out without a pause, and remember what they
//! were told.
//!
//! What was acknowledged is held against the store for as long as it runs, and at the end once more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aidlc_auth::store::redis::Redis as Store;
use tokio::task::JoinSet;
use tokio::time::sleep;

mod person;

use person::Fact;

const PEOPLE: usize = 16;
/// No answer may take longer.
const LONGEST: Duration = Duration::from_secs(10);
/// After a server is back, everyone has to be served again by then.
pub const BACK: Duration = Duration::from_secs(20);

/// What everyone saw.
#[derive(Default)]
struct Seen {
    is_over: AtomicBool,
    /// Rounds without a refusal, by person.
    rounds: [AtomicU64; PEOPLE],
    refused: AtomicU64,
    slowest_micros: AtomicU64,
    /// What must never be: errors that do not pass, and answers that are not as somebody was told,
    /// with the time of that.
    wrong: Mutex<Vec<(String, Instant)>>,
    /// The last refusal.
    why: Mutex<String>,
}

/// People at work.
pub struct Load {
    store: Arc<Store>,
    seen: Arc<Seen>,
    people: JoinSet<Vec<Fact>>,
}

impl Load {
    /// Starts, and waits until everyone was served.
    pub async fn start(store: &Arc<Store>) -> Self {
        let seen = Arc::<Seen>::default();
        let mut people = JoinSet::new();
        for number in 0..PEOPLE {
            people.spawn(person::live(Arc::clone(store), Arc::clone(&seen), number));
        }
        let load = Self {
            store: Arc::clone(store),
            seen,
            people,
        };
        load.serves_everyone().await;
        load
    }

    /// How many answers were a refusal so far.
    pub fn refused(&self) -> u64 {
        self.seen.refused.load(Ordering::Relaxed)
    }

    /// The last refusal.
    pub fn why(&self) -> String {
        self.seen.why.lock().unwrap().clone()
    }

    /// Waits until somebody is refused.
    pub async fn refuses(&self) {
        let before = self.refused();
        self.wait("nobody is refused", || self.refused() > before)
            .await;
    }

    /// Waits until everyone was served once more, from the first to the last step.
    pub async fn serves_everyone(&self) {
        // The round that somebody is in may have been refused already: two.
        let rounds = || self.seen.rounds.iter().map(|n| n.load(Ordering::Relaxed));
        let wanted: Vec<u64> = rounds().map(|n| n + 2).collect();
        self.wait("somebody is not served", || {
            rounds().zip(&wanted).all(|(now, wanted)| now >= *wanted)
        })
        .await;
    }

    async fn wait(&self, otherwise: &str, is_it: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_it() {
            assert!(start.elapsed() < BACK, "{otherwise}: {}", self.why());
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it. Nothing that was acknowledged may be lost.
    pub async fn finish(self) {
        let never = Instant::now() + BACK;
        self.finish_but_for(never, never).await;
    }

    /// Ends it. What was acknowledged in between may be lost: it was on one server only.
    pub async fn finish_but_for(mut self, from: Instant, to: Instant) {
        self.seen.is_over.store(true, Ordering::Relaxed);
        let mut ledgers = Vec::new();
        while let Some(ledger) = self.people.join_next().await {
            ledgers.push(ledger.unwrap());
        }
        let mut told = 0;
        let mut lost = Vec::new();
        for Fact {
            what,
            is_so,
            told: at,
        } in ledgers.iter().flatten()
        {
            if (from..to).contains(at) {
                continue;
            }
            told += 1;
            if what.is_so(&self.store).await != *is_so {
                lost.push((at.elapsed(), what.name(), *is_so));
            }
        }
        assert!(told > 2 * PEOPLE, "{told} were held against the store");
        let last = lost.iter().min();
        assert!(lost.is_empty(), "{} of {told}, lately {last:?}", lost.len());
        let wrong = self.seen.wrong.lock().unwrap();
        let wrong = wrong.iter().filter(|(_, told)| !(from..to).contains(told));
        let wrong: Vec<_> = wrong.map(|(what, _)| what).collect();
        assert!(
            wrong.is_empty(),
            "{} answers: {:?}",
            wrong.len(),
            &wrong[..wrong.len().min(5)]
        );
        let slowest = Duration::from_micros(self.seen.slowest_micros.load(Ordering::Relaxed));
        assert!(slowest < LONGEST, "an answer took {slowest:?}");
    }
}
