//! Reaching a server: passwords, TLS, databases, and every arrangement of servers; and what is said
//! where it cannot be reached.

use std::fs;
use std::path::PathBuf;

use aidlc_auth::config;
use aidlc_auth::store::redis::Redis as Store;
use aidlc_auth::store::{Error, Store as _};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::servers::{Authority, Cluster, Redis, Sentinel};
use crate::world::{
    is_live, now, refusal, rules, settings, sign_in, someone, store, store_with, token,
};

/// What people's passwords are made of, and what URLs, shells and Redis' own files take for more.
const ODD: &str = "p@s:s/w?o#r%d&é한 ";

#[tokio::test]
async fn a_user_with_an_odd_password_signs_in() {
    let server = Redis::with(&[("user", "default off")]);
    let mut set = redis::cmd("ACL");
    set.arg(&["SETUSER", "app", "on", "~test:*", "+@all"]);
    set.arg(format!(">{ODD}"));
    set.exec_async(&mut server.admin().await).await.unwrap();

    let at = format!("127.0.0.1:{}/0", server.port());
    let bare = format!("redis://{at}");
    let told = config::Redis {
        username: Some("app".into()),
        password: Some(ODD.into()),
        ..settings()
    };
    let encoded: String = ODD.bytes().map(|b| format!("%{b:02X}")).collect();
    for store in [
        store_with(&bare, &told),
        store(&format!("redis://app:{encoded}@{at}")),
        // `%d&` encodes nothing, so even that is read as it is meant.
        store(&format!("redis://app:{ODD}@{at}")),
        // The settings win.
        store_with(&format!("redis://eve:no@{at}"), &told),
    ] {
        store.check().await.unwrap();
        assert_eq!(store.place(), bare);
    }

    let why = refusal(&store(&bare)).await;
    assert!(why.contains("set REDIS_PASSWORD"), "{why}");
    let why = refusal(&store(&format!("redis://app:hunter2@{at}"))).await;
    assert!(
        why.contains("see REDIS_USERNAME and REDIS_PASSWORD"),
        "{why}"
    );
    assert!(!why.contains("hunter2"), "{why}");
}

#[tokio::test]
async fn a_password_alone_signs_in_and_one_too_many_is_explained() {
    let server = Redis::with(&[("requirepass", "secret")]);
    let at = format!("127.0.0.1:{}", server.port());
    let url = format!("redis://:secret@{at}");
    store(&url).check().await.unwrap();
    let open = Redis::start();
    let why = refusal(&store(
        &url.replace(&at, &format!("127.0.0.1:{}", open.port())),
    ))
    .await;
    assert!(why.contains("unset REDIS_PASSWORD"), "{why}");
}

#[tokio::test]
async fn a_user_that_may_not_do_what_is_needed_is_told() {
    let server = Redis::with(&[("user", "app on >secret ~other:* +@all")]);
    let at = format!("127.0.0.1:{}", server.port());
    let why = refusal(&store(&format!("redis://app:secret@{at}"))).await;
    assert!(why.contains("~<REDIS_KEY_PREFIX>*"), "{why}");
    // What the remedy says is enough, and start-up asks for more only if it may.
    let words = "ACL SETUSER app ~test:* -@all +@read +@write +@scripting +@connection +time";
    let _: () = server.command(words).await;
    let store = store(&format!("redis://app:secret@{at}"));
    store.prepare().await.unwrap();
    let user = someone();
    sign_in(&store, user, token()).await;
}

#[tokio::test]
async fn databases_are_apart() {
    let server = Redis::with(&[("databases", "3")]);
    let (user, digest) = (someone(), token());
    let numbered = |n: u8| store(&format!("redis://127.0.0.1:{}/{n}", server.port()));
    sign_in(&numbered(2), user, digest).await;
    assert!(is_live(&numbered(2), user, digest).await);
    assert!(!is_live(&numbered(0), user, digest).await);
    let why = refusal(&numbered(3)).await;
    assert!(why.contains("no database of this number"), "{why}");
}

struct Tls {
    server: Redis,
    authority: Authority,
    folder: TempDir,
}

impl Tls {
    fn with_names(names: &[&str]) -> Self {
        let authority = Authority::new();
        Self {
            server: Redis::with_tls(&authority.server(names), &[]),
            authority,
            folder: TempDir::new().unwrap(),
        }
    }

    fn file(&self, pem: &str) -> PathBuf {
        let path = self.folder.path().join("ca.pem");
        fs::write(&path, pem).unwrap();
        path
    }

    fn store(&self, scheme: &str, host: &str, ca: Option<PathBuf>) -> Store {
        let settings = config::Redis {
            ca_file: ca,
            ..settings()
        };
        let port = self.server.port();
        store_with(&format!("{scheme}://{host}:{port}"), &settings)
    }
}

#[tokio::test]
async fn tls_is_checked_to_its_end() {
    let tls = Tls::with_names(&["localhost", "127.0.0.1"]);
    let foreign = Authority::new().pem();
    let trusted = tls.authority.pem();

    // A file may hold several, in any order.
    let both = tls.file(&format!("# ours\n{foreign}\n{trusted}"));
    for host in ["localhost", "127.0.0.1"] {
        let store = tls.store("rediss", host, Some(both.clone()));
        store.check().await.unwrap();
    }
    let only_foreign = tls.file(&foreign);
    for ca in [Some(only_foreign), None] {
        let why = refusal(&tls.store("rediss", "127.0.0.1", ca)).await;
        assert!(why.contains("name the right REDIS_CA_FILE"), "{why}");
    }
    let why = refusal(&tls.store("redis", "127.0.0.1", None)).await;
    assert!(why.contains("rediss://"), "{why}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let tls = Tls::with_names(&["cache.example.org"]);
    let ca = tls.file(&tls.authority.pem());
    for host in ["localhost", "127.0.0.1"] {
        let why = refusal(&tls.store("rediss", host, Some(ca.clone()))).await;
        assert!(why.contains("is for another name"), "{why}");
        assert!(why.contains("cache.example.org"), "{why}");
    }
}

#[tokio::test]
async fn tls_where_there_is_none_is_explained() {
    let server = Redis::start();
    let why = refusal(&store(&format!("rediss://localhost:{}", server.port()))).await;
    assert!(why.contains("write redis://"), "{why}");
}

#[test]
fn settings_that_cannot_be_used_are_refused_at_once() {
    let refused = |url: &str, ca: Option<PathBuf>| {
        let settings = config::Redis {
            ca_file: ca,
            ..settings()
        };
        match Store::new(&url.into(), &settings, rules()) {
            Ok(_) => panic!("{url} was taken"),
            Err(why) => why,
        }
    };
    let folder = TempDir::new().unwrap();
    let empty = folder.path().join("ca.pem");
    let why = refused("rediss://h", Some(empty.clone()));
    assert!(
        why.contains("REDIS_CA_FILE") && why.contains("cannot be read"),
        "{why}"
    );
    fs::write(&empty, "nothing").unwrap();
    let why = refused("rediss://h", Some(empty.clone()));
    assert!(why.contains("BEGIN CERTIFICATE"), "{why}");
    let why = refused("redis://h", Some(empty));
    assert!(why.contains("write rediss://"), "{why}");
    let why = refused("redis://ada@h", None);
    assert!(why.contains("REDIS_PASSWORD"), "{why}");
}

/// As PostgreSQL, a web server or nothing at all would be.
#[tokio::test]
async fn what_is_no_redis_is_unavailable_and_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let why = refusal(&store(&format!("redis://127.0.0.1:{port}"))).await;
    assert!(
        why.contains("does not answer") && why.contains(&port.to_string()),
        "{why}"
    );
    drop(listener);
    let why = refusal(&store(&format!("redis://127.0.0.1:{port}"))).await;
    assert!(why.contains("cannot be connected to"), "{why}");
    let why = refusal(&store("redis://nobody.invalid")).await;
    assert!(why.contains("nobody.invalid:6379"), "{why}");
}

#[tokio::test]
async fn a_replica_is_not_served_from() {
    let master = Redis::start();
    let replica = Redis::replica_of(&master, &[]);
    let store = store(&replica.url());
    let why = refusal(&store).await;
    assert!(why.contains("it is a replica"), "{why}");
    let read = aidlc_auth::store::Sessions::find(&store, someone(), token(), now()).await;
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
}

#[tokio::test]
async fn sentinels_lead_to_the_master() {
    let group = Sentinel::start(&[]);
    let store = store(&group.url());
    assert_eq!(store.kind(), "redis-sentinel");
    store.prepare().await.unwrap();
    let (user, digest) = (someone(), token());
    sign_in(&store, user, digest).await;
    assert!(is_live(&store, user, digest).await);

    let url = group.url().replace("/main", "/other");
    let why = refusal(&self::store(&url)).await;
    assert!(why.contains("knows no master \"other\""), "{why}");
    let server = format!("redis-sentinel://127.0.0.1:{}/main", group.nodes[0].port());
    let why = refusal(&self::store(&server)).await;
    assert!(why.contains("it is no sentinel"), "{why}");
}

#[tokio::test]
async fn a_cluster_keeps_users_at_all_of_its_nodes() {
    let cluster = Cluster::start();
    let store = store(&cluster.url());
    assert_eq!(store.kind(), "redis-cluster");
    store.prepare().await.unwrap();
    store.check().await.unwrap();
    let signed_in: Vec<_> = (0..32).map(|_| (someone(), token())).collect();
    for (user, digest) in &signed_in {
        sign_in(&store, *user, *digest).await;
    }
    for (user, digest) in &signed_in {
        assert!(is_live(&store, *user, *digest).await);
    }
    let mut counts = Vec::new();
    for node in &cluster.nodes[..3] {
        counts.push(node.command::<usize>("DBSIZE").await);
    }
    // A check of each, beside the users.
    assert_eq!(counts.iter().sum::<usize>(), 32 + 3);
    assert!(counts.iter().all(|count| *count > 1), "{counts:?}");

    // Any one node is enough to find the others, and a replica is one.
    let replica = format!("redis-cluster://127.0.0.1:{}", cluster.nodes[4].port());
    let (user, digest) = signed_in[0];
    assert!(is_live(&self::store(&replica), user, digest).await);

    let node = format!("redis://127.0.0.1:{}", cluster.nodes[0].port());
    let alone = self::store(&node).prepare().await;
    assert!(
        matches!(&alone, Err(Error::Unavailable(why)) if why.contains("redis-cluster://")),
        "{alone:?}"
    );
    let single = Redis::start();
    let why = refusal(&self::store(
        &single
            .url()
            .replace("redis:", "redis-cluster:")
            .replace("/0", ""),
    ))
    .await;
    assert!(why.contains("write redis://"), "{why}");
}

/// While slots move from one node to another, nobody notices.
#[tokio::test]
async fn keys_that_move_are_followed() {
    let cluster = Cluster::start();
    let store = store(&cluster.url());
    let (user, digest) = (someone(), token());
    sign_in(&store, user, digest).await;
    let mut keys = Vec::new();
    let mut from = 0;
    for (number, node) in cluster.nodes[..3].iter().enumerate() {
        let here: Vec<String> = node.command("KEYS *u:*").await;
        if !here.is_empty() {
            (keys, from) = (here, number);
        }
    }
    let (from, to) = (&cluster.nodes[from], &cluster.nodes[(from + 1) % 3]);
    let (from_id, to_id): (String, String) = (
        from.command("CLUSTER MYID").await,
        to.command("CLUSTER MYID").await,
    );
    let slot: u16 = from.command(&format!("CLUSTER KEYSLOT {}", keys[0])).await;
    let _: () = to
        .command(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"))
        .await;
    let _: () = from
        .command(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"))
        .await;
    // ASK: the key has gone, the slot is still the old one's.
    assert!(is_live(&store, user, digest).await);
    let migrate = format!("MIGRATE 127.0.0.1 {} {} 0 5000", to.port(), keys[0]);
    let _: () = from.command(&migrate).await;
    assert!(is_live(&store, user, digest).await);
    sign_in(&store, user, token()).await;
    // MOVED.
    for node in [to, from] {
        let _: () = node
            .command(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"))
            .await;
    }
    for _ in 0..20 {
        assert!(is_live(&store, user, digest).await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    sign_in(&store, user, token()).await;
}
