//! The servers that other tests stand on (`tests/servers/`): that they start, end, and fail as told.
#![forbid(unsafe_code)]

#[path = "servers/lib.rs"]
mod servers;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use servers::{Access, Authority, Cluster, DURABLE, Postgres, Proxy, Redis, Sentinel, Wanted};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

/// Whether nothing comes for a while.
async fn is_silent(stream: &mut TcpStream) -> bool {
    let wait = Duration::from_millis(200);
    timeout(wait, stream.read_u8()).await.is_err()
}

async fn client(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn number(client: &Client, query: &str) -> i32 {
    client.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_comes_back_with_its_data() {
    let server = Postgres::start();
    let url = server.database().await;
    let first = client(&url).await.unwrap();
    let table = "CREATE TABLE kept AS SELECT 7 AS n";
    first.batch_execute(table).await.unwrap();

    server.kill();
    assert!(first.simple_query("SELECT 1").await.is_err());
    assert!(client(&url).await.is_err());
    server.revive();
    let second = client(&url).await.unwrap();
    assert_eq!(number(&second, "SELECT n FROM kept").await, 7);

    server.freeze();
    let answer = number(&second, "SELECT n FROM kept");
    tokio::pin!(answer);
    let wait = Duration::from_millis(200);
    assert!(timeout(wait, &mut answer).await.is_err());
    server.thaw();
    assert_eq!(answer.await, 7);

    let before = server.log().len();
    server.shut_down();
    server.revive();
    let clean = !server.log()[before..].contains("not properly shut down");
    assert!(clean, "nothing had to be recovered");
    assert_eq!(
        number(&client(&url).await.unwrap(), "SELECT n FROM kept").await,
        7
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_as_it_was_wanted() {
    let authority = Authority::new();
    let certificate = authority.server(&["db.example.org", "127.0.0.1"]);
    let server = Postgres::with(Wanted {
        access: Access::TlsOnly,
        certificate: Some(&certificate),
        durable: true,
        settings: &[("max_connections", "17")],
        ..Wanted::default()
    });
    let refused = client(&server.url("postgres")).await.err().unwrap();
    let said = refused.as_db_error().unwrap().message();
    assert!(
        said.contains("no pg_hba.conf entry") && said.contains("no encryption"),
        "{said}"
    );
    let superuser = server.superuser("postgres").await;
    for (setting, value) in [("max_connections", "17"), ("ssl", "on"), ("fsync", "on")] {
        let row = superuser.query_one(&format!("SHOW {setting}"), &[]).await;
        assert_eq!(row.unwrap().get::<_, &str>(0), value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_of_postgres_follows_and_takes_over() {
    let primary = Postgres::start();
    let replica = Postgres::replica_of(&primary);
    let name = "postgres";
    let table = "CREATE TABLE kept AS SELECT 7 AS n";
    primary
        .superuser(name)
        .await
        .batch_execute(table)
        .await
        .unwrap();
    let reader = replica.superuser(name).await;
    while reader.query("SELECT n FROM kept", &[]).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(reader.batch_execute("DELETE FROM kept").await.is_err());
    primary.kill();
    reader.batch_execute("SELECT pg_promote()").await.unwrap();
    reader.batch_execute("DELETE FROM kept").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_comes_back_with_its_data() {
    let server = Redis::with(&DURABLE);
    let _: () = server.command("SET kept 7").await;
    server.kill();
    assert!(
        TcpStream::connect(("127.0.0.1", server.port()))
            .await
            .is_err()
    );
    server.revive();
    assert_eq!(server.command::<u8>("GET kept").await, 7);
    server.freeze();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    stream.write_all(b"PING\r\n").await.unwrap();
    assert!(is_silent(&mut stream).await);
    server.thaw();
    assert_eq!(stream.read_u8().await.unwrap(), b'+');
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_as_it_was_wanted() {
    let certificate = Authority::new().server(&["localhost"]);
    let user = ("user", "app on >pass ~* &* +@all");
    let server = Redis::with_tls(&certificate, &[user, ("user", "default off")]);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    stream.write_all(b"PING\r\n").await.unwrap();
    assert!(stream.read_u8().await.is_err(), "it speaks TLS only");
    let names: Vec<String> = server.command("ACL USERS").await;
    assert_eq!(names, ["admin", "app", "default"]);

    let master = Redis::start();
    let replica = Redis::replica_of(&master, &[]);
    let _: () = master.command("SET kept 7").await;
    assert_eq!(master.command::<u8>("WAIT 1 10000").await, 1);
    assert_eq!(replica.command::<u8>("GET kept").await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_has_masters_and_replicas() {
    let cluster = Cluster::with(&[("cluster-node-timeout", "1000")]);
    let patience = Duration::from_secs(30);
    let client = redis::cluster::ClusterClient::builder(vec![cluster.nodes[3].url()])
        .connection_timeout(patience)
        .response_timeout(patience)
        .build()
        .unwrap();
    let mut link = client.get_async_connection().await.unwrap();
    for (key, value) in [("a", 1), ("b", 2), ("c", 3)] {
        let () = redis::cmd("SET")
            .arg(key)
            .arg(value)
            .query_async(&mut link)
            .await
            .unwrap();
    }
    cluster.nodes[0].kill();
    let promoted = &cluster.nodes[3];
    while !promoted
        .command::<String>("INFO replication")
        .await
        .contains("role:master")
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_choose_another_master() {
    let group = Sentinel::start(&[]);
    group.nodes[0].kill();
    let promoted = &group.nodes[1];
    while !promoted
        .command::<String>("INFO replication")
        .await
        .contains("role:master")
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A server that says back what it hears.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    port
}

async fn echoes(stream: &mut TcpStream) -> bool {
    stream.write_all(b"x").await.is_ok() && stream.read_u8().await.is_ok_and(|byte| byte == b'x')
}

#[tokio::test]
async fn a_proxy_does_what_networks_do() {
    let proxy = Proxy::to(echo().await).await;
    let connect = || async {
        TcpStream::connect(("127.0.0.1", proxy.port()))
            .await
            .unwrap()
    };
    let mut one = connect().await;
    assert!(echoes(&mut one).await);

    proxy.delay(Duration::from_millis(50));
    let start = std::time::Instant::now();
    assert!(echoes(&mut one).await);
    assert!(
        start.elapsed() >= Duration::from_millis(100),
        "there and back"
    );
    proxy.mend();

    proxy.cut();
    let error = one.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let mut two = connect().await;
    assert!(echoes(&mut two).await);

    proxy.forget();
    let mut three = connect().await;
    assert!(echoes(&mut three).await);
    two.write_all(b"x").await.unwrap();
    assert!(is_silent(&mut two).await);

    proxy.black_hole();
    let mut four = connect().await;
    for stream in [&mut three, &mut four] {
        stream.write_all(b"x").await.unwrap();
        assert!(is_silent(stream).await);
    }
    proxy.mend();
    assert!(echoes(&mut connect().await).await);
    assert!(is_silent(&mut four).await, "what was swallowed is gone");

    proxy.refuse();
    assert!(connect().await.read_u8().await.is_err());
    assert_eq!(proxy.accepted(), 6);
    for mut lost in [two, three, four] {
        assert!(lost.read_u8().await.is_err());
    }
    assert_eq!(proxy.open(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_server() {
    let server = Redis::start();
    let killed = Redis::start();
    killed.kill();
    let folders = [server.folder().to_owned(), killed.folder().to_owned()];
    drop((server, killed));
    assert!(folders.iter().all(|folder| !folder.exists()));
}

/// Whoever holds the other end of its input may end in any way.
#[test]
fn a_guard_ends_its_server_when_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap().keep();
    let mut parent = Command::new("sleep");
    let mut parent = parent.arg("1000").stdout(Stdio::piped()).spawn().unwrap();
    let mut guard = Command::new("sh")
        .args(["-c", include_str!("servers/guard.sh"), "guard"])
        .args([&folder, &folder.join("log")])
        // A server with a child, neither of which would end.
        .args(["sh", "-c", "sleep 1000 & echo $! > child; wait"])
        .stdin(parent.stdout.take().unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = String::new();
    while !child.ends_with('\n') {
        child = fs::read_to_string(folder.join("child")).unwrap_or_default();
    }
    assert!(guard.try_wait().unwrap().is_none());
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(guard.wait().unwrap().success());
    assert!(!folder.exists());
    let child = format!("/proc/{}/exe", child.trim());
    assert!(fs::read_link(child).is_err());
}
