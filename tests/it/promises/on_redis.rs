//! What only Redis has to show of challenges: keys that end, steps that are whole, letters of releases
//! to come.

use std::sync::Arc;

use aidlc_auth::model::challenge::Purpose;
use aidlc_auth::model::outbox::LEASE;
use aidlc_auth::store::{Challenges, End, Error, Found, Redeemed, Refresh, Want};
use redis::FromRedisValue;

use super::world::{
    HOUR, MINUTE, World, ada, address, again, at, client, digest, form_guess, guess, later, login,
    long, registration, rules, snapshot, user_id, wrong,
};
use crate::backend::Place;
use crate::servers::Redis;

/// A server of its own, that a test may ask and hurt.
struct Server {
    redis: Redis,
    world: World,
}

impl Server {
    async fn start() -> Self {
        let redis = Redis::start();
        let world = World::at(Place::at_redis(redis.url(), "test:"), rules()).await;
        Self { redis, world }
    }

    async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let mut connection = self.redis.admin().await;
        command.query_async(&mut connection).await.unwrap()
    }

    /// Stands for everything that is kept.
    async fn digest(&self) -> String {
        self.ask(&["DEBUG", "DIGEST"]).await
    }

    async fn calls_of_steps(&self) -> u32 {
        let told: String = self.ask(&["INFO", "commandstats"]).await;
        let (_, calls) = told.split_once("cmdstat_evalsha:calls=").unwrap();
        calls.split(',').next().unwrap().parse().unwrap()
    }
}

/// Every step that there is, with an answer that it gives where it does the most.
async fn tour(world: &World) {
    let store = &world.challenges;
    for client in ["192.0.2.1", "2001:db8::1"] {
        for want in [Want::Code, Want::Guess] {
            store
                .admit(client.parse().unwrap(), want, at(0))
                .await
                .unwrap();
        }
    }
    assert_eq!(
        store.reserve_password_try(&ada(), at(0)).await.unwrap(),
        None
    );
    assert_eq!(
        store.reserve_password_try(&ada(), at(1)).await.unwrap(),
        None
    );
    let mut open = registration(&ada(), 1);
    open.right_password_at = Some(at(0));
    let sent = world.sent(open, at(0)).await;
    let (ada, purpose) = (ada(), Purpose::Registration);
    let wait = store
        .would_wait(&ada, purpose, true, client(1), at(1))
        .await;
    assert!(wait.unwrap().is_some());
    store.contest(&ada, at(1)).await.unwrap();
    assert_eq!(world.letters(later(at(0), LEASE)).await.len(), 1);
    store.letter_failed(&sent.letter, at(30)).await.unwrap();
    assert_eq!(world.redeem(&ada, purpose, guess(9), at(2)).await, wrong(4));
    let claimed = world.accepted(&ada, purpose, form_guess(1), at(2)).await;
    let finished = store.finish_claim(&ada, claimed.id, client(1), at(3)).await;
    assert!(finished.unwrap());
    world.sent(again(&ada, 2), at(MINUTE)).await;
    world.sent(login(&ada, 3), at(MINUTE)).await;
    world
        .accepted(&ada, Purpose::Login, long(3), at(MINUTE))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_ends_by_itself() {
    let server = Server::start().await;
    tour(&server.world).await;
    let keys: Vec<String> = server.ask(&["KEYS", "*"]).await;
    // Eight of clients, five budgets, two records, two ceilings, the outbox and its letters, and what
    // a check writes.
    assert_eq!(keys.len(), 20, "{keys:#?}");
    for key in keys {
        assert!(key.starts_with("test:"), "{key}");
        let left: i64 = server.ask(&["PTTL", &key]).await;
        // The longest window, and an hour for clocks that differ.
        assert!((1..=25 * 3_600_000).contains(&left), "{key}: {left}");
    }
    server.world.challenges.end(&ada()).await.unwrap();
    server.world.challenges.forgive(&ada()).await.unwrap();
    let keys: Vec<String> = server.ask(&["KEYS", "*@*"]).await;
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_one_step() {
    let server = Server::start().await;
    // The server learns the steps.
    tour(&server.world).await;
    server.world.challenges.end(&ada()).await.unwrap();
    let store = &server.world.challenges;
    let eve = address("eve@example.org");
    let (now, before) = (at(MINUTE), server.calls_of_steps().await);
    store.admit(client(2), Want::Code, now).await.unwrap();
    let asked = store.would_wait(&eve, Purpose::Login, false, client(2), now);
    assert_eq!(asked.await.unwrap(), None);
    store.reserve_password_try(&eve, now).await.unwrap();
    let sent = server.world.sent(registration(&eve, 1), now).await;
    let purpose = Purpose::Registration;
    let claimed = server
        .world
        .accepted(&eve, purpose, form_guess(1), now)
        .await;
    store.contest(&eve, now).await.unwrap();
    store
        .finish_claim(&eve, claimed.id, client(2), now)
        .await
        .unwrap();
    store.letter_failed(&sent.letter, now).await.unwrap();
    store
        .letters_done(&[sent.letter.clone(), sent.letter])
        .await
        .unwrap();
    store.end(&eve).await.unwrap();
    store.forgive(&eve).await.unwrap();
    assert_eq!(server.calls_of_steps().await - before, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_does_nothing_by_half() {
    let server = Server::start().await;
    let world = &server.world;
    tour(world).await;
    let sent = world
        .sent(login(&address("eve@example.org"), 1), at(MINUTE))
        .await;
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let before = server.digest().await;

    let store = &world.challenges;
    let eve = address("eve@example.org");
    let refused = [
        store
            .admit(client(1), Want::Code, at(2 * MINUTE))
            .await
            .err(),
        store
            .reserve_password_try(&ada(), at(2 * MINUTE))
            .await
            .err(),
        store.open(login(&ada(), 5), at(2 * MINUTE)).await.err(),
        store
            .open(registration(&ada(), 5), at(2 * MINUTE))
            .await
            .err(),
        store.contest(&ada(), at(2 * MINUTE)).await.err(),
        store
            .redeem(&eve, Purpose::Login, guess(1), at(2 * MINUTE))
            .await
            .err(),
        store
            .redeem(&eve, Purpose::Login, guess(9), at(2 * MINUTE))
            .await
            .err(),
        store
            .finish_claim(&ada(), sent.id, client(1), at(2 * MINUTE))
            .await
            .err(),
        store
            .would_wait(&ada(), Purpose::Login, true, client(1), at(2 * MINUTE))
            .await
            .err(),
    ];
    for error in refused {
        let error = error.expect("a full server refused nothing");
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }
    assert_eq!(server.digest().await, before);

    // What makes room, or takes none, is done.
    assert_eq!(world.letters(at(2 * MINUTE)).await.len(), 4);
    store.letter_failed(&sent.letter, at(0)).await.unwrap();
    store.letters_done(&[sent.letter]).await.unwrap();
    assert_eq!(store.sweep(at(60 * MINUTE)).await.unwrap(), 3);
    store.end(&ada()).await.unwrap();
    store.forgive(&ada()).await.unwrap();
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(
        world.login(&ada(), long(3), at(2 * MINUTE)).await,
        Redeemed::Gone
    );
    world
        .accepted(&eve, Purpose::Login, guess(1), at(2 * MINUTE))
        .await;
}

/// Least privilege that nobody tries is a guess.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_needs_no_more_than_the_documents_say() {
    let redis = Redis::start();
    let text = include_str!("../../../docs/scaling.md");
    let line = text.lines().find(|line| line.starts_with("ACL SETUSER"));
    let () = redis.command(line.unwrap()).await;
    let () = redis.command("ACL SETUSER default off").await;
    let url = redis.url().replace("//", "//aidlc-auth:PASSWORD@");
    let world = World::at(Place::at_redis(url, "aidlc-auth:"), rules()).await;

    tour(&world).await;
    let (user, now) = (user_id(1), at(0));
    world.challenges.sweep(at(HOUR)).await.unwrap();
    world.challenges.end(&ada()).await.unwrap();
    let session = world.sign_in(user, 1, now).await;
    let sessions = &world.sessions;
    assert_eq!(
        sessions.find(user, digest(1), now).await.unwrap(),
        Found::Live(session.clone())
    );
    let refresh = Refresh {
        old: digest(1),
        successors: vec![digest(2)],
        generation: 1,
    };
    sessions.refresh(user, refresh, now).await.unwrap();
    sessions.find(user, digest(1), now).await.unwrap();
    sessions.touch(user, digest(2), at(MINUTE)).await.unwrap();
    sessions
        .renew(&snapshot(user, "Ada L.", at(1)))
        .await
        .unwrap();
    assert_eq!(sessions.list(user, at(MINUTE)).await.unwrap().len(), 1);
    sessions
        .end(user, End::One(session.id), at(MINUTE))
        .await
        .unwrap();
    world.challenges.check().await.unwrap();
}

/// The keys of a partition's outbox, and of its letters.
async fn outbox_of(server: &Server, letter: &str) -> (String, String) {
    let keys: Vec<String> = server.ask(&["KEYS", "test:{p*}:letters"]).await;
    for letters in keys {
        if server.ask(&["HEXISTS", &letters, letter]).await {
            return (letters.replace(":letters", ":outbox"), letters);
        }
    }
    panic!("nobody owes {letter}");
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_a_newer_release_are_left_for_it() {
    let server = Server::start().await;
    let world = &server.world;
    let mut known = Vec::new();
    for n in 1..=5 {
        let to = address(&format!("ada+{n}@example.org"));
        known.push(world.sent(login(&to, n), at(n.into())).await.letter);
    }
    let id = known[0].letter.id.to_string();
    let (outbox, letters) = outbox_of(&server, &id).await;
    let entry: String = server.ask(&["HGET", &letters, &id]).await;
    let newer = [
        entry.replace("\"login_code\"", "\"fax\""),
        entry.replace("\"login\"", "\"fly\""),
        entry.replace("0 ", "0 0 0 "),
        "?".to_owned(),
        String::new(),
    ];
    for (n, entry) in newer.iter().enumerate() {
        // Due before all others, and more of them than are asked for at once.
        for copy in 0..4 {
            let id = format!("newer-{n}-{copy}");
            let () = server.ask(&["ZADD", &outbox, "1", &id]).await;
            let () = server.ask(&["HSET", &letters, &id, entry]).await;
        }
    }
    let taken = world.challenges.take_letters(3, at(MINUTE)).await.unwrap();
    assert_eq!(taken, known[..3]);
    let taken = world.challenges.take_letters(3, at(MINUTE)).await.unwrap();
    assert_eq!(taken, known[3..]);
    let left: Vec<String> = server.ask(&["ZRANGEBYSCORE", &outbox, "1", "1"]).await;
    assert_eq!(left.len(), 4 * newer.len(), "nobody leased them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_fails_hides_no_letters_of_others() {
    let server = Server::start().await;
    let world = &server.world;
    let mut broken = None;
    for n in 1..=9 {
        let to = address(&format!("user{n}@example.org"));
        let sent = world.sent(login(&to, n), at(0)).await;
        let (outbox, _) = outbox_of(&server, &sent.letter.letter.id.to_string()).await;
        broken.get_or_insert(outbox);
    }
    let broken = broken.unwrap();
    let hidden: usize = server.ask(&["ZCARD", &broken]).await;
    let () = server.ask(&["SET", &broken, "no sorted set"]).await;
    let taken = world.letters(at(20)).await;
    assert_eq!(taken.len(), 9 - hidden);
    // But nothing at all is no news, where a partition could not be asked.
    let store: &Arc<dyn Challenges> = &world.challenges;
    assert!(store.take_letters(9, at(20)).await.is_err());
}
