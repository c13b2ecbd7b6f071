//! What only shows from inside the tables: audit rows, races caught in the act, words of a newer
//! release, and erasing a little at a time. (The promises themselves are in `tests/it/promises`.)

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aidlc_auth::config::Database;
use aidlc_auth::model::email_address::EmailAddress;
use aidlc_auth::model::language::Language;
use aidlc_auth::model::suppression::{Reason, Suppression};
use aidlc_auth::model::user::{
    FollowUpTask, Gender, PasswordHash, Profile, ProfileChange, Status, User, UserId,
};
use aidlc_auth::store::postgres::Postgres;
use aidlc_auth::store::{AuditRow, Created, Store as _, Users as _};
use jiff::Timestamp;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::servers::shared;
use crate::world::{settings, store};

struct World {
    users: Arc<Postgres>,
    superuser: Client,
    _database: shared::Database,
}

impl World {
    async fn new() -> Self {
        Self::with(&settings()).await
    }

    async fn with(settings: &Database) -> Self {
        let database = shared::Database::new();
        database.make().await;
        let users = store(&database.url(), settings);
        users.prepare().await.unwrap();
        Self {
            users: Arc::new(users),
            superuser: database.superuser().await,
            _database: database,
        }
    }

    async fn execute(&self, sql: &str) {
        self.superuser.batch_execute(sql).await.unwrap();
    }

    /// One column of text.
    async fn texts(&self, query: &str) -> Vec<String> {
        let rows = self.superuser.query(query, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn has(&self, n: u8) -> User {
        let user = user(n);
        let created = self.users.create(&user, &audit(n + 100, "born")).await;
        assert_eq!(created.unwrap(), Created::Written);
        user
    }

    /// What is created while someone else's transaction is in the way, which then ends so.
    async fn create_beside(&self, other: &User, id: UserId, end: &str) -> Created {
        let insert = format!(
            "BEGIN; INSERT INTO users SELECT '{}', '{}', '', '', NULL, NULL, NULL, NULL, 'active', 1, 1, 1",
            other.id.0,
            other.email.normal()
        );
        self.execute(&insert).await;
        let (users, mut new) = (Arc::clone(&self.users), other.clone());
        new.id = id;
        let creating = tokio::spawn(async move { users.create(&new, &audit(200, "born")).await });
        let waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND database IS NULL";
        while self.superuser.query(waits, &[]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.execute(end).await;
        creating.await.unwrap().unwrap()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn id(n: u8) -> Uuid {
    Uuid::from_bytes([n; 16])
}

fn user(n: u8) -> User {
    User {
        id: UserId(id(n)),
        email: EmailAddress::parse(&format!("User-{n}@example.org")).unwrap(),
        profile: Profile {
            full_name: "에이다 'O' \"B\"".into(),
            language: Some(Language::Ko),
            gender: Some(Gender::Female),
            birth_year: Some(1999),
        },
        password: Some(PasswordHash("$argon2id$".into())),
        status: Status::Active,
        generation: 1,
        created_at: at(0),
        updated_at: at(0),
    }
}

fn audit(n: u8, outcome: &'static str) -> AuditRow {
    AuditRow {
        id: id(n),
        at: at(n.into()),
        event: "account",
        outcome,
        user: None,
        subject: Some("s".into()),
        client: Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])),
        request_id: "r".into(),
    }
}

/// Every step once, with statements under names and, as behind a pooler, without.
#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_trail_once() {
    for prepared_statements in [true, false] {
        let settings = Database {
            prepared_statements,
            ..settings()
        };
        let world = World::with(&settings).await;
        let users = &world.users;
        let ada = world.has(1).await;
        assert_eq!(users.get(ada.id).await.unwrap(), Some(ada.clone()));
        assert_eq!(users.find(&ada.email).await.unwrap(), Some(ada.clone()));
        assert_eq!(users.find(&user(2).email).await.unwrap(), None);
        // Refused: neither is there a row of it.
        for (again, created) in [
            (ada.id, Created::AlreadyThere),
            (user(2).id, Created::AddressTaken),
        ] {
            let again = User {
                id: again,
                ..ada.clone()
            };
            let refused = users.create(&again, &audit(9, "twice")).await.unwrap();
            assert_eq!(refused, created);
        }
        let change = ProfileChange {
            full_name: Some("Ada".into()),
            ..ProfileChange::default()
        };
        let changed = users
            .change_profile(ada.id, &change, &audit(2, "changed"))
            .await;
        let deactivated = users
            .set_status(&ada.email, Status::Deactivated, &audit(3, "off"))
            .await;
        for follow_up in [changed, deactivated] {
            users
                .follow_up_done(follow_up.unwrap().unwrap().id)
                .await
                .unwrap();
        }
        assert_eq!(users.follow_ups(at(100)).await.unwrap(), []);
        users
            .audit(&[audit(4, "one"), audit(5, "two"), audit(4, "again")])
            .await
            .unwrap();
        users
            .audit(&[audit(5, "again"), audit(6, "three")])
            .await
            .unwrap();
        let bounce = Suppression {
            reason: Reason::Bounce,
            detail: "NoEmail".into(),
            at: at(7),
        };
        let lifted = |n| AuditRow {
            user: Some(ada.id),
            ..audit(n, "lifted")
        };
        // The second time there is nothing to tell.
        for (n, is_told) in [(7, true), (10, false)] {
            let row = audit(n, "suppressed");
            let suppressed = users.suppress(&ada.email, &bounce, &row);
            assert_eq!(suppressed.await.unwrap(), is_told);
        }
        for (n, is_told) in [(8, true), (11, false)] {
            let row = lifted(n);
            let unsuppressed = users.unsuppress(&ada.email, &row);
            assert_eq!(unsuppressed.await.unwrap(), is_told);
        }
        let rows = "SELECT concat_ws(' ', at / 1000000 - 1800000000, event, outcome,
            coalesce(left(user_id::text, 2), '-'), subject, client, request_id) FROM audit ORDER BY at";
        let client = "s 2001:db8::1 r";
        let expected = [
            format!("2 account changed 01 {client}"),
            format!("3 account off 01 {client}"),
            format!("4 account one - {client}"),
            format!("5 account two - {client}"),
            format!("6 account three - {client}"),
            format!("7 account suppressed - {client}"),
            format!("8 account lifted 01 {client}"),
            format!("101 account born - {client}"),
        ];
        assert_eq!(world.texts(rows).await, expected);
        assert_eq!(users.erase(at(100), at(5)).await.unwrap(), 0);
        assert_eq!(world.texts(rows).await, expected[3..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_while_an_account_was_written_is_told_apart() {
    let world = World::new().await;
    for (n, same_id, end, created) in [
        (1, true, "COMMIT", Created::AlreadyThere),
        (2, false, "COMMIT", Created::AddressTaken),
        (3, false, "ROLLBACK", Created::Written),
        (4, true, "ROLLBACK", Created::Written),
    ] {
        let other = user(n);
        let id = if same_id { other.id } else { user(n + 10).id };
        assert_eq!(world.create_beside(&other, id, end).await, created, "{n}");
        world.execute("DELETE FROM audit").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_newer_release_are_read_as_none() {
    let world = World::new().await;
    let ada = world.has(1).await;
    let newer = "UPDATE users SET status = 'frozen', language = 'ja', gender = 'other', updated_at = 9223372036854775807";
    world.execute(newer).await;
    let read = world.users.find(&ada.email).await.unwrap().unwrap();
    // One that nobody knows lets nobody in.
    assert_eq!(read.status, Status::Deactivated);
    assert_eq!((read.profile.language, read.profile.gender), (None, None));
    assert_eq!(read.updated_at, Timestamp::MAX);
    let change = ProfileChange::default();
    let row = audit(1, "changed");
    let changed = world.users.change_profile(ada.id, &change, &row).await;
    assert_eq!(changed.unwrap(), None);

    // What this release changes leaves the rest as it is.
    world
        .execute("UPDATE users SET status = 'active', updated_at = 0")
        .await;
    let change = ProfileChange {
        birth_year: Some(None),
        ..change
    };
    let changed = world.users.change_profile(ada.id, &change, &row).await;
    let changed = changed.unwrap().unwrap().user;
    assert_eq!(changed.profile.birth_year, None);
    let words = "SELECT language || gender FROM users";
    assert_eq!(world.texts(words).await, ["jaother"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_ups_of_a_newer_release_hold_up_no_others() {
    let world = World::new().await;
    let ada = world.has(1).await;
    let (status, row) = (Status::Deactivated, audit(1, "off"));
    let set = world.users.set_status(&ada.email, status, &row).await;
    set.unwrap();
    let newer = "INSERT INTO follow_ups
        SELECT gen_random_uuid(), user_id, 'dance', 0 FROM follow_ups, generate_series(1, 150)";
    world.execute(newer).await;
    let left = world.users.follow_ups(at(100)).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].task, FollowUpTask::EndEverything);
}

#[tokio::test(flavor = "multi_thread")]
async fn much_is_erased_a_little_at_a_time_and_waits_for_nobody() {
    let world = World::new().await;
    let ada = world.has(1).await;
    let withdrawn = "
        INSERT INTO users SELECT gen_random_uuid(), 'gone@example.org', '', '', NULL, NULL, NULL, NULL,
            'pending_deletion', 1, 0, n FROM generate_series(1, 2500) AS n;
        INSERT INTO follow_ups SELECT id, id, 'end_everything', 0 FROM users;
        INSERT INTO audit SELECT gen_random_uuid(), n, '', '', NULL, NULL, NULL, ''
            FROM generate_series(1, 2500) AS n";
    world.execute(withdrawn).await;
    // Another copy is at it: some rows are its own.
    let held = "BEGIN; SELECT FROM users WHERE updated_at BETWEEN 11 AND 20 FOR UPDATE;
        SELECT FROM audit WHERE at BETWEEN 11 AND 20 FOR UPDATE";
    world.execute(held).await;
    let erased = world.users.erase(at(0), at(0)).await.unwrap();
    assert_eq!(erased, 2490);
    world.execute("ROLLBACK").await;
    let left =
        "SELECT (SELECT count(*) FROM users) || ' ' || (SELECT count(*) FROM follow_ups) || ' '
        || (SELECT count(*) FROM audit)";
    assert_eq!(world.texts(left).await, ["11 11 11"]);
    assert_eq!(world.users.erase(at(0), at(0)).await.unwrap(), 10);
    assert_eq!(world.texts(left).await, ["1 1 1"]);
    assert!(world.users.get(ada.id).await.unwrap().is_some());
}
