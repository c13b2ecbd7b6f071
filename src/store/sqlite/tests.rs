//! What only shows from inside the file: rows of a newer release, and what a check costs.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use super::*;
use crate::model::challenge::{Ask, ChallengeId, Check, CodeRules, Purpose, Secret, Seed};
use crate::model::device::Device;
use crate::model::email_address::EmailAddress;
use crate::model::language::Language;
use crate::model::limit::{Budget, Rate};
use crate::model::outbox::{Letter, LetterKind};
use crate::model::session::SessionRules;
use crate::model::user::{Profile, ProfileChange, Status, User, UserId};
use crate::store::{AuditRow, Challenges as _, LimitRules, Open, Users as _};
use std::net::IpAddr;
use uuid::Uuid;

/// Limits that no test here meets.
pub(super) fn rules() -> Rules {
    let (minute, day) = (Duration::from_secs(60), Duration::from_secs(86_400));
    let (budget, rate) = (Budget::new(1000, day), Rate::new(1000, minute));
    Rules {
        codes: CodeRules {
            lifetime: 15 * minute,
            tries_max: 5,
        },
        limits: LimitRules {
            enabled: true,
            guesses: budget,
            password_tries: budget,
            sends_apart: Duration::ZERO,
            sends: budget,
            mailbox_hour: budget,
            mailbox_day: budget,
            client_requests: rate,
            client_guesses: rate,
            service_requests: rate,
            service_guesses: rate,
        },
        sessions: SessionRules {
            idle: day,
            lifetime: 30 * day,
            max: 3,
        },
    }
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn address(n: u8) -> EmailAddress {
    EmailAddress::parse(&format!("user-{n}@example.org")).unwrap()
}

pub(super) fn login(n: u8) -> Open {
    let secret = Secret {
        seed: Seed([n; 16]),
        key_id: "k1".into(),
        check: Check([n; 32]),
        long_check: Check([n; 32]),
    };
    Open {
        address: address(n),
        purpose: Purpose::Login,
        ask: Ask {
            id: ChallengeId([n; 16]),
            secret,
            registration: None,
        },
        letter: Letter {
            id: Uuid::from_bytes([n; 16]),
            kind: LetterKind::LoginCode,
            deliver: true,
            to: address(n).spelling().into(),
            language: Language::En,
            device: Device::parse(""),
            requested_at: at(0),
        },
        client: IpAddr::from([192, 0, 2, 1]),
        yields: false,
        right_password_at: None,
    }
}

pub(super) fn user(n: u8) -> User {
    User {
        id: UserId(Uuid::from_bytes([n; 16])),
        email: address(n),
        profile: Profile {
            full_name: "Ada".into(),
            language: None,
            gender: None,
            birth_year: None,
        },
        password: None,
        status: Status::Active,
        generation: 1,
        created_at: at(0),
        updated_at: at(0),
    }
}

async fn write(store: &Sqlite, sql: &'static str) {
    store.writer.run(|c| c.execute_batch(sql)).await.unwrap();
}

#[tokio::test]
async fn each_statement_about_accounts_is_understood() {
    let store = Sqlite::memory(rules()).unwrap();
    for (name, statement) in statements::ALL {
        let prepared = store.read(|c| c.prepare(statement).map(drop));
        prepared.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(statements::ALL.len() > 10);
}

#[tokio::test]
async fn letters_of_a_newer_release_hold_up_no_others() {
    let store = Sqlite::memory(rules()).unwrap();
    for n in 1..=4 {
        store.open(login(n), at(n.into())).await.unwrap();
    }
    write(
        &store,
        "UPDATE outbox SET purpose = 'sign_a_contract' WHERE due_at = (SELECT min(due_at) FROM outbox);
         UPDATE outbox SET letter = replace(letter, 'login_code', 'new_kind') WHERE address LIKE 'user-2@%';
         UPDATE challenges SET record = replace(record, '\"open\"', '\"new_state\"') WHERE address LIKE 'user-3@%'",
    )
    .await;
    let taken = store.take_letters(1, at(60)).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].challenge, ChallengeId([4; 16]));
    // The newer release can still take them, until their codes are over.
    let left = |c: &Connection| {
        let count = "SELECT count(*) FROM outbox WHERE due_at < ?1";
        c.query_row(count, [at(60).as_microsecond()], |row| row.get::<_, i64>(0))
    };
    assert_eq!(store.read(left).unwrap(), 3);
    store.sweep(at(3600)).await.unwrap();
    assert_eq!(store.read(left).unwrap(), 0);
}

#[tokio::test]
async fn follow_ups_of_a_newer_release_hold_up_no_others() {
    let store = Sqlite::memory(rules()).unwrap();
    let user = user(1);
    store.create(&user, &born(&user)).await.unwrap();
    for n in 0..=150 {
        let id = Uuid::from_bytes([n; 16]);
        let change = ProfileChange::default();
        let audit = audit(id, at(n.into()));
        let changed = store.change_profile(user.id, &change, &audit).await;
        changed.unwrap();
    }
    write(
        &store,
        "UPDATE follow_ups SET task = 'dance' WHERE created_at < (SELECT max(created_at) FROM follow_ups)",
    )
    .await;
    let follow_ups = store.follow_ups(at(1000)).await.unwrap();
    assert_eq!(follow_ups.len(), 1);
}

#[tokio::test]
async fn what_was_to_follow_goes_with_an_erased_account() {
    let store = Sqlite::memory(rules()).unwrap();
    let (gone, stays) = (user(1), user(2));
    for user in [&gone, &stays] {
        store.create(user, &born(user)).await.unwrap();
        let (id, status) = (user.id.0, Status::PendingDeletion);
        let at = at(if user == &gone { 0 } else { 100 });
        store
            .set_status(&user.email, status, &audit(id, at))
            .await
            .unwrap();
    }
    assert_eq!(store.erase(at(50), at(0)).await.unwrap(), 1);
    let count = store.read(|c| {
        c.query_row("SELECT count(*) FROM follow_ups", [], |row| {
            row.get::<_, i64>(0)
        })
    });
    assert_eq!(count.unwrap(), 1);
}

#[tokio::test]
async fn a_check_writes_once_a_second_however_often_it_is_asked() {
    let mut store = Sqlite::memory(rules()).unwrap();
    let writes = async |store: &Sqlite| store.writer.run(|c| Ok(c.total_changes())).await.unwrap();
    let before = writes(&store).await;
    store.clock = || at(0);
    for _ in 0..100 {
        assert_eq!(store.check().await.unwrap(), at(0));
    }
    assert_eq!(writes(&store).await, before + 1);
    store.clock = || at(1);
    assert_eq!(store.check().await.unwrap(), at(1));
    assert_eq!(writes(&store).await, before + 2);
}

#[tokio::test]
async fn a_check_tells_the_time_of_its_answer() {
    static READINGS: AtomicI64 = AtomicI64::new(0);
    let mut store = Sqlite::memory(rules()).unwrap();
    store.clock = || at(READINGS.fetch_add(1, Ordering::Relaxed));
    let told = store.check().await.unwrap();
    let last = READINGS.load(Ordering::Relaxed) - 1;
    assert!(last > 0, "the first reading was before the write");
    assert_eq!(told, at(last));
}

#[tokio::test]
async fn a_check_fails_while_nothing_can_be_written() {
    let mut store = Sqlite::memory(rules()).unwrap();
    store.clock = || at(0);
    // In memory, reads and writes share one connection.
    let read_only = |is| {
        store
            .read(move |c| c.pragma_update(None, "query_only", is))
            .unwrap()
    };
    read_only(true);
    for _ in 0..2 {
        assert!(matches!(store.check().await, Err(Error::Unavailable(_))));
    }
    read_only(false);
    store.check().await.unwrap();
}

/// The audit row of a change of an account; the follow-up gets its id.
pub(super) fn audit(id: Uuid, at: Timestamp) -> AuditRow {
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
pub(super) fn born(user: &User) -> AuditRow {
    audit(Uuid::from_u128(!user.id.0.as_u128()), user.created_at)
}
