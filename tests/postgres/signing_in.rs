//! Who signs in, where, and what is said when that fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aidlc_auth::app::rules;
use aidlc_auth::config::{Config, Database};
use aidlc_auth::store::Store as _;
use aidlc_auth::store::postgres::Postgres as Store;
use aidlc_auth::store::postgres::credentials::{Credentials, Login};
use aidlc_auth::store::sqlite::Use;
use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::servers::{PASSWORD, Postgres, Proxy, USER, Wanted};
use crate::world::{settings, store, unavailable};

async fn refusal(url: &str) -> String {
    unavailable(store(url, &settings()).check().await)
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_may_be_anything() {
    let server = Postgres::start();
    let superuser = server.superuser("postgres").await;
    for (at, password) in ["@:/?#%", "한글 비밀번호", "a'b\"c\\d", " 🔑 "]
        .iter()
        .enumerate()
    {
        let create = format!("CREATE ROLE \"사용자 {at}\" LOGIN PASSWORD $${password}$$");
        superuser.batch_execute(&create).await.unwrap();
        let user = encoded(&format!("사용자 {at}"));
        let url = |password| {
            format!(
                "postgres://{user}:{password}@127.0.0.1:{}/postgres",
                server.port()
            )
        };
        store(&url(encoded(password)), &settings())
            .check()
            .await
            .unwrap();
        let why = refusal(&url(encoded("wrong"))).await;
        assert!(!why.contains("wrong\""), "{why}");
        for words in [
            "28P01",
            "User or password is wrong",
            "비밀번호가 틀렸습니다",
        ] {
            assert!(why.contains(words), "{why}");
        }
    }
    let tries = server
        .log()
        .matches("password authentication failed")
        .count();
    assert_eq!(tries, 4, "a wrong password is shown once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_explained() {
    let server = Postgres::start();
    let port = server.port();
    let free = Proxy::to(port).await;
    let nobody_listens = free.port();
    drop(free);
    let no_role = "CREATE ROLE outside NOLOGIN PASSWORD 'x'";
    server
        .superuser("postgres")
        .await
        .batch_execute(no_role)
        .await
        .unwrap();
    for (place, english, korean) in [
        (
            format!("auth:auth@127.0.0.1:{port}/nowhere"),
            "CREATE DATABASE name OWNER",
            "데이터베이스를 만들어",
        ),
        (
            format!("outside:x@127.0.0.1:{port}/postgres"),
            "CREATE ROLE name LOGIN",
            "그런 사용자가 없거나",
        ),
        (
            format!("auth@127.0.0.1:{port}/postgres"),
            "User or password is wrong",
            "비밀번호가 틀렸습니다",
        ),
        (
            format!("auth:auth@127.0.0.1:{nobody_listens}/a"),
            "Nothing listens there",
            "받는 프로그램이 없습니다",
        ),
        (
            "auth:auth@%2Fnowhere/a".into(),
            "Nothing listens there",
            "받는 프로그램이 없습니다",
        ),
        (
            "auth:auth@db.invalid/a".into(),
            "DNS knows it",
            "DNS가 그 이름을",
        ),
        (
            format!("127.0.0.1:{port}/postgres"),
            "Name the user in DATABASE_URL",
            "사용자를 적거나",
        ),
        (
            "auth:auth@/postgres".into(),
            "Name the host in DATABASE_URL",
            "호스트를 적거나",
        ),
    ] {
        let why = refusal(&format!("postgres://{place}")).await;
        for words in [english, korean] {
            assert!(why.contains(words), "{place}: {why}");
        }
    }
}

/// A server that refuses everyone in these words.
async fn refusing(code: &str, message: &str, routine: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut fields = Vec::new();
    for (field, text) in [
        ('S', "치명적오류"),
        ('V', "FATAL"),
        ('C', code),
        ('M', message),
        ('R', routine),
    ] {
        fields.extend([field.to_string().as_bytes(), text.as_bytes(), b"\0"].concat());
    }
    fields.push(0);
    let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
    let answer = [b"E", &length[..], &fields].concat();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut greeting = [0; 1024];
            let _ = client.read(&mut greeting).await;
            let _ = client.write_all(&answer).await;
        }
    });
    format!("postgres://auth:auth@127.0.0.1:{port}/a?sslmode=disable")
}

#[tokio::test]
async fn a_server_may_speak_korean() {
    let message = "호스트 \"10.0.12.203\", 사용자 \"postgres\", 데이터베이스 \"a\", 암호화 안 함 연결에 대한 설정이 pg_hba.conf 파일에 없습니다";
    let url = refusing("28000", message, "ClientAuthentication").await;
    let why = refusal(&url).await;
    for words in [message, "sslmode=require", "TLS로만 받는데"] {
        assert!(why.contains(words), "{why}");
    }
}

#[tokio::test]
async fn what_is_refused_while_connecting_passes() {
    for (code, words) in [
        ("57P03", "The server starts, stops or fails over"),
        ("53300", "DATABASE_POOL_SIZE times INSTANCES"),
        ("08P01", "DATABASE_PREPARED_STATEMENTS=false"),
        ("XX000", "FATAL"),
    ] {
        let url = refusing(code, "no", "nowhere").await;
        let why = refusal(&url).await;
        assert!(why.contains(words) || code == "XX000", "{why}");
        assert!(why.contains(code), "{why}");
    }
}

#[tokio::test]
async fn whoever_listens_there_may_be_no_database() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    for mode in ["disable", "prefer", "require"] {
        let url = format!("postgres://auth:auth@127.0.0.1:{port}/a?sslmode={mode}");
        let why = refusal(&url).await;
        assert!(why.contains(&format!("127.0.0.1:{port}")), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_says_what_to_change() {
    let wanted = Wanted {
        settings: &[
            ("max_connections", "6"),
            ("superuser_reserved_connections", "3"),
        ],
        ..Wanted::default()
    };
    let server = Postgres::with(wanted);
    let url = server.url("postgres");
    let mut taken = Vec::new();
    for _ in 0..3 {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        taken.push(client);
    }
    let store = store(&url, &settings());
    let why = unavailable(store.check().await);
    for words in [
        "53300",
        "DATABASE_POOL_SIZE times INSTANCES",
        "DATABASE_POOL_SIZE 곱하기 INSTANCES",
    ] {
        assert!(why.contains(words), "{why}");
    }
    drop(taken);
    until_there(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let server = Postgres::start();
    let proxy = Proxy::to(server.port()).await;
    proxy.black_hole();
    let url = format!(
        "postgres://{USER}:{PASSWORD}@127.0.0.1:{}/postgres",
        proxy.port()
    );
    let patience = Duration::from_secs(1);
    let settings = Database {
        connect_timeout: patience,
        ..settings()
    };
    let store = store(&url, &settings);
    let began = Instant::now();
    let why = unavailable(store.check().await);
    assert!(began.elapsed() < 2 * patience, "{:?}", began.elapsed());
    for words in ["did not answer in time", "보안 그룹"] {
        assert!(why.contains(words), "{why}");
    }
    proxy.mend();
    until_there(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_servers_the_one_that_writes_is_taken() {
    let primary = Postgres::start();
    let replica = Postgres::replica_of(&primary);
    let alone = refusal(&replica.url("postgres")).await;
    for words in ["A replica cannot write", "복제본에는 쓸 수 없습니다"] {
        assert!(alone.contains(words), "{alone}");
    }
    let both = format!(
        "postgres://{USER}:{PASSWORD}@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
        replica.port(),
        primary.port()
    );
    let store = store(&both, &settings());
    store.check().await.unwrap();
    primary.kill();
    unavailable(store.check().await);
    let promote = "SELECT pg_promote()";
    replica
        .superuser("postgres")
        .await
        .batch_execute(promote)
        .await
        .unwrap();
    until_there(&store).await;
}

/// What is told of a server at a port.
type Told = fn(u16) -> Login;

/// Keeps a login that changes, as a secret does.
struct Kept {
    login: Mutex<Told>,
    port: u16,
    /// Tells the old one until it is asked again.
    renewed: Mutex<Option<Told>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Credentials for Kept {
    async fn login(&self, again: bool) -> Result<Login, String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if again && let Some(renewed) = self.renewed.lock().unwrap().take() {
            *self.login.lock().unwrap() = renewed;
        }
        let login = *self.login.lock().unwrap();
        Ok(login(self.port))
    }
}

fn whole(port: u16) -> Login {
    Login {
        username: Some(USER.into()),
        password: Some(PASSWORD.into()),
        host: Some("127.0.0.1".into()),
        port: Some(port),
        dbname: Some("postgres".into()),
    }
}

fn with_new_password(port: u16) -> Login {
    Login {
        password: Some("new @:/?#%".into()),
        ..whole(port)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_fills_in_what_the_url_leaves_out_and_is_read_again_when_refused() {
    let server = Postgres::start();
    let kept = Arc::new(Kept {
        login: Mutex::new(whole),
        port: server.port(),
        renewed: Mutex::new(None),
        asked: AtomicUsize::new(0),
    });
    let asked = || kept.asked.load(Ordering::Relaxed);
    let open = |url: &str| Store::new(&url.into(), &settings(), Arc::clone(&kept) as _).unwrap();
    let store = open("postgres://nobody:wrong@/?sslmode=disable");
    store.check().await.unwrap();
    assert_eq!(asked(), 1, "once for the one connection");

    // The password changes, and every connection is ended: as a rotation does it.
    let superuser = server.superuser("postgres").await;
    let rotate = format!(
        "ALTER ROLE {USER} PASSWORD 'new @:/?#%';
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'"
    );
    superuser.batch_execute(&rotate).await.unwrap();
    *kept.renewed.lock().unwrap() = Some(with_new_password);
    until_there(&store).await;
    assert_eq!(asked(), 3, "refused once, then read again");

    // Nothing new to say: the server is not asked a second time.
    *kept.login.lock().unwrap() = whole;
    let before = server
        .log()
        .matches("password authentication failed")
        .count();
    let why = unavailable(open("postgres:///?sslmode=disable").check().await);
    assert!(why.contains("DATABASE_SECRET_ARN"), "{why}");
    let after = server
        .log()
        .matches("password authentication failed")
        .count();
    assert_eq!(after - before, 1);

    // What the URL names is not filled in.
    let why = unavailable(open("postgres://127.0.0.1:1/postgres").check().await);
    assert!(why.contains("127.0.0.1:1"), "{why}");
}

/// Waits until the store is there again, without a restart of ours.
async fn until_there(store: &Store) {
    let back = async {
        while store.check().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back)
        .await
        .unwrap();
}

#[test]
fn what_nobody_names_is_missed_at_the_start() {
    for (url, what) in [
        ("postgres://db.example.org/auth", "no user"),
        ("postgres://auth@/auth", "no host"),
    ] {
        let given = [
            ("DATABASE_URL", url),
            ("REDIS_URL", "redis://127.0.0.1:1"),
            (
                "SECRET_KEYS",
                "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            ),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::load(given.into_iter(), None).unwrap();
        let opened = aidlc_auth::store::open(&config.stores, Use::Serve, rules(&config));
        let why = opened.err().unwrap();
        assert!(
            why.contains(what) && why.contains("DATABASE_SECRET_ARN"),
            "{why}"
        );
    }
}
