//! What the service is compared with: axum and hyper answering a constant, with no story, store or layer.

use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::http::header;
use axum::routing::get;

use crate::process::{free_port, wait_until_answers};

/// Makes this binary that server instead of the benchmark. Its argument is `port=body`.
pub const FLAG: &str = "--bare-server";

/// A running one. Ends when it is dropped.
pub struct Bare {
    /// Where it listens.
    pub port: u16,
    child: Child,
}

impl Bare {
    /// Starts it as a process of its own.
    pub fn start(body: &str) -> Self {
        let port = free_port();
        let child = Command::new(std::env::current_exe().expect("this binary has a path"))
            .args([FLAG, &format!("{port}={body}")])
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
pub fn serve(argument: String) {
    let (port, body) = argument.split_once('=').expect("port=body");
    let (port, body): (u16, _) = (port.parse().expect("a port"), body.to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let json = [(header::CONTENT_TYPE, "application/json")];
        let body = bytes::Bytes::from(body);
        let router = Router::new().fallback(get(async move || (json, body)));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .expect("the port was free a moment ago");
        axum::serve(listener, router).await.expect("it serves");
    });
}
