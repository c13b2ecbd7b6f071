//! A password that is changed while connections stand: the next one reads the secret, once.

use std::sync::Arc;
use std::time::Duration;

use aidlc_auth::config::Database;
use aidlc_auth::store::postgres::Postgres as Store;
use aidlc_auth::store::{Error, Store as _};
use serde_json::json;

use super::servers::{Postgres, USER};
use super::world::World;

/// Everything that a URL would have to escape.
const PASSWORDS: [&str; 3] = ["p@ss:/?#%", "%40:@/", "한글#?%2F"];

struct Scene {
    world: World,
    server: Postgres,
    store: Arc<Store>,
}

impl Scene {
    async fn new() -> Self {
        let (world, server) = (World::new().await, Postgres::start());
        let settings = Database {
            secret_arn: None,
            replica_url: None,
            pool_size: 4,
            instances: 1,
            connect_timeout: Duration::from_secs(10),
            query_timeout: Duration::from_secs(10),
            connection_lifetime: Duration::from_secs(1800),
            keepalive: Duration::from_secs(30),
            tcp_user_timeout: Duration::from_secs(5),
            prepared_statements: true,
            migrate_at_start: true,
        };
        let url = "postgres:///?sslmode=disable".into();
        let store = Store::new(&url, &settings, Arc::new(world.secret())).unwrap();
        let scene = Self {
            world,
            server,
            store: Arc::new(store),
        };
        scene.change_password(PASSWORDS[0]).await;
        scene.change_secret(PASSWORDS[0]);
        scene
    }

    async fn change_password(&self, password: &str) {
        let superuser = self.server.superuser("postgres").await;
        let change = format!("ALTER ROLE {USER} PASSWORD $${password}$$");
        superuser.batch_execute(&change).await.unwrap();
    }

    fn change_secret(&self, password: &str) {
        let secret = json!({
            "username": USER, "password": password, "engine": "postgres",
            "host": "127.0.0.1", "port": self.server.port(), "dbname": "postgres",
        });
        self.world.manager.keep(&secret.to_string());
    }

    /// As a rotation ends what was signed in before.
    async fn terminate_all(&self) {
        let superuser = self.server.superuser("postgres").await;
        let terminate = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'"
        );
        superuser.batch_execute(&terminate).await.unwrap();
    }

    /// Four questions at once, for which the pool makes four connections.
    async fn all_four(&self) -> Vec<Result<(), Error>> {
        let ask = || {
            let store = Arc::clone(&self.store);
            tokio::spawn(async move { store.check().await.map(drop) })
        };
        let [a, b, c, d] = [(); 4].map(|()| ask());
        let all = tokio::join!(a, b, c, d);
        [all.0, all.1, all.2, all.3].map(Result::unwrap).into()
    }

    fn refused_passwords(&self) -> usize {
        let log = self.server.log();
        log.matches("password authentication failed").count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_fills_up_reads_the_secret_once() {
    let scene = Scene::new().await;
    assert!(scene.all_four().await.iter().all(Result::is_ok));
    assert_eq!(scene.world.manager.calls(), 1);
    scene.world.manager.was_called_as_aws_is();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_read_again_once_and_works() {
    let scene = Scene::new().await;
    scene.store.check().await.unwrap();
    // The clock stands still: what was read a moment ago is still told, and is refused.
    for (round, password) in PASSWORDS.iter().enumerate().skip(1) {
        scene.change_password(password).await;
        scene.change_secret(password);
        scene.terminate_all().await;

        until_there(&scene.store).await;

        assert_eq!(scene.world.manager.calls(), 1 + round);
        assert_eq!(scene.refused_passwords(), round);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_made_later_is_not_refused_at_all() {
    let scene = Scene::new().await;
    scene.store.check().await.unwrap();
    scene.change_password(PASSWORDS[1]).await;
    scene.change_secret(PASSWORDS[1]);
    scene.terminate_all().await;
    scene.world.clock.advance(60);
    scene.world.their_clock.advance(60);

    until_there(&scene.store).await;

    assert_eq!(scene.world.manager.calls(), 2);
    assert_eq!(scene.refused_passwords(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_lags_behind_costs_one_reading_for_each_refused_connect() {
    let scene = Scene::new().await;
    scene.store.check().await.unwrap();
    // As long as the rotation has changed the database and not yet the secret.
    scene.change_password(PASSWORDS[1]).await;
    scene.terminate_all().await;
    // The first may find its connection dead, and no more.
    let mut refused = 0;
    while refused < 3 {
        let before = scene.refused_passwords();
        let Err(Error::Unavailable(why)) = scene.store.check().await else {
            panic!("the old password still works");
        };
        let now = scene.refused_passwords();
        if now > before {
            refused += 1;
            assert!(why.contains("28P01"), "{why}");
            assert!(!why.contains(PASSWORDS[0]), "{why}");
        }
    }
    assert_eq!(
        scene.refused_passwords(),
        3,
        "what is known to be wrong is not tried"
    );
    assert_eq!(scene.world.manager.calls(), 1 + 3);

    scene.change_secret(PASSWORDS[1]);
    until_there(&scene.store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_secret_cannot_be_read_it_is_told_why() {
    let scene = Scene::new().await;
    scene.world.lender.fails();

    let Err(Error::Unavailable(why)) = scene.store.check().await else {
        panic!("nobody can sign in");
    };

    assert!(
        why.contains("no AWS credentials") && why.contains("taskRoleArn"),
        "{why}"
    );
    assert!(why.contains("DATABASE_SECRET_ARN=arn:"), "{why}");
}

/// A connection that was ended is found dead by whoever takes it, and others are made.
async fn until_there(store: &Store) {
    let mut said = String::new();
    for _ in 0..10 {
        match store.check().await {
            Ok(_) => return,
            Err(error) => said = error.to_string(),
        }
    }
    panic!("it does not come back: {said}");
}
