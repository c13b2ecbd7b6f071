//! The three stores, with every step counted: what they promise, they still keep.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aidlc_auth::clock::Clock;
use aidlc_auth::hashing::Hasher;
use aidlc_auth::model::challenge::{ChallengeId, Guess, Purpose};
use aidlc_auth::model::email_address::EmailAddress;
use aidlc_auth::model::outbox::DueLetter;
use aidlc_auth::model::password::Password;
use aidlc_auth::model::session::{Digest, Session, Snapshot};
use aidlc_auth::model::suppression::Suppression;
use aidlc_auth::model::user::{FollowUp, ProfileChange, Status, User, UserId};
use aidlc_auth::store::{
    Admitted, AuditRow, Challenges, Created, End, Error, Found, NewSession, Open, Opened, Redeemed,
    Refresh, Refreshed, Sessions, Store, Stores, Users, Want,
};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::steps::Steps;
use super::world::TestClock;

/// One store behind a counter. Its clock is the test's.
struct Counted<S: ?Sized> {
    inner: Arc<S>,
    name: &'static str,
    steps: Arc<Steps>,
    clock: TestClock,
    /// For what a leaky world does too much of.
    hasher: Hasher,
}

/// Puts a counter before each store.
pub fn counted(stores: &Stores, steps: &Arc<Steps>, clock: &TestClock) -> Stores {
    fn around<S: ?Sized>(
        inner: &Arc<S>,
        name: &'static str,
        (steps, clock): (&Arc<Steps>, &TestClock),
    ) -> Arc<Counted<S>> {
        Arc::new(Counted {
            inner: Arc::clone(inner),
            name,
            steps: Arc::clone(steps),
            clock: clock.clone(),
            hasher: Hasher::start(1, 1).unwrap(),
        })
    }
    Stores {
        users: around(&stores.users, "users.check", (steps, clock)),
        challenges: around(&stores.challenges, "challenges.check", (steps, clock)),
        sessions: around(&stores.sessions, "sessions.check", (steps, clock)),
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Counted<S> {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn prepare(&self) -> Result<(), Error> {
        self.inner.prepare().await
    }

    async fn check(&self) -> Result<Timestamp, Error> {
        self.steps.take(self.name, self.inner.check()).await?;
        let skew = SignedDuration::from_secs(self.steps.skew.load(Ordering::Relaxed));
        let told = self.clock.now().checked_add(skew).unwrap();
        let slow = Duration::from_secs(self.steps.check_secs.load(Ordering::Relaxed));
        self.clock.advance(slow);
        Ok(told)
    }
}

#[async_trait]
impl Users for Counted<dyn Users> {
    async fn find(&self, email: &EmailAddress) -> Result<Option<User>, Error> {
        let found = self
            .steps
            .take("users.find", self.inner.find(email))
            .await?;
        if found.is_some() && self.steps.is_leaky() {
            let password = Password::typed("found").unwrap();
            self.hasher
                .hash(self.hasher.room().unwrap(), password)
                .await
                .unwrap();
        }
        Ok(found)
    }

    async fn get(&self, id: UserId) -> Result<Option<User>, Error> {
        self.steps.take("users.get", self.inner.get(id)).await
    }

    async fn create(&self, user: &User, audit: &AuditRow) -> Result<Created, Error> {
        let created = self.inner.create(user, audit);
        let created = self.steps.take("users.create", created).await?;
        self.steps.audit(std::slice::from_ref(audit));
        Ok(created)
    }

    async fn change_profile(
        &self,
        id: UserId,
        change: &ProfileChange,
        audit: &AuditRow,
    ) -> Result<Option<FollowUp>, Error> {
        let changed = self.inner.change_profile(id, change, audit);
        let changed = self.steps.take("users.change_profile", changed).await?;
        self.steps.audit(std::slice::from_ref(audit));
        Ok(changed)
    }

    async fn set_status(
        &self,
        email: &EmailAddress,
        status: Status,
        audit: &AuditRow,
    ) -> Result<Option<FollowUp>, Error> {
        let set = self.inner.set_status(email, status, audit);
        let set = self.steps.take("users.set_status", set).await?;
        self.steps.audit(std::slice::from_ref(audit));
        Ok(set)
    }

    async fn follow_ups(&self, before: Timestamp) -> Result<Vec<FollowUp>, Error> {
        self.steps
            .take("users.follow_ups", self.inner.follow_ups(before))
            .await
    }

    async fn follow_up_done(&self, id: Uuid) -> Result<(), Error> {
        self.steps
            .take("users.follow_up_done", self.inner.follow_up_done(id))
            .await
    }

    async fn suppress(
        &self,
        email: &EmailAddress,
        because: &Suppression,
        audit: &AuditRow,
    ) -> Result<bool, Error> {
        let noted = self.inner.suppress(email, because, audit);
        let is_new = self.steps.take("users.suppress", noted).await?;
        if is_new {
            self.steps.audit(std::slice::from_ref(audit));
        }
        Ok(is_new)
    }

    async fn suppression(&self, email: &EmailAddress) -> Result<Option<Suppression>, Error> {
        let found = self.inner.suppression(email);
        self.steps.take("users.suppression", found).await
    }

    async fn unsuppress(&self, email: &EmailAddress, audit: &AuditRow) -> Result<bool, Error> {
        let lifted = self.inner.unsuppress(email, audit);
        self.steps.take("users.unsuppress", lifted).await
    }

    async fn audit(&self, rows: &[AuditRow]) -> Result<(), Error> {
        let written = self.steps.take("users.audit", self.inner.audit(rows)).await;
        if written.is_ok() {
            self.steps.audit(rows);
        }
        written
    }

    async fn erase(
        &self,
        withdrawn_before: Timestamp,
        audited_before: Timestamp,
    ) -> Result<u64, Error> {
        let erased = self.inner.erase(withdrawn_before, audited_before);
        self.steps.take("users.erase", erased).await
    }
}

#[async_trait]
impl Challenges for Counted<dyn Challenges> {
    async fn admit(&self, client: IpAddr, want: Want, now: Timestamp) -> Result<Admitted, Error> {
        self.steps
            .take("challenges.admit", self.inner.admit(client, want, now))
            .await
    }

    async fn would_wait(
        &self,
        address: &EmailAddress,
        purpose: Purpose,
        contests: bool,
        client: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Duration>, Error> {
        self.steps
            .take(
                "challenges.would_wait",
                self.inner
                    .would_wait(address, purpose, contests, client, now),
            )
            .await
    }

    async fn contest(&self, address: &EmailAddress, now: Timestamp) -> Result<(), Error> {
        let contested = self.inner.contest(address, now);
        self.steps.take("challenges.contest", contested).await
    }

    async fn reserve_password_try(
        &self,
        address: &EmailAddress,
        now: Timestamp,
    ) -> Result<Option<Duration>, Error> {
        self.steps
            .take(
                "challenges.reserve_password_try",
                self.inner.reserve_password_try(address, now),
            )
            .await
    }

    async fn open(&self, open: Open, now: Timestamp) -> Result<Opened, Error> {
        let opened = self
            .steps
            .take("challenges.open", self.inner.open(open, now))
            .await?;
        if let Opened::Sent { letter, .. } = &opened {
            self.steps.hand_out(letter);
        }
        Ok(opened)
    }

    async fn redeem(
        &self,
        address: &EmailAddress,
        purpose: Purpose,
        guess: Guess,
        now: Timestamp,
    ) -> Result<Redeemed, Error> {
        self.steps
            .take(
                "challenges.redeem",
                self.inner.redeem(address, purpose, guess, now),
            )
            .await
    }

    async fn finish_claim(
        &self,
        address: &EmailAddress,
        id: ChallengeId,
        by: IpAddr,
        now: Timestamp,
    ) -> Result<bool, Error> {
        self.steps
            .take(
                "challenges.finish_claim",
                self.inner.finish_claim(address, id, by, now),
            )
            .await
    }

    async fn end(&self, address: &EmailAddress) -> Result<(), Error> {
        self.steps
            .take("challenges.end", self.inner.end(address))
            .await
    }

    async fn forgive(&self, address: &EmailAddress) -> Result<(), Error> {
        self.steps
            .take("challenges.forgive", self.inner.forgive(address))
            .await
    }

    async fn take_letters(&self, most: u32, now: Timestamp) -> Result<Vec<DueLetter>, Error> {
        let letters = self.inner.take_letters(most, now);
        let letters = self.steps.take("challenges.take_letters", letters).await?;
        for due in &letters {
            self.steps.hand_out(due);
        }
        Ok(letters)
    }

    async fn letters_done(&self, letters: &[DueLetter]) -> Result<(), Error> {
        let done = self.inner.letters_done(letters);
        let taken = self.steps.take("challenges.letters_done", done).await;
        letters.iter().for_each(|due| self.steps.hand_back(due));
        taken
    }

    async fn letter_failed(&self, letter: &DueLetter, due: Timestamp) -> Result<(), Error> {
        let failed = self.inner.letter_failed(letter, due);
        let taken = self.steps.take("challenges.letter_failed", failed).await;
        self.steps.hand_back(letter);
        taken
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, Error> {
        self.steps
            .take("challenges.sweep", self.inner.sweep(now))
            .await
    }
}

#[async_trait]
impl Sessions for Counted<dyn Sessions> {
    async fn create(&self, new: NewSession, now: Timestamp) -> Result<bool, Error> {
        self.steps
            .take("sessions.create", self.inner.create(new, now))
            .await
    }

    async fn find(&self, user: UserId, digest: Digest, now: Timestamp) -> Result<Found, Error> {
        self.steps
            .take("sessions.find", self.inner.find(user, digest, now))
            .await
    }

    async fn touch(&self, user: UserId, digest: Digest, now: Timestamp) -> Result<(), Error> {
        self.steps
            .take("sessions.touch", self.inner.touch(user, digest, now))
            .await
    }

    async fn refresh(
        &self,
        user: UserId,
        refresh: Refresh,
        now: Timestamp,
    ) -> Result<Refreshed, Error> {
        self.steps
            .take("sessions.refresh", self.inner.refresh(user, refresh, now))
            .await
    }

    async fn list(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, Error> {
        self.steps
            .take("sessions.list", self.inner.list(user, now))
            .await
    }

    async fn end(&self, user: UserId, end: End, now: Timestamp) -> Result<u64, Error> {
        self.steps
            .take("sessions.end", self.inner.end(user, end, now))
            .await
    }

    async fn renew(&self, snapshot: &Snapshot) -> Result<(), Error> {
        self.steps
            .take("sessions.renew", self.inner.renew(snapshot))
            .await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, Error> {
        self.steps
            .take("sessions.sweep", self.inner.sweep(now))
            .await
    }
}
