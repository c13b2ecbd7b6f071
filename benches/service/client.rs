//! A small HTTP client: one kept connection, one request at a time, no more parsing than that takes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A kept connection.
pub struct Connection(TcpStream);

impl Connection {
    /// To a port of this machine.
    pub fn to(port: u16) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", port)).expect("it listens"))
    }

    /// Over a stream.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a TCP option");
        Self(stream)
    }

    /// Posts JSON, insists on a status, returns the body.
    pub fn post(&mut self, path: &str, body: &str, status: u16) -> String {
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n");
        let length = body.len();
        self.ask(
            &format!("{head}content-length: {length}\r\n\r\n{body}"),
            status,
        )
    }

    /// Gets, insists on a status, returns the body.
    pub fn get(&mut self, path: &str, token: Option<&str>, status: u16) -> String {
        self.ask(&get(path, token), status)
    }

    fn ask(&mut self, request: &str, status: u16) -> String {
        self.0
            .write_all(request.as_bytes())
            .expect("it takes requests");
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        loop {
            let read = self.0.read(&mut part).expect("it answers");
            assert!(read > 0, "the connection ended within an answer");
            answer.extend_from_slice(&part[..read]);
            if let Some(head) = head_end(&answer)
                && answer.len() == head + body_length(&answer[..head])
            {
                let body = String::from_utf8_lossy(&answer[head..]).into_owned();
                assert_eq!(status_of(&answer), status, "{request}\n{body}");
                return body;
            }
        }
    }
}

/// A GET as bytes.
pub fn get(path: &str, token: Option<&str>) -> String {
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\n{}\r\n",
        token.unwrap_or_default()
    )
}

/// Repeats each of the requests over a connection of its own, for so long. Answers per second.
pub fn load(port: u16, requests: &[String], time: Duration) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (count, over) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let mut clients = tokio::task::JoinSet::new();
        for request in requests {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .expect("it listens");
            stream.set_nodelay(true).expect("a TCP option");
            clients.spawn(repeat(
                stream,
                request.clone(),
                Arc::clone(&count),
                Arc::clone(&over),
            ));
        }
        // The first answers warm up.
        tokio::time::sleep(time / 10).await;
        let (began, before) = (Instant::now(), count.load(Ordering::Relaxed));
        tokio::time::sleep(time).await;
        let answers = count.load(Ordering::Relaxed) - before;
        let rate = answers as f64 / began.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        while let Some(ended) = clients.join_next().await {
            ended.expect("no client failed");
        }
        rate
    })
}

async fn repeat(
    mut stream: tokio::net::TcpStream,
    request: String,
    count: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
) {
    let mut answer = vec![0; 8192];
    while !over.load(Ordering::Relaxed) {
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it takes requests");
        let mut filled = 0;
        loop {
            let read = stream
                .read(&mut answer[filled..])
                .await
                .expect("it answers");
            assert!(read > 0, "the connection ended within an answer");
            filled += read;
            if let Some(head) = head_end(&answer[..filled])
                && filled == head + body_length(&answer[..head])
            {
                break;
            }
        }
        assert_eq!(status_of(&answer), 200);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn head_end(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    end.map(|at| at + 4)
}

fn body_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"\ncontent-length: ";
    let Some(at) = head.windows(NAME.len()).position(|part| part == NAME) else {
        return 0;
    };
    let digits = head[at + NAME.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
}

fn status_of(answer: &[u8]) -> u16 {
    answer[9..12]
        .iter()
        .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))
}
