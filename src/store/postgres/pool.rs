//! Connections for many: each question gets one, within its time, and gives it back clean or not at all.

use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Object, PoolConfig, PoolError, QueueMode, TimeoutType, Timeouts};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;

use super::connect::{Connection, Connector};
use super::explain::{NotAnswered, NotConnected, Reason};
use super::parameter::Parameter;
use crate::config;
use crate::store::Error;

/// The connections to one server.
pub(super) struct Pool {
    connections: managed::Pool<Connector>,
    connect_timeout: Duration,
    query_timeout: Duration,
    /// Whether statements are prepared under a name, once per connection.
    named: bool,
}

impl Pool {
    /// A pool that connects when it is asked.
    pub(super) fn new(connector: Connector, settings: &config::Database) -> Result<Self, String> {
        let timeouts = Timeouts {
            wait: Some(settings.connect_timeout),
            create: Some(settings.connect_timeout),
            recycle: None,
        };
        let connections = managed::Pool::builder(connector)
            .runtime(Runtime::Tokio1)
            .config(PoolConfig {
                max_size: settings.pool_size,
                timeouts,
                queue_mode: QueueMode::Fifo,
            })
            .build()
            .map_err(|error| format!("there can be no pool: {error}"))?;
        Ok(Self {
            connections,
            connect_timeout: settings.connect_timeout,
            query_timeout: settings.query_timeout,
            named: settings.prepared_statements,
        })
    }

    /// Runs a statement, once: nothing is known of it if it fails.
    pub(super) async fn query(
        &self,
        statement: &'static str,
        parameters: &[&dyn Parameter],
    ) -> Result<Vec<Row>, Error> {
        Ok(self.run(statement, parameters, self.deadline()).await?)
    }

    /// Runs a statement that changes nothing, and once more if its connection had ended or was no good.
    pub(super) async fn read(
        &self,
        statement: &'static str,
        parameters: &[&dyn Parameter],
    ) -> Result<Vec<Row>, Error> {
        let deadline = self.deadline();
        match self.run(statement, parameters, deadline).await {
            Err(why) if why.is_of_the_connection() => {
                Ok(self.run(statement, parameters, deadline).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// A connection beside the pool: for migrations, which take longer than a request may wait.
    pub(super) async fn alone(&self) -> Result<Connection, Error> {
        Ok(self.connect().await.map_err(NotAnswered::NotConnected)?)
    }

    /// The same, with what stands in the way as it was found.
    pub(super) async fn connect(&self) -> Result<Connection, NotConnected> {
        let connector = self.connections.manager();
        let connected = tokio::time::timeout(self.connect_timeout, connector.connect()).await;
        connected.unwrap_or_else(|_| Err(NotConnected::before_any_server(Reason::Silent)))
    }

    /// Where it connects to, without the password.
    pub(super) fn place(&self) -> String {
        self.connections.manager().place()
    }

    /// Notes that the server took no write, so that the next question asks whoever is the primary then.
    pub(super) fn takes_no_writes(&self) -> Error {
        self.cut_idle();
        NotAnswered::ReadOnly.into()
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.connect_timeout + self.query_timeout
    }

    async fn run(
        &self,
        statement: &'static str,
        parameters: &[&dyn Parameter],
        deadline: Instant,
    ) -> Result<Vec<Row>, NotAnswered> {
        let taken = timeout_at(deadline, self.connections.get()).await;
        let mut lease = match taken.unwrap_or(Err(PoolError::Timeout(TimeoutType::Create))) {
            Ok(connection) => Lease::new(connection, self.query_timeout),
            Err(why) => return Err(not_taken(why)),
        };
        let deadline = deadline.min(Instant::now() + self.query_timeout);
        let asked = timeout_at(
            deadline,
            lease.connection().ask(statement, parameters, self.named),
        );
        let why = match asked.await {
            Ok(Ok(rows)) => {
                lease.give_back();
                return Ok(rows);
            }
            Ok(Err(error)) => NotAnswered::Driver(error),
            Err(_) => NotAnswered::Late,
        };
        if why.leaves_the_connection() {
            lease.give_back();
        } else {
            // What befell this connection befell the others or will: a server that died or fell
            // silent, or that no longer takes writes.
            lease.end(matches!(why, NotAnswered::Late));
            self.cut_idle();
        }
        Err(why)
    }

    fn cut_idle(&self) {
        for connection in self.connections.retain(|_, _| false).removed {
            connection.cut();
        }
    }
}

fn not_taken(why: PoolError<NotConnected>) -> NotAnswered {
    match why {
        PoolError::Backend(why) => NotAnswered::NotConnected(why),
        PoolError::Timeout(TimeoutType::Wait) => NotAnswered::AllTaken,
        PoolError::Timeout(_) | PoolError::Closed | PoolError::NoRuntimeSpecified => {
            NotAnswered::NotConnected(NotConnected::before_any_server(Reason::Silent))
        }
        PoolError::PostCreateHook(_) => NotAnswered::AllTaken,
    }
}

/// A connection while it is asked. Whoever asked may go away before the answer; then the connection
/// goes back when its statement has come to its end, and nobody else waits behind it.
struct Lease {
    connection: Option<Object<Connector>>,
    patience: Duration,
}

impl Lease {
    fn new(connection: Object<Connector>, patience: Duration) -> Self {
        Self {
            connection: Some(connection),
            patience,
        }
    }

    fn connection(&mut self) -> &mut Connection {
        self.connection
            .as_mut()
            .expect("it is there until the lease ends")
    }

    fn give_back(mut self) {
        drop(self.connection.take());
    }

    /// Takes the connection out of the pool for good.
    fn end(mut self, is_working: bool) {
        match self.connection.take().map(Object::take) {
            Some(connection) if is_working => connection.call_off(),
            Some(connection) => connection.cut(),
            None => {}
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let patience = self.patience;
        let settle = async move {
            let settled = tokio::time::timeout(patience, connection.settle()).await;
            if !matches!(settled, Ok(Ok(()))) {
                Object::take(connection).call_off();
            }
        };
        // Without a runtime the process is about to end, and the connection with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(settle);
        }
    }
}
