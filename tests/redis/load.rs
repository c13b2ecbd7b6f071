//! People who sign in, go on and sign out without a pause, and remember what they were told.
//!
//! What was acknowledged is held against the store for as long as it runs, and at the end once more.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aidlc_auth::model::session::Digest;
use aidlc_auth::model::user::UserId;
use aidlc_auth::store::redis::Redis as Store;
use aidlc_auth::store::{End, Error, Found, Refresh, Refreshed, Sessions as _};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::world::{new_session, now, someone, token};

const PEOPLE: usize = 16;
/// Between two things that somebody does.
const BREATH: Duration = Duration::from_millis(3);
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
    people: JoinSet<Ledger>,
}

/// What one person was told.
struct Ledger {
    user: UserId,
    /// Tokens that lead to a session, or to none any more, and since when they know.
    told: Vec<(Digest, bool, Instant)>,
}

impl Load {
    /// Starts, and waits until everyone was served.
    pub async fn start(store: &Arc<Store>) -> Self {
        let seen = Arc::<Seen>::default();
        let mut people = JoinSet::new();
        for number in 0..PEOPLE {
            people.spawn(live(Arc::clone(store), Arc::clone(&seen), number));
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
        let mut wrong = Vec::new();
        for ledger in &ledgers {
            for (digest, is_live, since) in &ledger.told {
                if (from..to).contains(since) {
                    continue;
                }
                told += 1;
                let found = self.store.find(ledger.user, *digest, now()).await.unwrap();
                if matches!(found, Found::Live(_)) != *is_live {
                    wrong.push((since.elapsed(), *is_live));
                }
            }
        }
        let (ago, count) = (wrong.iter().min(), wrong.len());
        assert_eq!(
            count, 0,
            "of {told}, the latest was told {ago:?} ago (and was to be live)"
        );
        assert!(told > PEOPLE, "{told} were held against the store");
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

/// One person, for as long as it goes on.
async fn live(store: Arc<Store>, seen: Arc<Seen>, number: usize) -> Ledger {
    let ledger = Ledger {
        user: someone(),
        told: Vec::new(),
    };
    let mut person = Person {
        store,
        seen,
        ledger,
    };
    let mut round = 0;
    while !person.is_over() {
        let refused = person.seen.refused.load(Ordering::Relaxed);
        let _: Option<()> = person.round(round).await;
        round += 1;
        // Whoever was refused, it was in this time; one's own rounds are short.
        if person.seen.refused.load(Ordering::Relaxed) == refused {
            person.seen.rounds[number].fetch_add(1, Ordering::Relaxed);
        }
    }
    person.ledger
}

struct Person {
    store: Arc<Store>,
    seen: Arc<Seen>,
    ledger: Ledger,
}

impl Person {
    /// Signs in, goes on, and mostly signs out. `None`: something was refused, and nobody knows
    /// whether it was done.
    async fn round(&mut self, round: u32) -> Option<()> {
        let (store, user) = (Arc::clone(&self.store), self.ledger.user);
        let (first, second) = (token(), token());
        let new = new_session(user, first);
        let id = new.session.id;
        let created = self.ask(store.create(new, now())).await?;
        self.expect(created, "nobody raised a fence", Instant::now());
        let told = Instant::now();
        self.finds(first, true, told).await;

        let refresh = Refresh {
            old: first,
            successors: vec![second],
            generation: 1,
        };
        let refreshed = self.ask(store.refresh(user, refresh, now())).await?;
        let is_done = matches!(refreshed, Refreshed::Done { .. });
        self.expect(is_done, &format!("a refresh became {refreshed:?}"), told);
        let told = Instant::now();
        self.finds(second, true, told).await;

        let is_remembered = round.is_multiple_of(4) && self.ledger.told.len() < 300;
        if is_remembered && round.is_multiple_of(8) {
            self.ledger.told.push((second, true, told));
            return Some(());
        }
        let ended = self.ask(store.end(user, End::One(id), now())).await?;
        self.expect(ended == 1, "a session was gone before it ended", told);
        let told = Instant::now();
        self.finds(second, false, told).await;
        if is_remembered {
            self.ledger.told.push((second, false, told));
        }
        Some(())
    }

    /// Looks a token up, until there is an answer: that has to be right.
    async fn finds(&self, digest: Digest, is_live: bool, told: Instant) {
        while !self.is_over() {
            let found = self.store.find(self.ledger.user, digest, now());
            if let Some(found) = self.ask(found).await {
                let is_right = matches!(found, Found::Live(_)) == is_live;
                self.expect(
                    is_right,
                    &format!("{found:?} where live is {is_live}"),
                    told,
                );
                return;
            }
        }
    }

    async fn ask<T>(&self, question: impl Future<Output = Result<T, Error>>) -> Option<T> {
        sleep(BREATH).await;
        let start = Instant::now();
        let answer = question.await;
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap();
        self.seen
            .slowest_micros
            .fetch_max(micros, Ordering::Relaxed);
        match answer {
            Ok(answer) => return Some(answer),
            Err(Error::Unavailable(why)) => {
                *self.seen.why.lock().unwrap() = why;
                self.seen.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(broken) => self.expect(false, &broken.to_string(), start),
        }
        None
    }

    fn expect(&self, is_so: bool, otherwise: &str, told: Instant) {
        if !is_so {
            let mut wrong = self.seen.wrong.lock().unwrap();
            wrong.push((otherwise.to_owned(), told));
        }
    }

    fn is_over(&self) -> bool {
        self.seen.is_over.load(Ordering::Relaxed)
    }
}
