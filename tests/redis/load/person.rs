//! One person under load, and what they were told.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aidlc_auth::model::challenge::Purpose;
use aidlc_auth::model::email_address::EmailAddress;
use aidlc_auth::model::session::Digest;
use aidlc_auth::model::user::UserId;
use aidlc_auth::store::redis::Redis as Store;
use aidlc_auth::store::{
    Challenges as _, End, Error, Found, Opened, Redeemed, Refresh, Refreshed, Sessions,
};
use tokio::time::sleep;

use super::Seen;
use crate::world::{Code, anyone, guess, login, new_session, now, someone, token};

/// Between two things that somebody does.
const BREATH: Duration = Duration::from_millis(3);
/// How many facts somebody remembers.
const REMEMBERED: usize = 300;

/// Something that the store acknowledged, and when.
pub struct Fact {
    pub what: What,
    pub is_so: bool,
    pub told: Instant,
}

pub enum What {
    /// A token leads to a session.
    Live(UserId, Digest),
    /// A code can be used.
    Usable(EmailAddress, Code),
}

impl What {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Live(..) => "session",
            Self::Usable(..) => "code",
        }
    }

    /// Asks the store, now that nothing stands in the way.
    pub async fn is_so(&self, store: &Store) -> bool {
        match self {
            Self::Live(user, digest) => {
                let found = store.find(*user, *digest, now()).await.unwrap();
                matches!(found, Found::Live(_))
            }
            Self::Usable(address, code) => {
                let redeemed = store
                    .redeem(address, Purpose::Login, guess(*code), now())
                    .await;
                matches!(redeemed.unwrap(), Redeemed::Accepted(_))
            }
        }
    }
}

/// Goes on until it is over.
pub async fn live(store: Arc<Store>, seen: Arc<Seen>, number: usize) -> Vec<Fact> {
    let mut person = Person {
        store,
        seen,
        user: someone(),
        facts: Vec::new(),
        is_refused: false,
    };
    for round in 0_u32.. {
        if person.is_over() {
            break;
        }
        person.is_refused = false;
        let code = person.code(round).await;
        let session = person.session(round).await;
        if code.and(session).is_some() && !person.is_refused {
            person.seen.rounds[number].fetch_add(1, Ordering::Relaxed);
        }
    }
    person.facts
}

struct Person {
    store: Arc<Store>,
    seen: Arc<Seen>,
    user: UserId,
    facts: Vec<Fact>,
    is_refused: bool,
}

impl Person {
    /// Has a code mailed, mistypes it, and mostly uses it. `None`: something was refused, and nobody
    /// knows whether it was done.
    async fn code(&mut self, round: u32) -> Option<()> {
        let store = Arc::clone(&self.store);
        let (address, code) = (anyone(), Code::new());
        let redeem = |code| store.redeem(&address, Purpose::Login, guess(code), now());
        let opened = self.ask(store.open(login(&address, code), now())).await?;
        let told = Instant::now();
        let is_sent = matches!(opened, Opened::Sent { .. });
        self.expect(is_sent, &format!("{opened:?}"), told);
        let wrong = self.ask(redeem(Code::new())).await?;
        let is_wrong = wrong == Redeemed::Wrong { tries_left: 4 };
        self.expect(is_wrong, &format!("a wrong code became {wrong:?}"), told);
        if round.is_multiple_of(8) {
            self.remember(What::Usable(address, code), true, told);
            return Some(());
        }
        let right = self.ask(redeem(code)).await?;
        let is_right = matches!(right, Redeemed::Accepted(_));
        self.expect(is_right, &format!("a right code became {right:?}"), told);
        let told = Instant::now();
        let again = self.ask(redeem(code)).await?;
        let is_spent = !matches!(again, Redeemed::Accepted(_));
        self.expect(is_spent, "a code was used twice", told);
        if round.is_multiple_of(4) {
            self.remember(What::Usable(address, code), false, told);
        }
        Some(())
    }

    /// Signs in, goes on, and mostly signs out.
    async fn session(&mut self, round: u32) -> Option<()> {
        let (store, user) = (Arc::clone(&self.store), self.user);
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
        if round.is_multiple_of(8) {
            self.remember(What::Live(user, second), true, told);
            return Some(());
        }

        let ended = self
            .ask(Sessions::end(&*store, user, End::One(id), now()))
            .await?;
        self.expect(ended == 1, "a session was gone before it ended", told);
        let told = Instant::now();
        self.finds(second, false, told).await;
        if round.is_multiple_of(4) {
            self.remember(What::Live(user, second), false, told);
        }
        Some(())
    }

    /// Looks a token up, until there is an answer: that has to be right.
    async fn finds(&mut self, digest: Digest, is_live: bool, told: Instant) {
        let store = Arc::clone(&self.store);
        while !self.is_over() {
            if let Some(found) = self.ask(store.find(self.user, digest, now())).await {
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

    async fn ask<T>(&mut self, question: impl Future<Output = Result<T, Error>>) -> Option<T> {
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
                self.is_refused = true;
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

    fn remember(&mut self, what: What, is_so: bool, told: Instant) {
        if self.facts.len() < REMEMBERED {
            self.facts.push(Fact { what, is_so, told });
        }
    }

    fn is_over(&self) -> bool {
        self.seen.is_over.load(Ordering::Relaxed)
    }
}
