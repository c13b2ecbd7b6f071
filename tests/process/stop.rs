//! The ways to be told to stop.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{Folder, SIGN_IN, Server, registration};

const STOPPING: &str = "stopping: not ready any more";

#[tokio::test]
async fn sigterm_turns_readiness_first_and_lets_requests_finish() {
    let folder = Folder::new();
    let server = folder.server(&[("DRAIN_DELAY_SECONDS", "2")]).await;
    let idle = idle_connection(&server).await;
    let half = HalfRequest::send(&server).await;
    server.get("/health/ready", None).await.is(200);

    server.process.signal("TERM");
    server.log().says(STOPPING).await;
    server.get("/health/ready", None).await.is(503);
    server.get("/health/live", None).await.is(200);

    // The server closes a connection that rests when it stops listening.
    closed_by_the_server(idle).await;
    // Who came in between waits in the kernel's queue and is turned away with it.
    while let Ok(queued) = TcpStream::connect(server.address).await {
        closed_by_the_server(queued).await;
    }
    let answer = half.finish().await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let ended = server.process.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("stopped"), "{ended:?}");
}

#[tokio::test]
async fn sigint_ends_well_and_so_do_letters_in_hand() {
    let folder = Folder::new();
    let server = folder.server(&[]).await;
    let ada = "ada@example.org";
    server
        .post("/api/auth/register", &registration(ada))
        .await
        .is(202);
    server.process.signal("INT");
    let log = std::sync::Arc::clone(&server.process.log);
    let ended = server.process.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(log.mails().iter().any(|mail| mail.to == ada), "{ended:?}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_and_loses_nothing() {
    let folder = Folder::new();
    let patient = [
        ("DRAIN_DELAY_SECONDS", "300"),
        ("BODY_TIMEOUT_SECONDS", "600"),
    ];
    let server = folder.server(&patient).await;
    let token = server.sign_up("ada@example.org").await;
    let half = HalfRequest::send(&server).await;

    server.process.signal("TERM");
    server.log().says(STOPPING).await;
    server.process.signal("INT");
    let ended = server.process.ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("stopped at once"), "{ended:?}");
    drop(half);

    let server = folder.server(&[]).await;
    assert!(server.is_live(&token).await);
    let asked = serde_json::json!({"email": "ada@example.org"});
    server.post("/api/auth/login", &asked).await.is(202);
    server.log().mail("ada@example.org", SIGN_IN).await;
}

/// A connection that has had its answer and waits for its next request.
async fn idle_connection(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        answer.push(stream.read_u8().await.unwrap());
    }
    stream
}

async fn closed_by_the_server(mut stream: TcpStream) {
    let read = tokio::time::timeout(crate::world::DEADLINE, stream.read(&mut [0; 64])).await;
    // Closed, or reset, which is as final.
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
}

/// A registration of which the server has seen all but the last byte.
struct HalfRequest {
    stream: TcpStream,
    last: u8,
}

impl HalfRequest {
    async fn send(server: &Server) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let body = registration("grace@example.org").to_string().into_bytes();
        let (last, all_but_last) = body.split_last().unwrap();
        let head = format!(
            "POST /api/auth/register HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // Said when the story begins to read the body: the request is under way.
        let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        stream.read_exact(&mut go_on).await.unwrap();
        assert!(go_on.starts_with(b"HTTP/1.1 100 "));
        stream.write_all(all_but_last).await.unwrap();
        Self {
            stream,
            last: *last,
        }
    }

    async fn finish(mut self) -> String {
        self.stream.write_all(&[self.last]).await.unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}
