//! What is looked at before the service is ready: the schema, the room for connections, the replica.

use std::sync::{Arc, Mutex};

use aidlc_auth::config::Database;
use aidlc_auth::model::email_address::EmailAddress;
use aidlc_auth::store::{Store as _, Users as _};
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber as _;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::servers::{Postgres, Wanted};
use crate::world::{ada, settings, store, unavailable};

/// What is warned of meanwhile.
async fn warnings<T>(work: impl Future<Output = T>) -> (T, Vec<String>) {
    let said = Said::default();
    let subscriber = tracing_subscriber::registry().with(said.clone());
    let outcome = work.with_subscriber(subscriber).await;
    let said = said.0.lock().unwrap().clone();
    (outcome, said)
}

#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Said {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{}={value:?} ", field.name());
            }
        }
        if *event.metadata().level() == Level::WARN {
            let mut line = Line(String::new());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_too_small_for_all_copies_is_warned_of() {
    let server = Postgres::with(Wanted {
        settings: &[
            ("max_connections", "40"),
            ("superuser_reserved_connections", "3"),
        ],
        ..Wanted::default()
    });
    let url = server.database().await;
    let prepare = async |instances| {
        let settings = Database {
            instances,
            ..settings()
        };
        let (outcome, said) = warnings(store(&url, &settings).prepare()).await;
        outcome.unwrap();
        said
    };
    // 3 × 10 and 3 beside are 33 of 37.
    assert!(prepare(3).await.is_empty());
    let said = prepare(4).await.join("\n");
    for words in [
        "needed=43 room=37 pool_size=10 instances=4",
        "lower DATABASE_POOL_SIZE",
        "DATABASE_POOL_SIZE를 줄이거나",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let limit = "ALTER ROLE auth CONNECTION LIMIT 20";
    server
        .superuser("postgres")
        .await
        .batch_execute(limit)
        .await
        .unwrap();
    let said = prepare(2).await.join("\n");
    assert!(said.contains("needed=23 room=20"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_answers_what_decides_nothing_and_the_primary_when_it_is_away() {
    let primary = Postgres::start();
    let url = primary.database().await;
    store(&url, &settings()).prepare().await.unwrap();
    let replica = Postgres::replica_of(&primary);
    let name = url.rsplit('/').next().unwrap();
    let settings = Database {
        replica_url: Some(format!("postgres://127.0.0.1:{}/{name}", replica.port()).into()),
        ..settings()
    };
    let store = store(&url, &settings);
    let (prepared, said) = warnings(store.prepare()).await;
    prepared.unwrap();
    assert!(said.is_empty(), "{said:?}");
    let (user, audit) = ada(1);
    store.create(&user, &audit).await.unwrap();
    let email = EmailAddress::parse("ada1@example.org").unwrap();
    while store.peek(&email).await.unwrap().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }

    // With the primary away the replica still answers that, and nothing that decides.
    primary.kill();
    assert!(store.peek(&email).await.unwrap().is_some());
    unavailable(store.find(&email).await);
    primary.revive();
    replica.kill();
    let (found, said) = warnings(store.peek(&email)).await;
    assert!(found.unwrap().is_some());
    assert!(
        said[0].contains("the primary answers for the replica"),
        "{said:?}"
    );
    let (prepared, said) = warnings(store.prepare()).await;
    prepared.unwrap();
    assert!(said[0].contains("the replica cannot be read"), "{said:?}");
}
