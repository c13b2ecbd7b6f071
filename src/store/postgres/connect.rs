//! Connecting: with the login of the moment, to the first server that takes it, with as much TLS as
//! `sslmode` asks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode as Asked;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::credentials::{Credentials, Login};
use super::explain::{NotConnected, Reason};
use super::parameter::Parameter;
use super::tls::{self, Handshake};
use super::url::{self, Host, PostgresUrl, SslMode};
use crate::config;

const PORT: u16 = 5432;
/// For the server to hear that a statement is called off; it says nothing to that.
const CALL_OFF: Duration = Duration::from_secs(5);

/// Makes connections.
pub(super) struct Connector {
    url: PostgresUrl,
    tls: MakeRustlsConnect,
    credentials: Arc<dyn Credentials>,
    settings: config::Database,
    /// Whether a server that only follows another will do.
    follower_will_do: bool,
}

/// A connection, and the task that carries its bytes. Dropped, it says goodbye once what was asked
/// on it is answered.
pub(super) struct Connection {
    client: Client,
    task: JoinHandle<()>,
    tls: MakeRustlsConnect,
    statements: HashMap<&'static str, Statement>,
    /// Whether nobody on the way can read it.
    pub(super) is_encrypted: bool,
}

impl Connector {
    pub(super) fn new(
        url: PostgresUrl,
        settings: &config::Database,
        credentials: Arc<dyn Credentials>,
        follower_will_do: bool,
    ) -> Result<Self, String> {
        Ok(Self {
            tls: tls::of(&url)?,
            url,
            credentials,
            settings: settings.clone(),
            follower_will_do,
        })
    }

    /// Where it connects to, without the password.
    pub(super) fn place(&self) -> String {
        self.url.to_string()
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Connection, NotConnected> {
        let login = self.login(false).await?;
        let refused = match self.sign_in(&login).await {
            Err(refused) if refused.is(&SqlState::INVALID_PASSWORD) => refused,
            outcome => return outcome,
        };
        // The password may have been changed a moment ago.
        let renewed = self.login(true).await?;
        if renewed.says_the_same_as(&login) {
            return Err(refused);
        }
        self.sign_in(&renewed).await
    }

    async fn login(&self, again: bool) -> Result<Login, NotConnected> {
        let login = self.credentials.login(again).await;
        login.map_err(|why| NotConnected::before_any_server(Reason::Login(why)))
    }

    /// Tries one server, and one address of it, after the other.
    async fn sign_in(&self, login: &Login) -> Result<Connection, NotConnected> {
        let mut endpoints = Vec::new();
        let mut failed = None;
        for server in &self.url.servers {
            match self.endpoints(server, login).await {
                Ok(more) => endpoints.extend(more),
                Err(why) => failed = Some(why),
            }
        }
        // A dead address leaves time for the next.
        let addresses = u32::try_from(endpoints.len()).unwrap_or(u32::MAX).max(1);
        let share = self.settings.connect_timeout / addresses;
        for mut endpoint in endpoints {
            endpoint.patience = share;
            let negotiated = tokio::time::timeout(share, self.negotiate(&endpoint, login)).await;
            match negotiated {
                Ok(Ok(connection)) => return Ok(connection),
                // The others would say the same, and some count wrong passwords.
                Ok(Err(why)) if why.is(&SqlState::INVALID_PASSWORD) => return Err(why),
                Ok(Err(why)) => failed = Some(why),
                Err(_) => failed = Some(endpoint.failed(Reason::Silent, false)),
            }
        }
        Err(failed.unwrap_or_else(|| NotConnected::before_any_server(Reason::NoHost)))
    }

    async fn endpoints(
        &self,
        server: &url::Server,
        login: &Login,
    ) -> Result<Vec<Endpoint>, NotConnected> {
        let port = server.port.or(login.port).unwrap_or(PORT);
        let host = match (&server.host, &login.host) {
            (Some(host), _) => host.clone(),
            (None, Some(host)) => url::host(host)
                .map_err(|why| NotConnected::before_any_server(Reason::Login(why)))?,
            (None, None) => return Err(NotConnected::before_any_server(Reason::NoHost)),
        };
        let endpoint = |address| Endpoint {
            host: host.clone(),
            address,
            port,
            patience: self.settings.connect_timeout,
        };
        let Host::Tcp(name) = &host else {
            return Ok(vec![endpoint(None)]);
        };
        let found = tokio::net::lookup_host((name.as_str(), port)).await;
        let found = found.map_err(|error| endpoint(None).failed(Reason::NotFound(error), false))?;
        Ok(found.map(|address| endpoint(Some(address.ip()))).collect())
    }

    /// One address, in the ways that `sslmode` allows, the better liked first.
    async fn negotiate(
        &self,
        endpoint: &Endpoint,
        login: &Login,
    ) -> Result<Connection, NotConnected> {
        let (first, second) = match (self.url.sslmode, &endpoint.host) {
            // There is no TLS on a socket of this machine, whatever the mode (libpq does the same).
            (_, Host::Socket(_)) | (SslMode::Disable, _) => (Asked::Disable, None),
            (SslMode::Allow, _) => (Asked::Disable, Some(Asked::Require)),
            (SslMode::Prefer, _) => (Asked::Prefer, Some(Asked::Disable)),
            (SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull, _) => {
                (Asked::Require, None)
            }
        };
        let why = match self.attempt(endpoint, login, first).await {
            Ok(connection) => return Ok(connection),
            Err(why) => why,
        };
        // Where the server offered no TLS, `prefer` went without already.
        let is_other = why.is_encrypted() || first == Asked::Disable;
        let Some(second) = second.filter(|_| is_other && why.is_about_encryption()) else {
            return Err(why);
        };
        match self.attempt(endpoint, login, second).await {
            Ok(connection) => {
                if !connection.is_encrypted {
                    tracing::warn!(%why, "the database is used without encryption, as sslmode=prefer allows");
                }
                Ok(connection)
            }
            Err(then) => Err(then.after(why)),
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        login: &Login,
        asked: Asked,
    ) -> Result<Connection, NotConnected> {
        let config = self.driver_settings(endpoint, login, asked)?;
        let (handshake, began) = Handshake::new(&self.tls);
        let connected = config.connect(handshake).await;
        let is_encrypted = began.load(Ordering::Relaxed);
        let (client, connection) =
            connected.map_err(|error| endpoint.failed(Reason::Driver(error), is_encrypted))?;
        // Told by itself since PostgreSQL 14; before that a write finds it out.
        if connection.parameter("in_hot_standby") == Some("on") && !self.follower_will_do {
            return Err(endpoint.failed(Reason::Follower, is_encrypted));
        }
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database ended");
            }
        });
        Ok(Connection {
            client,
            task,
            tls: self.tls.clone(),
            statements: HashMap::new(),
            is_encrypted,
        })
    }

    fn driver_settings(
        &self,
        endpoint: &Endpoint,
        login: &Login,
        asked: Asked,
    ) -> Result<tokio_postgres::Config, NotConnected> {
        let (url, settings) = (&self.url, &self.settings);
        let user = login.username.as_ref().or(url.user.as_ref());
        let user = user.ok_or_else(|| NotConnected::before_any_server(Reason::NoUser))?;
        let password: Option<&SecretString> = login.password.as_ref().or(url.password.as_ref());
        let dbname = url
            .dbname
            .as_ref()
            .or(login.dbname.as_ref())
            .unwrap_or(user);

        let mut config = tokio_postgres::Config::new();
        config
            .user(user)
            .dbname(dbname)
            .port(endpoint.port)
            .ssl_mode(asked);
        config.application_name(&url.application_name);
        config.channel_binding(url.channel_binding);
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        match (&endpoint.host, endpoint.address) {
            (Host::Socket(folder), _) => config.host_path(folder),
            (Host::Tcp(name), None) => config.host(name),
            (Host::Tcp(name), Some(address)) => config.host(name).hostaddr(address),
        };
        config
            // For TCP alone, so that a silent network is told from a silent server.
            .connect_timeout(endpoint.patience * 3 / 4)
            .tcp_user_timeout(settings.tcp_user_timeout)
            .keepalives_idle(settings.keepalive)
            .keepalives_interval(settings.keepalive / 3)
            .keepalives_retries(3);
        if settings.prepared_statements {
            config.options(at_the_server(settings.query_timeout));
        }
        Ok(config)
    }
}

/// What the server is told of our patience; a pooler would not pass it on, and some refuse it.
///
/// The server gives a statement up a little before we do: then one that is alive says so, and only
/// from one that says nothing do we take all connections away.
fn at_the_server(query_timeout: Duration) -> String {
    let statement = query_timeout - query_timeout / 8;
    format!(
        "-c statement_timeout={} -c idle_in_transaction_session_timeout={}",
        statement.as_millis(),
        (query_timeout * 4).as_millis()
    )
}

impl Manager for Connector {
    type Type = Connection;
    type Error = NotConnected;

    async fn create(&self) -> Result<Connection, NotConnected> {
        self.connect().await
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        metrics: &Metrics,
    ) -> RecycleResult<NotConnected> {
        if connection.client.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        if metrics.age() > self.settings.connection_lifetime {
            return Err(RecycleError::message("old"));
        }
        Ok(())
    }
}

/// One address to try.
struct Endpoint {
    host: Host,
    /// `None`: a socket, or a name that led nowhere.
    address: Option<IpAddr>,
    port: u16,
    /// For how long, from TCP to signed in.
    patience: Duration,
}

impl Endpoint {
    fn failed(&self, reason: Reason, is_encrypted: bool) -> NotConnected {
        let port = self.port;
        let server = match (&self.host, self.address) {
            (Host::Socket(folder), _) => format!("{}:{port}", folder.display()),
            (Host::Tcp(name), Some(ip)) if ip.to_string() != *name => {
                format!("{name}:{port} ({ip})")
            }
            (Host::Tcp(name), _) => format!("{name}:{port}"),
        };
        NotConnected::new(server, reason, is_encrypted)
    }
}

impl Connection {
    /// Runs a statement. Named, it is prepared at its first use on this connection.
    pub(super) async fn ask(
        &mut self,
        statement: &'static str,
        parameters: &[&dyn Parameter],
        named: bool,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        if !named {
            let typed: Vec<_> = parameters
                .iter()
                .map(|it| (it.value(), it.kind()))
                .collect();
            return self.client.query_typed(statement, &typed).await;
        }
        if !self.statements.contains_key(statement) {
            let kinds: Vec<_> = parameters.iter().map(|it| it.kind()).collect();
            let prepared = self.client.prepare_typed(statement, &kinds).await?;
            self.statements.insert(statement, prepared);
        }
        let values: Vec<_> = parameters.iter().map(|it| it.value()).collect();
        self.client
            .query(&self.statements[statement], &values)
            .await
    }

    /// Whether what was asked before, by someone who went away, has come to its end.
    pub(super) async fn settle(&self) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute("").await
    }

    /// Ends it without a word: there may be nobody to hear it.
    pub(super) fn cut(self) {
        self.task.abort();
    }

    /// Ends it while the server still works on what was asked, and has that called off: a statement
    /// that waits would hold its locks, and one of the server's connections, for as long as it does.
    pub(super) fn call_off(self) {
        let (handshake, _) = Handshake::new(&self.tls);
        let token = self.client.cancel_token();
        tokio::spawn(tokio::time::timeout(CALL_OFF, async move {
            token.cancel_query(handshake).await
        }));
        self.cut();
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
