//! The whole service on PostgreSQL and Redis, while the database fails.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::process::{Answer, Folder, RAISED_LIMITS, Server};
use crate::servers::{PASSWORD, Postgres, Proxy, Redis, USER};
use crate::world::number;

const KEYS: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

struct World {
    database: Postgres,
    name: String,
    proxy: Proxy,
    redis: Redis,
    folder: Folder,
}

impl World {
    async fn new() -> Self {
        let database = Postgres::start();
        let url = database.database().await;
        Self {
            name: url.rsplit('/').next().unwrap().to_owned(),
            proxy: Proxy::to(database.port()).await,
            redis: Redis::start(),
            folder: Folder::new(),
            database,
        }
    }

    /// The service, which may not be ready yet.
    async fn serve(&self) -> Server {
        self.serve_at("info").await
    }

    async fn serve_at(&self, level: &str) -> Server {
        let (port, name) = (self.proxy.port(), &self.name);
        let url = format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{name}");
        let redis = self.redis.url();
        let mut settings = RAISED_LIMITS.to_vec();
        settings.extend([
            ("DATABASE_URL", url.as_str()),
            ("REDIS_URL", &redis),
            ("SECRET_KEYS", KEYS),
            ("PUBLIC_URL", "http://localhost:8001"),
            ("LOG_LEVEL", level),
        ]);
        Server::listening(self.folder.serve(&settings)).await
    }
}

/// A refusal as it should be: try again later, and nothing else.
#[track_caller]
fn is_refusal(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let wait = answer
        .headers
        .get("retry-after")
        .map(|it| it.to_str().unwrap());
    assert!(
        wait.is_some_and(|wait| wait.parse::<u32>().unwrap() > 0),
        "{answer:?}"
    );
    assert_eq!(answer.body["code"], "unavailable", "{answer:?}");
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_before_its_database() {
    let world = World::new().await;
    world.proxy.black_hole();
    let server = world.serve().await;
    let why = server.log().says("not ready").await;
    assert!(why.contains("did not answer in time"), "{why}");
    assert!(!why.contains(&format!("{USER}:{PASSWORD}")), "{why}");
    server.get("/health/live", None).await.is(200);
    server.get("/health/ready", None).await.is(503);
    let login = json!({"email": "ada@example.org"});
    is_refusal(&server.post("/api/auth/login", &login).await);

    world.proxy.mend();
    until("never ready", async || {
        server.get("/health/ready", None).await.status == 200
    })
    .await;
    server
        .log()
        .says("INFO: Application startup complete")
        .await;
    let token = server.sign_up("ada@example.org").await;
    assert!(server.is_live(&token).await);
    let chosen = server.log().says("✅ DB 연결 URL 생성").await;
    assert!(!chosen.contains(&format!("{USER}:{PASSWORD}")), "{chosen}");
}

/// What the clients were told.
#[derive(Default)]
struct Record {
    slowest: Duration,
    refused: usize,
    /// Instants at which a client got all that it asked for.
    served: Vec<(usize, Instant)>,
}

/// Begins a fault, or ends it.
type Act<'a> = &'a dyn Fn();

struct Client {
    number: usize,
    token: String,
    /// The highest number that was said to be written into the profile.
    acknowledged: usize,
}

impl Client {
    /// One call of each kind. What needs the database may be refused, and nothing else may happen.
    async fn round(&mut self, server: &Server, record: &Mutex<Record>, turn: usize) {
        let email = format!("ada{}@example.org", self.number);
        let name = json!({"full_name": format!("Ada {turn}")});
        let mut is_served = true;
        let requests = [
            (200, server.request("GET", "/api/auth/session")),
            (200, server.request("GET", "/api/profile")),
            (200, server.request("PATCH", "/api/profile").json(&name)),
            (
                202,
                server
                    .request("POST", "/api/auth/login")
                    .json(&json!({"email": email})),
            ),
        ];
        for (at, (expected, request)) in requests.into_iter().enumerate() {
            let began = Instant::now();
            let request = match at {
                3 => request,
                _ => request.bearer_auth(&self.token),
            };
            let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
            let mut record = record.lock().unwrap();
            record.slowest = record.slowest.max(began.elapsed());
            match (at, answer.status) {
                // Between two mails there is a minute.
                (3, 429) => {}
                (_, status) if status == expected => {
                    if at == 2 {
                        self.acknowledged = turn;
                    }
                }
                // Sessions are elsewhere: nobody is signed out by a database.
                (0, _) => panic!("{answer:?}"),
                _ => {
                    is_refusal(&answer);
                    record.refused += 1;
                    is_served = false;
                }
            }
        }
        if is_served {
            let now = Instant::now();
            record.lock().unwrap().served.push((self.number, now));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_answered_in_time_whatever_the_database_does() {
    const CLIENTS: usize = 8;
    let world = World::new().await;
    let server = Arc::new(world.serve().await);
    server
        .log()
        .says("INFO: Application startup complete")
        .await;
    let (record, is_over) = (
        Arc::new(Mutex::new(Record::default())),
        Arc::new(AtomicBool::new(false)),
    );
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let token = server.sign_up(&format!("ada{number}@example.org")).await;
        let (server, record, is_over) = (
            Arc::clone(&server),
            Arc::clone(&record),
            Arc::clone(&is_over),
        );
        clients.spawn(async move {
            let mut client = Client {
                number,
                token,
                acknowledged: 0,
            };
            let mut turn = 0;
            while !is_over.load(Ordering::Relaxed) {
                turn += 1;
                client.round(&server, &record, turn).await;
                sleep(Duration::from_millis(20)).await;
            }
            client
        });
    }
    let all_served = async || {
        let since = Instant::now();
        until("someone is not served", async || {
            let record = record.lock().unwrap();
            let late = record.served.iter().filter(|(_, at)| *at >= since);
            let numbers: std::collections::HashSet<_> = late.map(|(number, _)| *number).collect();
            numbers.len() == CLIENTS
        })
        .await;
    };
    all_served().await;
    let faults: [(&str, Act<'_>, Act<'_>); 3] = [
        ("stopped", &|| world.database.freeze(), &|| {
            world.database.thaw()
        }),
        ("swallowed", &|| world.proxy.black_hole(), &|| {
            world.proxy.mend()
        }),
        ("killed", &|| world.database.kill(), &|| {
            world.database.revive()
        }),
    ];
    for (name, begin, end) in faults {
        let before = record.lock().unwrap().refused;
        begin();
        sleep(Duration::from_secs(10)).await;
        let health = server.get("/health", None).await.is(503);
        assert_eq!(health.body["status"], "failing", "{health:?}");
        server.get("/health/ready", None).await.is(200);
        assert!(
            record.lock().unwrap().refused > before,
            "{name}: nobody was refused"
        );
        end();
        let mended = Instant::now();
        all_served().await;
        println!("{name}: back after {:?}", mended.elapsed());
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients.join_all().await {
        let profile = server
            .get("/api/profile", Some(&client.token))
            .await
            .is(200);
        let name = profile.body["full_name"].as_str().map(str::to_owned);
        let name = name.unwrap_or_else(|| panic!("{profile:?}"));
        let written: usize = name.trim_start_matches("Ada ").parse().unwrap();
        assert!(
            written >= client.acknowledged,
            "{written} of {}",
            client.acknowledged
        );
    }
    let slowest = record.lock().unwrap().slowest;
    println!("slowest: {slowest:?}");
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    let text = server.log().text();
    assert!(!text.contains("panicked"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_clients_that_reset_leave_nothing_behind() {
    let world = World::new().await;
    let server = world.serve().await;
    server
        .log()
        .says("INFO: Application startup complete")
        .await;
    let token = server.sign_up("ada@example.org").await;
    let superuser = world.database.superuser(&world.name).await;
    for at in 0..500 {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let (method, body) = match at % 2 {
            0 => ("GET", Value::Null.to_string()),
            _ => ("PATCH", json!({"full_name": "Ada"}).to_string()),
        };
        let request = format!(
            "{method} /api/profile HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        // At every moment of the call, from before it is read to after it is answered.
        sleep(Duration::from_micros(at % 50 * 100)).await;
        // Closed with its answer unread, the connection is reset.
        drop(stream);
    }
    let began = Instant::now();
    server.get("/api/profile", Some(&token)).await.is(200);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'aidlc-auth'";
    until("a connection stays busy", async || {
        number(&superuser, &format!("{ours} AND state <> 'idle'")).await == 0
    })
    .await;
    assert!(number(&superuser, ours).await <= 10);
    let log = world.database.log();
    assert!(!log.contains("open transaction"), "{log}");
    server.sign_up("eve@example.org").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_of_a_statement_is_logged() {
    let world = World::new().await;
    let server = world.serve_at("trace,tokio_postgres::query=trace").await;
    server
        .log()
        .says("INFO: Application startup complete")
        .await;
    server.sign_up("eve@example.org").await;
    let log = server.log().text();
    assert!(log.contains("request answered"), "debug was not on");
    for secret in ["$argon2", "pass123", "with parameters"] {
        assert!(!log.contains(secret), "{secret}");
    }
    let with_address = |line: &&str| line.contains("eve@example.org") && !line.contains("📧");
    assert_eq!(log.lines().find(with_address), None);
}
