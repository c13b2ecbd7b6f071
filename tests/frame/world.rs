//! A server with short limits and gates in its handlers, and clients that write raw bytes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use aidlc_auth::http::serve::{Drain, Limits, serve, shutdown};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request},
    http::StatusCode,
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};

/// Longer than anything here takes unless it hangs.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A limit that a test expects to run into.
pub const SHORT: Duration = Duration::from_millis(200);

/// A whole request, answered with the address it came from.
pub const GET_PEER: &[u8] = b"GET /peer HTTP/1.1\r\nHost: a\r\n\r\n";

/// Limits that no test runs into unless it shortens one.
pub fn patient() -> Limits {
    Limits {
        max_connections: 100,
        header_timeout: DEADLINE * 2,
        body_timeout: DEADLINE * 2,
        idle_timeout: DEADLINE * 2,
        write_timeout: DEADLINE * 2,
        drain_timeout: DEADLINE * 2,
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub drain: Drain,
    pub running: JoinHandle<usize>,
    /// Passed by `/wait`; at `/flood` it tells that the answer was given up.
    pub gate: Gate,
    /// Tells that `/count` has begun.
    pub counting: Gate,
}

impl Server {
    pub async fn start(limits: Limits) -> Self {
        let (gate, counting) = (Gate::default(), Gate::default());
        let router = router(gate.clone(), counting.clone());
        Self {
            gate,
            counting,
            ..Self::with(router, limits).await
        }
    }

    pub async fn with(router: Router, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (drain, heard) = shutdown();
        let running = tokio::spawn(serve(listener, router, limits, heard));
        Self {
            address,
            drain,
            running,
            gate: Gate::default(),
            counting: Gate::default(),
        }
    }

    pub async fn connect(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.address).await.unwrap(),
        }
    }

    pub async fn ended(self) -> usize {
        timeout(DEADLINE, self.running)
            .await
            .expect("the server ends")
            .unwrap()
    }
}

pub fn router(gate: Gate, counting: Gate) -> Router {
    let flood_gate = gate.clone();
    Router::new()
        .route(
            "/peer",
            get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()),
        )
        .route("/panic", get(async || -> () { panic!("on purpose") }))
        .route(
            "/count",
            post(async move |request: Request| {
                counting.arrive();
                match to_bytes(request.into_body(), 64 * 1024).await {
                    Ok(bytes) => (StatusCode::OK, bytes.len().to_string()),
                    Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, String::new()),
                }
            }),
        )
        .route(
            "/wait",
            get({
                let gate = gate.clone();
                async move || gate.pass().await
            })
            .post(async move |_: axum::body::Bytes| gate.pass().await),
        )
        .route(
            "/flood",
            get(async move || Body::new(Flood(flood_gate.clone()))),
        )
}

/// A door that a handler waits at, and that tells when somebody is there.
#[derive(Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            arrived: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Gate {
    pub async fn pass(&self) {
        self.arrive();
        self.open.acquire().await.unwrap().forget();
    }

    pub fn arrive(&self) {
        self.arrived.add_permits(1);
    }

    pub async fn arrived(&self) {
        let arrived = timeout(DEADLINE, self.arrived.acquire())
            .await
            .expect("somebody arrives");
        arrived.unwrap().forget();
    }

    pub fn open(&self) {
        self.open.add_permits(1);
    }
}

/// A body without end, which tells the gate when it is dropped.
pub struct Flood(Gate);

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.arrive();
    }
}

impl hyper::body::Body for Flood {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        let bytes = axum::body::Bytes::from_static(&[b'a'; 64 * 1024]);
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(bytes))))
    }
}

pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// For what the server may have stopped listening to.
    pub async fn send_or_closed(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// All that still comes until the server closes.
    pub async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let mut part = [0; 4096];
        loop {
            let read = timeout(DEADLINE, self.stream.read(&mut part));
            match read.await.expect("the server closes") {
                Ok(0) | Err(_) => return String::from_utf8(all).unwrap(),
                Ok(n) => all.extend(&part[..n]),
            }
        }
    }

    /// All that still comes, or one answer on a connection that stays open.
    pub async fn rest_or_one_answer(&mut self) -> String {
        let first = match timeout(DEADLINE, self.stream.read_u8())
            .await
            .expect("something comes")
        {
            Ok(first) => first,
            Err(_) => return String::new(),
        };
        let answer = self.answer_after(vec![first]).await;
        format!("HTTP/1.1 {}\r\n\r\n{}", answer.status, answer.body)
    }

    /// One answer, read by its `content-length`.
    pub async fn answer(&mut self) -> Answer {
        self.answer_after(Vec::new()).await
    }

    pub async fn answer_after(&mut self, mut head: Vec<u8>) -> Answer {
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(DEADLINE, self.stream.read_u8())
                .await
                .expect("an answer comes");
            head.push(byte.expect("an answer comes before the end"));
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        timeout(DEADLINE, self.stream.read_exact(&mut body))
            .await
            .expect("a body comes")
            .unwrap();
        Answer {
            status,
            body: String::from_utf8(body).unwrap(),
        }
    }
}

pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn is(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.body);
    }

    #[track_caller]
    pub fn is_with(&self, status: u16, body: &str) {
        assert_eq!((self.status, &*self.body), (status, body));
    }
}
