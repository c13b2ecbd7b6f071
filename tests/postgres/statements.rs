//! Every statement on a real server: understood, and answered from an index where tables are large.

use aidlc_auth::store::Store as _;
use aidlc_auth::store::postgres::statements::{self, ALL};
use tokio_postgres::Client;

use crate::servers::shared;
use crate::world::{settings, store};

/// A database with the schema in it.
async fn migrated() -> shared::Database {
    let database = shared::Database::new();
    database.make().await;
    let store = store(&database.url(), &settings());
    store.prepare().await.unwrap();
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_understood_and_says_the_types_of_what_it_is_given() {
    let database = migrated().await;
    let client = database.superuser().await;
    for (name, statement) in ALL {
        let prepared = client.prepare(statement).await;
        let prepared = prepared.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        // Unnamed, nothing else would say them.
        for (number, kind) in (1..).zip(prepared.params()) {
            let said = format!("${number}::{}", written(kind.name()));
            assert!(statement.contains(&said), "{name}: {said}");
        }
    }
    assert!(ALL.len() > 8, "{}", ALL.len());
}

/// A type as statements write it.
fn written(name: &str) -> String {
    match name.strip_prefix('_') {
        Some(item) => written(item) + "[]",
        None => name.replace("int8", "bigint").replace("int2", "smallint"),
    }
}

/// Many accounts, of whom few are anything but active; many rows of each other table.
const FILL: &str = "
    INSERT INTO users SELECT gen_random_uuid(), 'user-' || n || '@example.org', '', repeat('x', 500), NULL, NULL, NULL,
        NULL, CASE n % 100 WHEN 0 THEN 'pending_deletion' WHEN 1 THEN 'deactivated' ELSE 'active' END, 1, n, n
        FROM generate_series(1, 20000) AS n;
    INSERT INTO follow_ups SELECT gen_random_uuid(), id, 'end_everything', created_at FROM users;
    INSERT INTO audit SELECT gen_random_uuid(), n, '', '', NULL, NULL, NULL, ''
        FROM generate_series(1, 20000) AS n;
    INSERT INTO suppressed_addresses SELECT 'bounced-' || n || '@example.org', 'bounce', 'General', n
        FROM generate_series(1, 20000) AS n;
    ANALYZE;
    SET plan_cache_mode = force_generic_plan";

/// How a statement would be answered, whatever it is given.
async fn plan(client: &Client, statement: &str, values: &str) -> String {
    client.batch_execute("DEALLOCATE ALL").await.unwrap();
    let prepare = format!("PREPARE asked AS {statement}");
    client.batch_execute(&prepare).await.unwrap();
    let explain = format!("EXPLAIN EXECUTE asked ({values})");
    let messages = client.simple_query(&explain).await.unwrap();
    let lines = messages.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_large_tables_is_answered_from_indexes() {
    let database = migrated().await;
    let client = database.superuser().await;
    client.batch_execute(FILL).await.unwrap();
    let id = "'00000000-0000-0000-0000-000000000001'";
    let email = "'user-7@example.org'";
    let by_status = "SELECT id FROM users WHERE status = $1 ORDER BY updated_at LIMIT 50";
    let by_birth = "SELECT id FROM users WHERE created_at >= $1 ORDER BY created_at LIMIT 50";
    for (statement, values, index) in [
        (statements::FIND, email.into(), "users_email"),
        (statements::GET, id.into(), "users_pkey"),
        (
            statements::IN_THE_WAY,
            format!("{id}, {email}"),
            "users_email",
        ),
        (by_status, "'deactivated'".into(), "users_status"),
        (by_birth, "19990".into(), "users_created_at"),
        (statements::ERASE_USERS, "100".into(), "users_status"),
        (statements::ERASE_AUDIT, "100".into(), "audit_at"),
        (
            statements::FOLLOW_UPS,
            "100, '{end_everything}'".into(),
            "follow_ups_created_at",
        ),
        (statements::FOLLOW_UP_DONE, id.into(), "follow_ups_pkey"),
        (
            statements::SET_STATUS,
            format!("{id}, 1, '', '', '', NULL, '', '', {email}, ''"),
            "users_email",
        ),
        (
            statements::SUPPRESSION,
            "'bounced-7@example.org'".into(),
            "suppressed_addresses_pkey",
        ),
        (
            statements::UNSUPPRESS,
            format!("{id}, 1, '', '', NULL, '', NULL, '', {email}"),
            "suppressed_addresses_pkey",
        ),
    ] {
        let plan = plan(&client, statement, &values).await;
        assert!(plan.contains(index), "{statement}\n{plan}");
        assert!(!plan.contains("Seq Scan"), "{statement}\n{plan}");
    }
}
