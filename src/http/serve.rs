//! The accept loop: listens, seats connections, drains them when asked to.
//!
//! Our own, because `axum::serve` sets no time-outs at all. One connection's life is in `serve/connection.rs`,
//! and how long it may wait for its client in `serve/patience.rs`.

mod connection;
mod listen;
mod patience;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

pub use listen::bind;

/// How many clients there may be at once, and how long each may keep us waiting.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once. Further ones wait in the kernel's queue until one ends.
    pub max_connections: usize,
    /// From a request's first byte to the end of its head; also how long a new connection may say nothing.
    pub header_timeout: Duration,
    /// From the end of a request's head to the end of its body.
    pub body_timeout: Duration,
    /// Between two requests of a connection. Must be longer than the load balancer's own (60 s at an ALB):
    /// who closes first loses the request that is just on its way.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long requests under way may still take once draining began.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// Serves `router` on `listener` until `shutdown` begins, then drains. Answers how many connections were cut
/// because they outlasted `drain_timeout`.
///
/// Every request carries its peer as `ConnectInfo<SocketAddr>`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    mut shutdown: Shutdown,
) -> usize {
    // Settles the routes once here rather than once per request.
    let router = router.with_state(());
    let limits = Arc::new(limits);
    let mut connections = JoinSet::new();
    let ending = shutdown.clone();
    loop {
        // A full house stops accepting: whoever waits in the kernel's queue is served late, not turned away.
        let has_room = connections.len() < limits.max_connections;
        tokio::select! {
            biased;
            () = shutdown.begun() => break,
            Some(ended) = connections.join_next() => log_panic(ended),
            (stream, peer) = accept(&listener), if has_room => {
                let (router, limits) = (router.clone(), Arc::clone(&limits));
                connections.spawn(connection::drive(stream, peer, router, limits, ending.clone()));
            }
        }
    }
    drop(listener);
    drain(connections, limits.drain_timeout).await
}

/// Begins the draining that a [`Shutdown`] waits for. Dropping it begins it too: nobody else could.
#[derive(Debug)]
pub struct Drain(watch::Sender<bool>);

/// Tells whether draining has begun. Cheap to clone and to ask.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// The two ends of a shutdown: the one that orders it, and the one that many listen on.
pub fn shutdown() -> (Drain, Shutdown) {
    let (order, heard) = watch::channel(false);
    (Drain(order), Shutdown(heard))
}

impl Drain {
    /// Begins draining. A second time changes nothing.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Waits until draining begins; at once when it already has.
    pub async fn begun(&mut self) {
        // An error says that the `Drain` is gone, which counts as begun.
        let _ = self.0.wait_for(|begun| *begun).await;
    }

    /// Whether draining has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// The next connection. No failure ends the loop: a server that stops listening because it ran out of file
/// descriptors for a second is an outage of its own making.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut pause = Duration::from_millis(50);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are written whole, so waiting to fill a packet only adds 40 ms.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "could not set TCP_NODELAY");
                }
                return (stream, peer);
            }
            Err(error) if is_the_clients(&error) => {
                tracing::debug!(%error, "a client left before it was accepted");
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    "cannot accept connections; if the limit of open files is reached, raise it (ulimit -n, LimitNOFILE=)",
                );
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
}

/// Errors of the one connection that was about to be accepted; the next may be well.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Waits for the connections to end, and cuts those that outlast `patience`.
async fn drain(mut connections: JoinSet<()>, patience: Duration) -> usize {
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    if timeout(patience, all_ended).await.is_err() {
        while let Some(ended) = connections.try_join_next() {
            log_panic(ended);
        }
    }
    let cut = connections.len();
    connections.shutdown().await;
    cut
}

/// A panic that no layer caught ends its connection only; it must not pass unseen.
fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection ended in a panic");
    }
}
