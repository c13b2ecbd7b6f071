//! `aidlc-auth healthcheck`, as a container's health check runs it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::world::{Folder, Server};

#[tokio::test]
async fn a_service_that_lives_is_well() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let server = folder.server(&[]).await;
    let port = server.address.port().to_string();
    for arguments in [&["healthcheck"][..], &["healthcheck", "--ready"]] {
        // It is asked on every interface, and whatever the other settings are.
        for (host, environment) in [
            ("0.0.0.0", "development"),
            ("127.0.0.1", "staging"),
            ("localhost", "nonsense"),
        ] {
            let settings = [
                ("PORT", port.as_str()),
                ("HOST", host),
                ("ENVIRONMENT", environment),
            ];
            let ended = elsewhere.run(arguments, &settings).await;
            assert_eq!(ended.succeeded(), "", "{host}: {ended:?}");
            assert_eq!(ended.err, "");
        }
    }
    let left = std::fs::read_dir(elsewhere.path()).unwrap().count();
    assert_eq!(left, 0, "it opened a store");
}

#[tokio::test]
async fn a_service_that_is_not_ready_lives() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let database = nobody.local_addr().unwrap().port();
    drop(nobody);
    let database = format!("postgres://auth:auth@127.0.0.1:{database}/auth");
    let folder = Folder::new();
    let server = Server::listening(folder.serve(&[
        ("DATABASE_URL", &database),
        ("REDIS_URL", "memory:"),
        (
            "SECRET_KEYS",
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        ),
    ]))
    .await;
    let port = server.address.port().to_string();
    let port = [("PORT", port.as_str())];
    folder.run(&["healthcheck"], &port).await.succeeded();
    let ended = folder.run(&["healthcheck", "--ready"], &port).await;
    let line = ended.refused_in_lines(1);
    assert!(line.contains("/health/ready was answered 503"), "{line}");
}

#[tokio::test]
async fn what_does_not_answer_is_not_well() {
    let folder = Folder::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let started = Instant::now();
    let ended = folder.run(&["healthcheck"], &[("PORT", &port)]).await;
    let line = ended.refused_in_lines(1);
    assert!(line.contains("was not answered within 3 s"), "{line}");
    assert!(started.elapsed() < Duration::from_secs(20));
    drop(silent);
    for (port, why) in [
        (port.as_str(), "was not answered: "),
        ("0", "PORT is 0"),
        ("eighty", "PORT (environment): "),
    ] {
        let ended = folder.run(&["healthcheck"], &[("PORT", port)]).await;
        let line = ended.refused_in_lines(1);
        assert!(line.contains(why), "{line}");
        assert_eq!(ended.code, Some(1));
    }
}
