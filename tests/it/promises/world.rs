//! A store of one test's own, and the short words in which the promises speak of it.
//!
//! Codes are numbers here: a record made from `n` has the 6-digit code `guess(n)` and the long code
//! `long(n)`. The stores see digests only, so nothing needs to be derived.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aidlc_auth::config::Config;
use aidlc_auth::entropy;
use aidlc_auth::model::challenge::{
    Admits, Ask, Challenge, ChallengeId, Check, CodeRules, Guess, Purpose, Secret, Seed,
};
use aidlc_auth::model::device::Device;
use aidlc_auth::model::email_address::EmailAddress;
use aidlc_auth::model::language::Language;
use aidlc_auth::model::limit::{Budget, Rate};
use aidlc_auth::model::outbox::{DueLetter, Letter, LetterKind};
use aidlc_auth::model::session::{Digest, Method, Session, SessionId, SessionRules, Snapshot};
use aidlc_auth::model::user::{PasswordHash, Profile, Registration, Status, User, UserId};
use aidlc_auth::store::{
    AuditRow, Challenges, LimitRules, NewSession, Open, Opened, Redeemed, Rules, Sessions, Users,
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::backend::{Backend, Place};

pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// Whatever is to be served needs one; nothing here is derived from it.
const SECRET_KEYS: (&str, &str) = (
    "SECRET_KEYS",
    "k1:QmVjYXVzZSBhIHRlc3QgbmVlZHMgc29tZSBrZXkgdG9vLg==",
);

/// Three fresh stores.
#[derive(Clone)]
pub struct World {
    pub users: Arc<dyn Users>,
    pub challenges: Arc<dyn Challenges>,
    pub sessions: Arc<dyn Sessions>,
    /// Kept until the last clone is gone.
    place: Arc<Place>,
}

impl World {
    pub async fn new(on: Backend) -> Self {
        Self::with(on, rules()).await
    }

    /// For promises about accounts: the others do without a database.
    pub async fn with_accounts(on: Backend) -> Self {
        let world = Self::new(on).await;
        world.place.keep_accounts(&*world.users).await;
        world
    }

    pub async fn with(on: Backend, rules: Rules) -> Self {
        Self::at(Place::on(on), rules).await
    }

    pub async fn at(place: Place, rules: Rules) -> Self {
        let (name, value) = SECRET_KEYS;
        let settings = place.settings.iter().cloned();
        let settings = settings.chain([(name, value.to_owned())]);
        let settings = settings.map(|(name, value)| (name.to_owned(), value));
        let config = Config::load(settings, None).unwrap();
        let stores = place.open(&config, rules).await;
        Self {
            users: stores.users,
            challenges: stores.challenges,
            sessions: stores.sessions,
            place: Arc::new(place),
        }
    }

    pub async fn open(&self, open: Open, now: Timestamp) -> Opened {
        self.challenges.open(open, now).await.unwrap()
    }

    /// Opens what must not be refused.
    pub async fn sent(&self, open: Open, now: Timestamp) -> Sent {
        match self.open(open, now).await {
            Opened::Sent {
                id,
                expires_at,
                resend_after,
                letter,
            } => Sent {
                id,
                expires_at,
                resend_after,
                letter: *letter,
            },
            refused @ Opened::TooSoon { .. } => panic!("{refused:?}"),
        }
    }

    /// Opens what must be refused, and returns how long to wait, in seconds.
    pub async fn refused(&self, open: Open, now: Timestamp) -> f64 {
        match self.open(open, now).await {
            Opened::TooSoon { wait } => wait.as_secs_f64(),
            sent @ Opened::Sent { .. } => panic!("{sent:?}"),
        }
    }

    pub async fn redeem(
        &self,
        address: &EmailAddress,
        purpose: Purpose,
        guess: Guess,
        now: Timestamp,
    ) -> Redeemed {
        let redeemed = self.challenges.redeem(address, purpose, guess, now).await;
        redeemed.unwrap()
    }

    pub async fn login(&self, address: &EmailAddress, guess: Guess, now: Timestamp) -> Redeemed {
        self.redeem(address, Purpose::Login, guess, now).await
    }

    /// Redeems what must be right, and returns the record.
    pub async fn accepted(
        &self,
        address: &EmailAddress,
        purpose: Purpose,
        guess: Guess,
        now: Timestamp,
    ) -> Challenge {
        match self.redeem(address, purpose, guess, now).await {
            Redeemed::Accepted(challenge) => *challenge,
            refused => panic!("{refused:?}"),
        }
    }

    pub async fn letters(&self, now: Timestamp) -> Vec<DueLetter> {
        self.challenges.take_letters(100, now).await.unwrap()
    }

    /// Signs a user in under token `n`.
    pub async fn sign_in(&self, user: UserId, n: u8, now: Timestamp) -> Session {
        let new = new_session(user, n, now);
        let session = new.session.clone();
        assert!(self.sessions.create(new, now).await.unwrap());
        session
    }
}

/// [`Opened::Sent`], taken apart.
pub struct Sent {
    pub id: ChallengeId,
    pub expires_at: Timestamp,
    pub resend_after: Duration,
    pub letter: DueLetter,
}

/// The numbers of DESIGN §3, with room for every client in one test.
pub fn rules() -> Rules {
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    Rules {
        codes: CodeRules {
            lifetime: 15 * minute,
            tries_max: 5,
        },
        limits: LimitRules {
            enabled: true,
            guesses: Budget::new(20, 24 * hour),
            password_tries: Budget::new(20, 24 * hour),
            sends_apart: minute,
            sends: Budget::new(10, hour),
            mailbox_hour: Budget::new(20, hour),
            mailbox_day: Budget::new(60, 24 * hour),
            client_requests: Rate::new(30, 5 * minute),
            client_guesses: Rate::new(60, 5 * minute),
            service_requests: Rate::new(10_000, minute),
            service_guesses: Rate::new(10_000, minute),
        },
        sessions: SessionRules {
            idle: 24 * hour,
            lifetime: 30 * 24 * hour,
            max: 3,
        },
    }
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub fn later(now: Timestamp, span: Duration) -> Timestamp {
    now.checked_add(SignedDuration::try_from(span).unwrap())
        .unwrap()
}

pub const MICROSECOND: Duration = Duration::from_micros(1);

pub fn address(typed: &str) -> EmailAddress {
    EmailAddress::parse(typed).unwrap()
}

pub fn ada() -> EmailAddress {
    address("ada@example.org")
}

pub fn client(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// A request for a sign-in code, made from `n`, by client 1.
pub fn login(address: &EmailAddress, n: u8) -> Open {
    Open {
        address: address.clone(),
        purpose: Purpose::Login,
        ask: Ask {
            id: ChallengeId([n; 16]),
            secret: secret(n),
            registration: None,
        },
        letter: letter(address, LetterKind::LoginCode),
        client: client(1),
        yields: false,
        right_password_at: None,
    }
}

/// A filled-in form, made from `n`.
pub fn registration(address: &EmailAddress, n: u8) -> Open {
    let mut open = again(address, n);
    open.ask.registration = Some(Registration {
        user_id: Uuid::from_bytes([n; 16]),
        spelling: address.spelling().into(),
        profile: profile(),
        password: PasswordHash(format!("hash {n}")),
    });
    open
}

/// A request for a registration's code without a form: a re-send.
pub fn again(address: &EmailAddress, n: u8) -> Open {
    Open {
        purpose: Purpose::Registration,
        letter: letter(address, LetterKind::RegistrationCode),
        ..login(address, n)
    }
}

pub fn by(last: u8, open: Open) -> Open {
    Open {
        client: client(last),
        ..open
    }
}

fn letter(address: &EmailAddress, kind: LetterKind) -> Letter {
    Letter {
        id: Uuid::from_bytes(entropy::random()),
        kind,
        deliver: true,
        to: address.spelling().into(),
        language: Language::Ko,
        device: Device::parse(""),
        requested_at: at(0),
    }
}

fn secret(n: u8) -> Secret {
    Secret {
        seed: Seed([n; 16]),
        key_id: "k1".into(),
        check: Check([n; 32]),
        long_check: Check([n ^ 0xff; 32]),
    }
}

/// The 6-digit code of a record that was made from `n`.
pub fn guess(n: u8) -> Guess {
    Guess {
        challenge: None,
        checks: vec![("k0".into(), Check([0; 32])), ("k1".into(), Check([n; 32]))],
        is_long: false,
        yields: false,
        admits: Admits::Owner,
        client: client(1),
    }
}

/// The long code of a record that was made from `n`.
pub fn long(n: u8) -> Guess {
    Guess {
        checks: vec![("k1".into(), Check([n ^ 0xff; 32]))],
        is_long: true,
        ..guess(n)
    }
}

/// A registration's code, sent while nobody has the address.
pub fn form_guess(n: u8) -> Guess {
    Guess {
        admits: Admits::Form { account: None },
        ..guess(n)
    }
}

pub fn wrong(tries_left: u8) -> Redeemed {
    Redeemed::Wrong { tries_left }
}

pub fn user_id(n: u8) -> UserId {
    UserId(Uuid::from_bytes([n; 16]))
}

pub fn user(n: u8, address: &EmailAddress, now: Timestamp) -> User {
    User {
        id: user_id(n),
        email: address.clone(),
        profile: profile(),
        password: Some(PasswordHash("hash".into())),
        status: Status::Active,
        generation: 1,
        created_at: now,
        updated_at: now,
    }
}

fn profile() -> Profile {
    Profile {
        full_name: "Ada".into(),
        language: None,
        gender: None,
        birth_year: Some(1990),
    }
}

pub fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

/// A session signed in now, under token `n`, in generation 1.
pub fn new_session(user: UserId, n: u8, now: Timestamp) -> NewSession {
    let session = Session {
        id: SessionId([n; 16]),
        user: snapshot(user, "Ada", at(0)),
        methods: vec![Method::Otp],
        signed_in_at: now,
        used_at: now,
        expires_at: rules().sessions.expires_at(now, now),
        device: Device::parse(""),
        client: client(1),
    };
    NewSession {
        digest: digest(n),
        session,
        generation: 1,
        replaces: None,
    }
}

pub fn snapshot(user: UserId, full_name: &str, updated_at: Timestamp) -> Snapshot {
    Snapshot {
        id: user.0,
        email: "ada@example.org".into(),
        full_name: full_name.into(),
        language: None,
        updated_at,
    }
}

/// The audit row of a change of an account; the follow-up gets its id.
pub fn audit(id: Uuid, at: Timestamp) -> AuditRow {
    AuditRow {
        id,
        at,
        event: "account",
        outcome: "changed",
        user: None,
        subject: None,
        client: None,
        request_id: "r".into(),
    }
}

/// The audit row of an account's birth, with an id that no change has.
pub fn born(user: &User) -> AuditRow {
    audit(Uuid::from_u128(!user.id.0.as_u128()), user.created_at)
}
