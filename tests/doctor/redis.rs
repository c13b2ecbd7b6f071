//! Redis servers that are not as the settings have them.

use std::net::TcpListener;

use aidlc_auth::clock::{Clock as _, SystemClock};
use jiff::SignedDuration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::patient::{CANARY, Patient};
use crate::servers::{Authority, Redis, shared};

/// Nothing to warn of.
const KEPT: (&str, &str) = ("appendonly", "yes");

#[tokio::test(flavor = "multi_thread")]
async fn redis_unreachable() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let patient = Patient::on_redis(format!("redis://:{CANARY}@{nobody}"));
    patient
        .fails("redis_unreachable", "cannot be connected to")
        .await;
}

/// As ElastiCache is with transit encryption, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn redis_tls() {
    let certificate = Authority::new().server(&["localhost"]);
    let encrypted = Redis::with_tls(&certificate, &[("requirepass", CANARY)]);
    let plain = Patient::on_redis(format!("redis://localhost:{}", encrypted.port()))
        .with("REDIS_PASSWORD", CANARY);
    plain
        .fails("redis_tls", "does it want TLS (rediss://)?")
        .await;

    let server = Redis::start();
    let patient = Patient::on_redis(format!("rediss://localhost:{}", server.port()));
    patient
        .fails("redis_tls", "write redis:// in REDIS_URL")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_certificate() {
    let certificate = Authority::new().server(&["localhost"]);
    let server = Redis::with_tls(&certificate, &[]);
    let patient = Patient::on_redis(format!("rediss://localhost:{}", server.port()));
    patient
        .fails("redis_certificate", "authority that is not trusted")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_password() {
    let server = Redis::with(&[("requirepass", CANARY)]);
    let none = Patient::on_redis(server.url());
    none.fails("redis_password", "it asks for a password").await;
    let stale = none.with("REDIS_PASSWORD", format!("{CANARY}-before"));
    stale
        .fails("redis_password", "it refuses this user and password")
        .await;
    let open = Redis::start();
    let patient = Patient::on_redis(open.url()).with("REDIS_PASSWORD", CANARY);
    patient
        .fails("redis_password", "it knows no password")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_cluster() {
    // Every node, whichever has the key.
    for node in shared::cluster_nodes().take(3) {
        let patient = Patient::on_redis(node);
        patient
            .fails("redis_cluster", "write redis-cluster://")
            .await;
    }
    // A node of a cluster that is not whole, asked either way.
    let alone = Redis::with(&[("cluster-enabled", "yes")]);
    let plain = Patient::on_redis(alone.url());
    plain
        .fails("redis_cluster", "the cluster does not serve")
        .await;
    // And no cluster at all.
    let single = Redis::with(&[KEPT]);
    let patient = Patient::on_redis(format!("redis-cluster://127.0.0.1:{}", single.port()));
    patient
        .fails("redis_cluster", "it is not part of a cluster")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_refused() {
    let master = Redis::start();
    let replica = Redis::replica_of(&master, &[]);
    let patient = Patient::on_redis(replica.url());
    patient.fails("redis_refused", "it is a replica").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_eviction() {
    let server = Redis::with(&[KEPT, ("maxmemory-policy", "volatile-lru")]);
    let patient = Patient::on_redis(server.url());
    patient
        .warns("redis_eviction", "maxmemory-policy is volatile-lru")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_persistence() {
    let server = Redis::with(&[("appendonly", "no")]);
    let patient = Patient::on_redis(server.url());
    patient.warns("redis_persistence", "appendonly is no").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clock() {
    let port = a_server_whose_clock_is_off(SignedDuration::from_secs(3600)).await;
    let patient = Patient::on_redis(format!("redis://127.0.0.1:{port}"));
    patient.fails("clock", "Redis and this machine are 3").await;
}

/// Answers what the doctor asks as Redis does, by a clock of its own.
async fn a_server_whose_clock_is_off(ahead: SignedDuration) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, ahead));
        }
    });
    port
}

async fn answer(stream: TcpStream, ahead: SignedDuration) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    // A command is its words between lines that tell how long each is: only the words matter.
    while stream.read_line(&mut line).await? > 0 {
        let seconds = (SystemClock.now() + ahead).as_second().to_string();
        let answer = match line.trim() {
            "EVAL" => ":1\r\n".to_owned(),
            "GET" => "$-1\r\n".to_owned(),
            "INFO" => "$0\r\n\r\n".to_owned(),
            "TIME" => format!("*2\r\n${}\r\n{seconds}\r\n$1\r\n0\r\n", seconds.len()),
            _ => String::new(),
        };
        stream.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

/// The guide's user may do what the service does, and the doctor asks for no more.
#[tokio::test(flavor = "multi_thread")]
async fn the_user_of_the_guide_suffices() {
    let guide = include_str!("../../docs/scaling.md");
    let user = guide.lines().find(|it| it.starts_with("ACL SETUSER"));
    let server = Redis::with(&[KEPT]);
    let () = server
        .command(&user.unwrap().replace("PASSWORD", CANARY))
        .await;
    let patient = Patient::on_redis(server.url())
        .with("REDIS_USERNAME", "aidlc-auth")
        .with("REDIS_PASSWORD", CANARY);
    let diagnosis = patient.sees_the_doctor().await;
    diagnosis.says("redis_unreachable", "ok", "Redis ");
    assert!(diagnosis.codes("failed").is_empty());
}
