//! What a request leaves in the log.

use std::{
    io,
    sync::{Arc, Mutex},
};

use aidlc_auth::{
    clock::SystemClock,
    http::request_id::{Naming, name_request},
};
use axum::{Router, middleware::from_fn_with_state, routing::get};
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{Server, patient};

/// The only test here that names requests: a line's first use on a thread that logs nowhere would silence it for
/// the whole process.
#[tokio::test]
async fn the_access_line_shows_the_route_and_never_the_raw_path() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let naming = Naming {
        trusted: ["127.0.0.1/32".parse().unwrap()].into(),
        clock: Arc::new(SystemClock),
    };
    let router = Router::new()
        .route("/users/{id}", get(async || "hello"))
        .layer(from_fn_with_state(naming, name_request));
    let server = Server::with(router, patient()).await;
    let mut client = server.connect().await;

    client
        .send(b"GET /users/7?token=raw HTTP/1.1\r\nHost: a\r\nX-Request-Id: the-id\r\n\r\n")
        .await;
    client.answer().await.is_with(200, "hello");

    let log = log.text();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("request answered"))
        .collect();
    let [line] = lines[..] else {
        panic!("one line per request: {log}")
    };
    for part in [
        "DEBUG",
        "id=\"the-id\"",
        "method=GET",
        "path=\"/users/{id}\"",
        "status=200",
        "duration_ms=",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(
        !log.contains("token=raw") && !log.contains("/users/7"),
        "{log}"
    );
}

/// What was logged, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}
