//! One server, and the connection to it that everyone shares.
//!
//! Whoever finds it without a connection starts one attempt, which runs on if they leave; the others
//! wait for it, or fail at once if the last attempt failed too. So an outage costs few attempts, and
//! one time-out at most to those who ask.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{Cmd, RedisError, Value};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::dial::{Dial, Dialled};
use super::sentinel::Sentinels;
use super::trouble::{Trouble, unavailable};
use super::url::Address;
use crate::store::Error;

/// From one attempt to connect to the next.
const PAUSE: Duration = Duration::from_millis(500);
/// A connection that is kept has to prove itself this often: so a server that was stopped, cut off
/// or made a replica is noticed by us and not by the next one to sign in, and nobody reads from a
/// former master for longer.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Heartbeats between two looks at whom the sentinels name.
const BEATS_PER_LOOK: u32 = 5;

/// A server, wherever it is at the moment.
pub(super) struct Node {
    finder: Finder,
    dial: Arc<Dial>,
    proof: Proof,
    state: watch::Sender<State>,
    next_id: AtomicU64,
}

/// How it is known where the server is.
pub(super) enum Finder {
    /// It is there.
    At(Address),
    /// The sentinels know.
    By(Sentinels),
}

/// What a server has to do on a connection to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Answer. Nodes of a cluster point to the right one themselves.
    Answers,
    /// Say that it takes writes: one that became a replica would answer reads as if nothing were.
    Writes,
}

enum State {
    Down {
        why: Option<Error>,
        /// Whether the last attempt failed; else there was a connection, and it was lost.
        is_out: bool,
        /// Not to be connected to before.
        until: Instant,
    },
    Connecting {
        /// Why the attempt before this one failed, if it did.
        after: Option<Error>,
    },
    Up(Arc<Live>),
}

/// A connection that works as far as anyone knows. It ends with the last one who holds it.
struct Live {
    id: u64,
    server: Address,
    since: Instant,
    connection: MultiplexedConnection,
    driver: AbortHandle,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Node {
    pub fn new(finder: Finder, proof: Proof, dial: Arc<Dial>) -> Arc<Self> {
        let down = State::Down {
            why: None,
            is_out: false,
            until: Instant::now(),
        };
        Arc::new(Self {
            finder,
            dial,
            proof,
            state: watch::Sender::new(down),
            next_id: AtomicU64::new(0),
        })
    }

    /// Sends a command and waits for its answer. Nothing is sent twice.
    pub async fn send(self: &Arc<Self>, command: &Cmd) -> Result<Value, Trouble> {
        let live = self.connection().await.map_err(Trouble::Lost)?;
        let answer = command.query_async(&mut live.connection.clone()).await;
        answer.map_err(|error| self.judged(error, &live))
    }

    /// Sends a command to a node of a cluster that is about to get the key.
    pub async fn send_asking(self: &Arc<Self>, command: &Cmd) -> Result<Value, Trouble> {
        let live = self.connection().await.map_err(Trouble::Lost)?;
        let mut connection = live.connection.clone();
        let mut both = redis::pipe();
        both.cmd("ASKING").add_command(command.clone());
        // As one piece: nobody else's command may come between.
        let answers = connection.req_packed_commands(&both, 0, 2).await;
        let answer =
            answers.and_then(|mut answers| answers.pop().unwrap_or(Value::Nil).extract_error());
        answer.map_err(|error| self.judged(error, &live))
    }

    fn judged(&self, error: RedisError, live: &Live) -> Trouble {
        let trouble = Trouble::of(error, &live.server);
        if !trouble.ends_connection() {
            return trouble;
        }
        let why = self.lose(live.id, trouble.clone().explained());
        match trouble {
            Trouble::Lost(_) => Trouble::Lost(why),
            refused => refused,
        }
    }

    /// Where it is, as far as known.
    pub fn server(&self) -> Address {
        match (&*self.state.borrow(), &self.finder) {
            (State::Up(live), _) => live.server.clone(),
            (_, Finder::At(server)) => server.clone(),
            (_, Finder::By(sentinels)) => sentinels.first(),
        }
    }

    async fn connection(self: &Arc<Self>) -> Result<Arc<Live>, Error> {
        if let State::Up(live) = &*self.state.borrow() {
            return Ok(Arc::clone(live));
        }
        let mut watcher = self.state.subscribe();
        if self.may_attempt() {
            tokio::spawn(Arc::clone(self).attempt());
        } else if let State::Connecting { after: Some(why) } = &*self.state.borrow() {
            return Err(why.clone());
        }
        let settled = watcher.wait_for(|state| !matches!(state, State::Connecting { .. }));
        // The attempt ends in time by itself; the limit here is for what nobody thought of.
        if timeout(self.dial.timeout * 2, settled).await.is_err() {
            return Err(unavailable(&self.server(), "there is no connection yet"));
        }
        match &*self.state.borrow() {
            State::Up(live) => Ok(Arc::clone(live)),
            State::Down { why: Some(why), .. } | State::Connecting { after: Some(why) } => {
                Err(why.clone())
            }
            _ => Err(unavailable(&self.server(), "there is no connection yet")),
        }
    }

    /// Whether an attempt is due and nobody is at it; then it is the caller's to make.
    fn may_attempt(&self) -> bool {
        self.state.send_if_modified(|state| match state {
            State::Down { why, is_out, until } if *until <= Instant::now() => {
                let after = why.take().filter(|_| *is_out);
                *state = State::Connecting { after };
                true
            }
            _ => false,
        })
    }

    async fn attempt(self: Arc<Self>) {
        let node = Arc::clone(&self);
        // A task of its own: should it panic, that is an attempt that failed, and no end of attempts.
        let made = tokio::spawn(async move { node.connect().await }).await;
        let made = made.unwrap_or_else(|error| Err(unavailable(&self.server(), error)));
        self.state.send_replace(match made {
            Ok(live) => State::Up(Arc::new(live)),
            Err(why) => State::Down {
                why: Some(why),
                is_out: true,
                until: Instant::now() + PAUSE,
            },
        });
    }

    async fn connect(self: &Arc<Self>) -> Result<Live, Error> {
        let server = match &self.finder {
            Finder::At(server) => server.clone(),
            Finder::By(sentinels) => sentinels.master(&self.dial).await?,
        };
        let mut dialled = self.dial.connect(&server).await?;
        match dialled.ask(&self.proof.command(), &server).await {
            Err(trouble) if !trouble.is_of_writes_only() => return Err(trouble.explained()),
            _ => {}
        }
        tracing::info!(server = %server, "connected to Redis");
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let connection = dialled.connection.clone();
        let task = tokio::spawn(keep(Arc::downgrade(self), id, server.clone(), dialled));
        Ok(Live {
            id,
            server,
            since: Instant::now(),
            connection,
            driver: task.abort_handle(),
        })
    }

    /// Gives a connection up, unless that was done already. Says why it was.
    fn lose(&self, id: u64, why: Error) -> Error {
        let is_lost = self.state.send_if_modified(|state| match state {
            State::Up(live) if live.id == id => {
                *state = State::Down {
                    // One that held for long may be made again at once.
                    until: live.since + PAUSE,
                    is_out: false,
                    why: Some(why.clone()),
                };
                true
            }
            _ => false,
        });
        if is_lost {
            tracing::warn!("{why}");
            return why;
        }
        match &*self.state.borrow() {
            State::Down { why: Some(why), .. } => why.clone(),
            _ => why,
        }
    }
}

impl Proof {
    fn command(self) -> Cmd {
        match self {
            Self::Answers => redis::cmd("PING"),
            // What would not be run where it could not write (see `step.rs`).
            Self::Writes => redis::cmd("EVAL").arg("#!lua\nreturn 1").arg(0).to_owned(),
        }
    }
}

/// Drives a connection until it ends by itself or fails to prove itself.
async fn keep(node: Weak<Node>, id: u64, server: Address, dialled: Dialled) {
    let why = tokio::select! {
        () = dialled.driver => unavailable(&server, "it closed the connection"),
        why = watch_over(&node, &server, dialled.connection) => why,
    };
    if let Some(node) = node.upgrade() {
        node.lose(id, why);
    }
}

/// Returns why a connection can no longer be used.
async fn watch_over(
    node: &Weak<Node>,
    server: &Address,
    mut connection: MultiplexedConnection,
) -> Error {
    let mut beats: u32 = 0;
    loop {
        sleep(HEARTBEAT).await;
        let Some(node) = node.upgrade() else {
            return unavailable(server, "nobody needs it any more");
        };
        beats = beats.wrapping_add(1);
        let answer: Result<Value, _> = node.proof.command().query_async(&mut connection).await;
        if let Err(error) = answer {
            let trouble = Trouble::of(error, server);
            if trouble.ends_connection() {
                return trouble.explained();
            }
        }
        if let Finder::By(sentinels) = &node.finder
            && beats.is_multiple_of(BEATS_PER_LOOK)
            && let Ok(master) = sentinels.master(&node.dial).await
            && master != *server
        {
            return unavailable(server, format!("the sentinels name {master} as master now"));
        }
    }
}
