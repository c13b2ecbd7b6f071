//! What the service is compared with: axum and hyper answering a constant, or what one GET from Redis
//! brings, with no story and no layer.

use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::http::header;
use axum::routing::get;

use crate::process::{free_port, wait_until_answers};

/// Makes this binary that server instead of the benchmark. Arguments: the port, and the body.
pub const CONSTANT: &str = "--bare-server";

/// Likewise, with a body read from Redis for every answer. Arguments: the port, and the server's URL.
pub const FROM_REDIS: &str = "--bare-redis-server";

/// Where the body is kept in Redis.
pub const KEY: &str = "bare";

/// A running one. Ends when it is dropped.
pub struct Bare {
    /// Where it listens.
    pub port: u16,
    child: Child,
}

impl Bare {
    /// Starts one that answers a constant, as a process of its own.
    pub fn start(body: &str) -> Self {
        Self::spawn(CONSTANT, body)
    }

    /// Starts one that answers what is under [`KEY`] in Redis.
    pub fn start_on_redis(url: &str) -> Self {
        Self::spawn(FROM_REDIS, url)
    }

    fn spawn(flag: &str, argument: &str) -> Self {
        let port = free_port();
        let child = Command::new(std::env::current_exe().expect("this binary has a path"))
            .args([flag, &port.to_string(), argument])
            .stdout(Stdio::null())
            .spawn()
            .expect("this binary can be started");
        wait_until_answers(port, "/");
        Self { port, child }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves for ever.
pub fn serve(flag: &str, port: &str, argument: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let router = if flag == CONSTANT {
            constant(argument.to_owned())
        } else {
            from_redis(argument).await
        };
        let port: u16 = port.parse().expect("a port");
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .expect("the port was free a moment ago");
        axum::serve(listener, router).await.expect("it serves");
    });
}

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

fn constant(body: String) -> Router {
    let body = bytes::Bytes::from(body);
    Router::new().fallback(get(async move || (JSON, body)))
}

/// The service's own client, on one connection, as the service has it.
async fn from_redis(url: &str) -> Router {
    let client = redis::Client::open(url).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    let connection = connection.expect("the server answers");
    Router::new().fallback(get(async move || {
        let body: Vec<u8> = redis::cmd("GET")
            .arg(KEY)
            .query_async(&mut connection.clone())
            .await
            .expect("the server answers");
        (JSON, body)
    }))
}
