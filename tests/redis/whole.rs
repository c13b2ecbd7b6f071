//! A step is done whole or not at all, also where the server would refuse one of its writes; and what
//! needs no room is done where there is none.

use std::collections::BTreeMap;
use std::fs;

use aidlc_auth::model::session::{Digest, Session};
use aidlc_auth::model::user::UserId;
use aidlc_auth::store::redis::Redis as Store;
use aidlc_auth::store::{End, Error, Refresh, Sessions as _};

use crate::servers::Redis;
use crate::world::{is_live, new_session, now, refusal, sign_in, someone, store, token};

type Hash = BTreeMap<Vec<u8>, Vec<u8>>;

/// A user with as many sessions as there may be, one of them refreshed.
struct World {
    server: Redis,
    store: Store,
    user: UserId,
    digest: Digest,
    sessions: Vec<Session>,
}

impl World {
    async fn new() -> Self {
        let server = Redis::start();
        let store = store(&server.url());
        let (user, digest) = (someone(), token());
        let mut sessions = Vec::new();
        for digest in [digest, token(), token()] {
            sessions.push(sign_in(&store, user, digest).await);
        }
        let world = Self {
            server,
            store,
            user,
            digest: token(),
            sessions,
        };
        let refreshed = world.refresh(digest, world.digest).await;
        assert!(refreshed.is_ok());
        world
    }

    async fn refresh(&self, old: Digest, successor: Digest) -> Result<(), Error> {
        let refresh = Refresh {
            old,
            successors: vec![successor],
            generation: 1,
        };
        let refreshed = self.store.refresh(self.user, refresh, now()).await;
        refreshed.map(drop)
    }

    async fn end(&self, end: End) -> Result<u64, Error> {
        self.store.end(self.user, end, now()).await
    }

    async fn kept(&self) -> BTreeMap<String, Hash> {
        let mut kept = BTreeMap::new();
        for key in self.server.command::<Vec<String>>("KEYS *u:*").await {
            let hash = self.server.command(&format!("HGETALL {key}")).await;
            kept.insert(key, hash);
        }
        kept
    }

    /// Fails every step that makes something, and leaves what there is as it was.
    async fn refuses_what_makes_something(&self, word: &str) {
        let before = self.kept().await;
        // This one would end another first.
        let created = self.store.create(new_session(self.user, token()), now());
        let mut refused = vec![created.await.map(drop)];
        refused.push(self.refresh(self.digest, token()).await);
        let mut snapshot = self.sessions[0].user.clone();
        snapshot.updated_at += jiff::SignedDuration::from_secs(1);
        refused.push(self.store.renew(&snapshot).await);
        let minute = jiff::SignedDuration::from_mins(1);
        let touched = self.store.touch(self.user, self.digest, now() + minute);
        refused.push(touched.await);
        for refused in refused {
            let Err(Error::Unavailable(why)) = refused else {
                panic!("{refused:?}");
            };
            assert!(why.contains(word), "{why}");
        }
        assert!(refusal(&self.store).await.contains(word));
        assert_eq!(self.kept().await, before);
    }

    async fn works_again(&self) {
        sign_in(&self.store, someone(), token()).await;
        let refreshed = self.refresh(self.digest, token()).await;
        assert!(refreshed.is_ok(), "{refreshed:?}");
    }
}

#[tokio::test]
async fn where_memory_is_full_sessions_are_read_and_ended() {
    let world = World::new().await;
    let _: () = world.server.command("CONFIG SET maxmemory 1").await;
    world.refuses_what_makes_something("maxmemory").await;
    assert!(is_live(&world.store, world.user, world.digest).await);
    let one = world.end(End::One(world.sessions[1].id)).await;
    assert_eq!(one.unwrap(), 1);
    // A password that was reset must end all, whatever else does not work.
    assert_eq!(world.end(End::Below(2)).await.unwrap(), 2);
    assert!(!is_live(&world.store, world.user, world.digest).await);

    let _: () = world.server.command("CONFIG SET maxmemory 0").await;
    sign_in(&world.store, someone(), token()).await;
    let behind = world.store.create(new_session(world.user, token()), now());
    assert!(!behind.await.unwrap(), "the fence was raised");
}

#[tokio::test]
async fn where_the_disk_is_full_sessions_are_read() {
    let world = World::new().await;
    // A folder where the file belongs: not even root can write there.
    let file = world.server.folder().join("dump.rdb");
    fs::create_dir(&file).unwrap();
    let mut saves = redis::cmd("CONFIG");
    saves.arg(&["SET", "save", "3600 1000000"]);
    saves
        .exec_async(&mut world.server.admin().await)
        .await
        .unwrap();
    save(&world.server, "err").await;

    world.refuses_what_makes_something("disk").await;
    assert!(is_live(&world.store, world.user, world.digest).await);
    let before = world.kept().await;
    assert!(world.end(End::Below(2)).await.is_err());
    assert_eq!(world.kept().await, before);

    fs::remove_dir(&file).unwrap();
    save(&world.server, "ok").await;
    world.works_again().await;
}

/// Saves, and waits for what becomes of that.
async fn save(server: &Redis, outcome: &str) {
    let _: String = server.command("BGSAVE").await;
    let outcome = format!("rdb_last_bgsave_status:{outcome}");
    loop {
        let info: String = server.command("INFO persistence").await;
        if info.contains(&outcome) && info.contains("rdb_bgsave_in_progress:0") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn where_too_few_replicas_are_left_sessions_are_read() {
    let world = World::new().await;
    let _: () = world
        .server
        .command("CONFIG SET min-replicas-to-write 1")
        .await;
    world.refuses_what_makes_something("min-replicas").await;
    assert!(is_live(&world.store, world.user, world.digest).await);
    let _: () = world
        .server
        .command("CONFIG SET min-replicas-to-write 0")
        .await;
    world.works_again().await;
}
