//! A store on some servers, and the short words in which the tests speak of it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aidlc_auth::config;
use aidlc_auth::entropy;
use aidlc_auth::model::challenge::{
    Admits, Ask, ChallengeId, Check, CodeRules, Guess, Purpose, Secret, Seed,
};
use aidlc_auth::model::device::Device;
use aidlc_auth::model::email_address::EmailAddress;
use aidlc_auth::model::language::Language;
use aidlc_auth::model::limit::{Budget, Rate};
use aidlc_auth::model::outbox::{Letter, LetterKind};
use aidlc_auth::model::session::{Digest, Method, Session, SessionId, SessionRules, Snapshot};
use aidlc_auth::model::user::UserId;
use aidlc_auth::store::redis::Redis;
use aidlc_auth::store::{
    Error, Found, LimitRules, NewSession, Open, Rules, Sessions as _, Store as _,
};
use jiff::Timestamp;
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Settings as `config.default.toml` has them, but for the prefix.
pub fn settings() -> config::Redis {
    config::Redis {
        username: None,
        password: None,
        ca_file: None,
        key_prefix: "test:".into(),
        timeout: Duration::from_secs(2),
    }
}

pub fn store(url: &str) -> Redis {
    store_with(url, &settings())
}

pub fn store_with(url: &str, settings: &config::Redis) -> Redis {
    Redis::new(&url.into(), settings, rules()).unwrap()
}

/// One where nobody is signed out to make room, or asks too often.
pub fn roomy_store(url: &str) -> Arc<Redis> {
    let mut rules = rules();
    rules.sessions.max = 10_000;
    rules.limits.enabled = false;
    Arc::new(Redis::new(&url.into(), &settings(), rules).unwrap())
}

/// Why a store cannot be reached; it must be something that may pass.
pub async fn refusal(store: &Redis) -> String {
    let start = Instant::now();
    let refused = store.check().await;
    assert!(start.elapsed() < Duration::from_secs(5), "{refused:?}");
    match refused {
        Err(Error::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

pub fn rules() -> Rules {
    let (budget, rate) = (Budget::new(20, HOUR), Rate::new(1000, HOUR));
    Rules {
        codes: CodeRules {
            lifetime: HOUR / 4,
            tries_max: 5,
        },
        limits: LimitRules {
            enabled: true,
            guesses: budget,
            password_tries: budget,
            sends_apart: HOUR / 60,
            sends: budget,
            mailbox_hour: budget,
            mailbox_day: budget,
            client_requests: rate,
            client_guesses: rate,
            service_requests: rate,
            service_guesses: rate,
        },
        sessions: SessionRules {
            idle: 24 * HOUR,
            lifetime: 30 * 24 * HOUR,
            max: 3,
        },
    }
}

pub fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub fn someone() -> UserId {
    UserId(Uuid::from_bytes(entropy::random()))
}

pub fn token() -> Digest {
    Digest(entropy::random())
}

pub fn new_session(user: UserId, digest: Digest) -> NewSession {
    let rules = rules().sessions;
    NewSession {
        digest,
        session: Session {
            id: SessionId(entropy::random()),
            user: Snapshot {
                id: user.0,
                email: "ada@example.org".into(),
                full_name: "Ada".into(),
                language: None,
                updated_at: now(),
            },
            methods: vec![Method::Otp],
            signed_in_at: now(),
            used_at: now(),
            expires_at: rules.expires_at(now(), now()),
            device: Device::parse(""),
            client: CLIENT,
        },
        generation: 1,
        replaces: None,
    }
}

/// Signs someone in, and answers what was signed in.
pub async fn sign_in(store: &Redis, user: UserId, digest: Digest) -> Session {
    let new = new_session(user, digest);
    let session = new.session.clone();
    assert!(store.create(new, now()).await.unwrap());
    session
}

pub async fn is_live(store: &Redis, user: UserId, digest: Digest) -> bool {
    let found = store.find(user, digest, now()).await.unwrap();
    matches!(found, Found::Live(_))
}

/// A code, as far as a store knows it.
#[derive(Debug, Clone, Copy)]
pub struct Code([u8; 32]);

impl Code {
    pub fn new() -> Self {
        Self(entropy::random())
    }
}

/// Somebody's address.
pub fn anyone() -> EmailAddress {
    EmailAddress::parse(&format!("{}@example.org", someone().0.simple())).unwrap()
}

/// A request for this code.
pub fn login(address: &EmailAddress, code: Code) -> Open {
    Open {
        address: address.clone(),
        purpose: Purpose::Login,
        ask: Ask {
            id: ChallengeId(entropy::random()),
            secret: Secret {
                seed: Seed(entropy::random()),
                key_id: "k".into(),
                check: Check(code.0),
                long_check: Check(entropy::random()),
            },
            registration: None,
        },
        letter: Letter {
            id: Uuid::from_bytes(entropy::random()),
            kind: LetterKind::LoginCode,
            deliver: true,
            to: address.spelling().into(),
            language: Language::Ko,
            device: Device::parse(""),
            requested_at: now(),
        },
        client: CLIENT,
        yields: false,
        right_password_at: None,
    }
}

/// This code, sent back.
pub fn guess(code: Code) -> Guess {
    Guess {
        challenge: None,
        checks: vec![("k".into(), Check(code.0))],
        is_long: false,
        yields: false,
        admits: Admits::Owner,
        client: CLIENT,
    }
}
