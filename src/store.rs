//! What the service keeps, as promises: three traits whose every method is one whole, atomic step.
//!
//! `Users` must survive everything; `Challenges` and `Sessions` must expire. The steps are shaped
//! so that one PostgreSQL transaction, one Lua script on one Redis hash tag, or one SQLite
//! savepoint can keep each promise. No plain code or token comes here, only digests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use crate::config::{self, DatabaseUrl, RedisUrl};
use crate::model::challenge::{Ask, Challenge, ChallengeId, CodeRules, Guess, Purpose};
use crate::model::email_address::EmailAddress;
use crate::model::limit::{Budget, Rate};
use crate::model::outbox::{DueLetter, Letter};
use crate::model::session::{Digest, Session, SessionId, SessionRules, Snapshot};
use crate::model::suppression::Suppression;
use crate::model::user::{FollowUp, ProfileChange, Status, User, UserId};

pub mod examine;
pub mod postgres;
pub mod redis;
pub mod schema;
pub mod sqlite;
mod statements;

use self::redis::Redis;
use postgres::Postgres;
use postgres::credentials;
use sqlite::Sqlite;

/// The stores, as `DATABASE_URL` and `REDIS_URL` picked them.
#[derive(Clone)]
pub struct Stores {
    /// Accounts, what follows from their changes, and the audit trail.
    pub users: Arc<dyn Users>,
    /// Challenges with their budgets, limits and outbox.
    pub challenges: Arc<dyn Challenges>,
    /// Sessions.
    pub sessions: Arc<dyn Sessions>,
}

impl Stores {
    /// Each place once: one server may keep several of them.
    pub fn places(&self) -> Vec<Arc<dyn Store>> {
        let mut places: Vec<Arc<dyn Store>> = vec![
            Arc::clone(&self.users) as _,
            Arc::clone(&self.challenges) as _,
            Arc::clone(&self.sessions) as _,
        ];
        places.dedup_by_key(|store| store.place());
        places
    }
}

/// Opens what the settings name. The error says what to do.
pub fn open(
    config: &config::Stores,
    usage: sqlite::Use,
    rules: Rules,
) -> std::result::Result<Stores, String> {
    // One embedded store keeps all that no server keeps: the settings name one place at most.
    let embedded = embedded(config, usage, rules)?.map(Arc::new);
    let embedded = || embedded.clone().expect("what no server keeps is embedded");
    let users: Arc<dyn Users> = match &config.database_url {
        DatabaseUrl::Postgres(url) => Arc::new(postgres(url, &config.database, usage)?),
        DatabaseUrl::Sqlite(_) | DatabaseUrl::Memory => embedded(),
    };
    let (challenges, sessions): (Arc<dyn Challenges>, Arc<dyn Sessions>) = match &config.redis_url {
        RedisUrl::Redis(url) => {
            let redis = Arc::new(Redis::new(url, &config.redis, rules)?);
            (Arc::clone(&redis) as _, redis)
        }
        RedisUrl::Sqlite(_) | RedisUrl::Memory => (embedded(), embedded()),
    };
    Ok(Stores {
        users,
        challenges,
        sessions,
    })
}

/// The PostgreSQL server. Commands beside the service migrate nothing: an older release may be serving.
fn postgres(
    url: &SecretString,
    settings: &config::Database,
    usage: sqlite::Use,
) -> std::result::Result<Postgres, String> {
    let settings = config::Database {
        migrate_at_start: settings.migrate_at_start && usage == sqlite::Use::Serve,
        ..settings.clone()
    };
    Postgres::new(url, &settings, credentials::of(url, &settings)?)
}

/// The embedded store, if anything is to be kept in it.
fn embedded(
    config: &config::Stores,
    usage: sqlite::Use,
    rules: Rules,
) -> std::result::Result<Option<Sqlite>, String> {
    match (&config.database_url, &config.redis_url) {
        (DatabaseUrl::Sqlite(path), _) | (_, RedisUrl::Sqlite(path)) => {
            Sqlite::open(path, usage, rules).map(Some)
        }
        (DatabaseUrl::Memory, _) | (_, RedisUrl::Memory) if usage == sqlite::Use::Operate => Err(
            "what is kept in memory: is in the memory of the service and cannot be reached from \
                 here: run this with the settings of a service that keeps files or uses servers"
                .into(),
        ),
        (DatabaseUrl::Memory, _) | (_, RedisUrl::Memory) => Sqlite::memory(rules).map(Some),
        (DatabaseUrl::Postgres(_), RedisUrl::Redis(_)) => Ok(None),
    }
}

/// The store could not do it. Nothing is said of whether a write happened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// It is away, full, locked or too slow. Try again later.
    #[error("{0}")]
    Unavailable(String),
    /// It answered what it never should. Someone should look.
    #[error("{0}")]
    Broken(String),
}

type Result<T> = std::result::Result<T, Error>;

/// Writes a record for storing.
fn json<T: serde::Serialize>(record: &T) -> String {
    serde_json::to_string(record).expect("records are plain data with text keys")
}

/// Reads a stored instant.
fn instant(micros: i64) -> Timestamp {
    // Out of range only if someone wrote into the file; then the nearest there is.
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// What every store can say of itself.
#[async_trait]
pub trait Store: Send + Sync {
    /// What it is and where it lives, without secrets: for start-up and `config`.
    fn place(&self) -> String;

    /// Its name in `/health`: what it is, and neither host nor version.
    fn kind(&self) -> &'static str;

    /// Brings what it keeps up to date, and warns of what is amiss there: done at start until it
    /// succeeds. The embedded store did so when it was opened.
    async fn prepare(&self) -> Result<()> {
        Ok(())
    }

    /// Does the least that proves it works, and tells its clock, read when it answers: what it did
    /// may have waited long for a disk.
    async fn check(&self) -> Result<Timestamp>;
}

/// Accounts: they must survive everything.
#[async_trait]
pub trait Users: Store {
    /// The account that has the address, if any may: withdrawn ones have let go of it.
    async fn find(&self, email: &EmailAddress) -> Result<Option<User>>;

    /// The same for eyes only: it may be of a moment ago, and nothing is decided by it.
    async fn peek(&self, email: &EmailAddress) -> Result<Option<User>> {
        self.find(email).await
    }

    /// An account by its id, in whatever status.
    async fn get(&self, id: UserId) -> Result<Option<User>>;

    /// Writes a new account and its audit row, unless its address is taken. Writing the same id
    /// again is no error: the process that wrote it first may have died before it could say so.
    async fn create(&self, user: &User, audit: &AuditRow) -> Result<Created>;

    /// Merges a change into a profile, with its audit row and, under the same id, the follow-up that
    /// carries it into sessions. `None`: there is no such active account.
    async fn change_profile(
        &self,
        id: UserId,
        change: &ProfileChange,
        audit: &AuditRow,
    ) -> Result<Option<FollowUp>>;

    /// Sets what the account at an address may do and raises its generation, with the audit row and,
    /// under the same id, the follow-up that ends what was granted before. `None`: no such account.
    async fn set_status(
        &self,
        email: &EmailAddress,
        status: Status,
        audit: &AuditRow,
    ) -> Result<Option<FollowUp>>;

    /// Follow-ups written before `before` that nobody has finished, oldest first.
    async fn follow_ups(&self, before: Timestamp) -> Result<Vec<FollowUp>>;

    /// Strikes out a follow-up that is done.
    async fn follow_up_done(&self, id: Uuid) -> Result<()>;

    /// Notes that an address gets no mail, with the audit row, unless that is noted already: then what
    /// was noted first stays. Whether it was new.
    async fn suppress(
        &self,
        email: &EmailAddress,
        because: &Suppression,
        audit: &AuditRow,
    ) -> Result<bool>;

    /// Why an address gets no mail, if it gets none.
    async fn suppression(&self, email: &EmailAddress) -> Result<Option<Suppression>>;

    /// Lets an address have mail again, with the audit row. `false`: it had it all along.
    async fn unsuppress(&self, email: &EmailAddress, audit: &AuditRow) -> Result<bool>;

    /// Appends rows to the audit trail. One that is there already, by its id, is not written again.
    async fn audit(&self, rows: &[AuditRow]) -> Result<()>;

    /// Erases accounts withdrawn before `withdrawn_before`, and audit rows of before `audited_before`.
    /// Says how many accounts.
    async fn erase(&self, withdrawn_before: Timestamp, audited_before: Timestamp) -> Result<u64>;
}

/// What became of writing an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is there now.
    Written,
    /// This very account was there already.
    AlreadyThere,
    /// Another account has its address.
    AddressTaken,
}

/// One security event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditRow {
    pub id: Uuid,
    pub at: Timestamp,
    pub event: &'static str,
    pub outcome: &'static str,
    pub user: Option<UserId>,
    /// Stands for the address; see `Keys::pseudonym`.
    pub subject: Option<String>,
    pub client: Option<IpAddr>,
    pub request_id: String,
}

/// How much is too much, in numbers from the settings.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "DESIGN's words for them are the names")]
pub struct LimitRules {
    /// `false` (development only): nothing is refused by a rate or budget, wrong guesses excepted.
    pub enabled: bool,
    pub guesses: Budget,
    pub password_tries: Budget,
    pub sends_apart: Duration,
    pub sends: Budget,
    pub mailbox_hour: Budget,
    pub mailbox_day: Budget,
    pub client_requests: Rate,
    pub client_guesses: Rate,
    pub service_requests: Rate,
    pub service_guesses: Rate,
}

/// What a client wants, for the limits that count by client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// To have a code mailed.
    Code,
    /// To try a code or password.
    Guess,
}

/// What a limit on clients says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Go on.
    Yes {
        /// Whether it was seen before in the present window. Strangers are refused first when the
        /// whole service is at its ceiling.
        known: bool,
    },
    /// Come back after this long.
    No {
        /// How long.
        wait: Duration,
    },
}

/// A request for a code, as one step.
#[derive(Debug, Clone)]
pub struct Open {
    /// For whom; budgets count under its normal form and its mailbox.
    pub address: EmailAddress,
    /// What for.
    pub purpose: Purpose,
    /// What the record is made or renewed from.
    pub ask: Ask,
    /// The letter that is owed.
    pub letter: Letter,
    /// Who asked: the one who used the last code need not wait.
    pub client: IpAddr,
    /// Refused before others when the whole service is at its ceiling.
    pub yields: bool,
    /// A password try that was reserved at this instant and turned out right.
    pub right_password_at: Option<Timestamp>,
}

/// What became of a request for a code.
#[derive(Debug, Clone, PartialEq)]
pub enum Opened {
    /// The record is there, and the letter in the outbox, leased to this process.
    Sent {
        /// Which record.
        id: ChallengeId,
        /// When its code stops working.
        expires_at: Timestamp,
        /// How long until it may be asked for again.
        resend_after: Duration,
        /// The letter, to be sent now. (Boxed: it is far larger than the rest.)
        letter: Box<DueLetter>,
    },
    /// Over a budget or ceiling; nothing was changed, but that a pending form is now contested and a
    /// right password's try is given back.
    TooSoon {
        /// How long to wait.
        wait: Duration,
    },
}

/// What became of an attempt to use a code.
#[derive(Debug, Clone, PartialEq)]
pub enum Redeemed {
    /// It matched. A login's is spent; a registration's is claimed for ten seconds.
    Accepted(Box<Challenge>),
    /// It did not match; this many 6-digit guesses are left.
    Wrong {
        /// How many.
        tries_left: u8,
    },
    /// There is nothing to match it with.
    Gone,
    /// The address has had its wrong guesses for the day.
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// The whole service is at its ceiling of guesses.
    Full {
        /// How long to wait.
        wait: Duration,
    },
    /// The record was made under a key that this process does not have.
    KeyUnknown,
}

/// What must expire: challenges, and the budgets, limits and outbox that go with them.
#[async_trait]
pub trait Challenges: Store {
    /// Counts a request of a client, under its address and the networks around it.
    async fn admit(&self, client: IpAddr, want: Want, now: Timestamp) -> Result<Admitted>;

    /// How long a code for the address would have to wait, by its budgets and by what the service
    /// leaves to those who yield; counting nothing. Asked before work that costs much. `contests`: being refused marks a pending form as contested.
    async fn would_wait(
        &self,
        address: &EmailAddress,
        purpose: Purpose,
        contests: bool,
        client: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Duration>>;

    /// Marks a form that is pending as contested: somebody was refused before their own got here.
    async fn contest(&self, address: &EmailAddress, now: Timestamp) -> Result<()>;

    /// Counts a password try before the password is hashed; a right one is given back with the
    /// step that follows ([`Open::right_password_at`]). `Some`: none is left, wait this long.
    async fn reserve_password_try(
        &self,
        address: &EmailAddress,
        now: Timestamp,
    ) -> Result<Option<Duration>>;

    /// Counts, makes or renews the record, and writes the letter to the outbox: all or nothing.
    async fn open(&self, open: Open, now: Timestamp) -> Result<Opened>;

    /// Compares, counts and spends, without a read before it.
    async fn redeem(
        &self,
        address: &EmailAddress,
        purpose: Purpose,
        guess: Guess,
        now: Timestamp,
    ) -> Result<Redeemed>;

    /// Spends a claimed code for good. `false`: there was no claim left to finish, because whoever
    /// took it over was first, or another form has the record's place. Only `true` may lead to a
    /// session: a process that was slow, not dead, must not make a second one from the same code.
    async fn finish_claim(
        &self,
        address: &EmailAddress,
        id: ChallengeId,
        by: IpAddr,
        now: Timestamp,
    ) -> Result<bool>;

    /// Ends every challenge of an address.
    async fn end(&self, address: &EmailAddress) -> Result<()>;

    /// Gives an address its budgets back (an operator asks for it).
    async fn forgive(&self, address: &EmailAddress) -> Result<()>;

    /// Takes over letters whose lease ran out, at most this many, and leases them to this process.
    async fn take_letters(&self, most: u32, now: Timestamp) -> Result<Vec<DueLetter>>;

    /// Strikes out letters that went out, or must not.
    async fn letters_done(&self, letters: &[DueLetter]) -> Result<()>;

    /// Puts a letter back until `due`, one failure more on its count.
    async fn letter_failed(&self, letter: &DueLetter, due: Timestamp) -> Result<()>;

    /// Forgets what is over. Nothing depends on when.
    async fn sweep(&self, now: Timestamp) -> Result<u64>;
}

/// A sign-in, as one step.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Of its token.
    pub digest: Digest,
    /// The session.
    pub session: Session,
    /// Read with the user; refused if the store has seen a higher one.
    pub generation: i64,
    /// The session that the sign-in arrived with: it ends.
    pub replaces: Option<Digest>,
}

/// A refresh, as one step.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// Of the token that was shown.
    pub old: Digest,
    /// Of its successors under every live key, newest first.
    pub successors: Vec<Digest>,
    /// Read with the user just before.
    pub generation: i64,
}

/// What a session token leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// A session.
    Live(Session),
    /// A session whose token was refreshed a good while ago: whoever shows the old one has a copy.
    Reused(Session),
    /// Nothing.
    Nothing,
}

/// What became of a refresh.
#[derive(Debug, Clone, PartialEq)]
pub enum Refreshed {
    /// The session goes on under this one of the successors.
    Done {
        /// The session.
        session: Session,
        /// Which successor.
        index: usize,
    },
    /// The token was refreshed before, too long ago: the session has been ended.
    Reused(Session),
    /// There is no such session.
    Nothing,
    /// The account has moved on since its row was read.
    Fenced,
}

/// Which sessions to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The one with this id.
    One(SessionId),
    /// All but the one with this id.
    AllBut(SessionId),
    /// Every one, and none is created or refreshed again under a lower generation than this.
    Below(i64),
}

/// Sessions: they must expire. All steps of a user's sessions meet in one place of the store.
#[async_trait]
pub trait Sessions: Store {
    /// Writes a session, ending the one it replaces and those over the most there may be, nearest
    /// their end first. `false`: its generation is behind, nothing was written.
    ///
    /// Known gap: a profile that changed since the user was read is not in the new session's copy
    /// until it changes again; `/api/profile` always shows the present one.
    async fn create(&self, new: NewSession, now: Timestamp) -> Result<bool>;

    /// Looks a token up: one plain read.
    async fn find(&self, user: UserId, digest: Digest, now: Timestamp) -> Result<Found>;

    /// Notes a use and moves the end. Never brings an ended session back.
    async fn touch(&self, user: UserId, digest: Digest, now: Timestamp) -> Result<()>;

    /// Replaces a token by its successor, once for all who ask within ten seconds.
    async fn refresh(&self, user: UserId, refresh: Refresh, now: Timestamp) -> Result<Refreshed>;

    /// The live sessions of a user, latest use first.
    async fn list(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>>;

    /// Ends sessions. Says how many there were.
    async fn end(&self, user: UserId, end: End, now: Timestamp) -> Result<u64>;

    /// Writes a changed profile into the sessions that carry an older one.
    async fn renew(&self, snapshot: &Snapshot) -> Result<()>;

    /// Forgets what is over. Nothing depends on when.
    async fn sweep(&self, now: Timestamp) -> Result<u64>;
}

/// The numbers that the stores' steps go by.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the types say it")]
pub struct Rules {
    pub codes: CodeRules,
    pub limits: LimitRules,
    pub sessions: SessionRules,
}
