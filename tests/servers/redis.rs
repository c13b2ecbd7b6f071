//! Redis servers, or Valkey's.

use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, cmd};

use super::certificates::Certificate;
use super::port::Port;
use super::process::Program;
use super::server::{self, Server};

/// A line of `redis.conf`.
pub type Setting<'a> = (&'a str, &'a str);

/// Writes reach the disk before they are answered.
pub const DURABLE: [Setting<'static>; 2] = [("appendonly", "yes"), ("appendfsync", "always")];

/// What every server is told. The tests' own way in is a socket and a user of its own, whatever
/// else a test asks for.
const USUAL: [Setting<'static>; 8] = [
    ("bind", "127.0.0.1"),
    ("protected-mode", "no"),
    ("save", "\"\""),
    ("repl-diskless-sync-delay", "0"),
    ("enable-debug-command", "yes"),
    ("enable-protected-configs", "yes"),
    ("unixsocket", "socket"),
    ("user", "admin on nopass ~* &* +@all"),
];

/// A Redis server.
pub struct Redis {
    server: Server,
    port: Port,
}

impl Deref for Redis {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Redis {
    /// Without TLS and passwords, in memory only.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With these lines of `redis.conf`, such as `("user", "app on >secret ~* &* +@all")`.
    pub fn with(settings: &[Setting<'_>]) -> Self {
        let port = Port::free();
        let number = port.number.to_string();
        Self::run(port, &[&[("port", &number)], settings])
    }

    /// The same, with TLS and nothing else. Clients need no certificate.
    pub fn with_tls(certificate: &Certificate, settings: &[Setting<'_>]) -> Self {
        let port = Port::free();
        let number = port.number.to_string();
        let tls = [
            ("port", "0"),
            ("tls-port", &*number),
            ("tls-cert-file", "server.crt"),
            ("tls-key-file", "server.key"),
            ("tls-auth-clients", "no"),
        ];
        let folder = server::folder("redis");
        fs::write(folder.join("server.crt"), &certificate.chain).unwrap();
        fs::write(folder.join("server.key"), &certificate.key).unwrap();
        Self::run_in(folder, port, &[&tls, settings])
    }

    /// A replica of another, which may lag behind.
    pub fn replica_of(master: &Self, settings: &[Setting<'_>]) -> Self {
        let master = format!("127.0.0.1 {}", master.port());
        Self::with(&[&[("replicaof", &*master)], settings].concat())
    }

    pub(super) fn run(port: Port, settings: &[&[Setting<'_>]]) -> Self {
        Self::run_in(server::folder("redis"), port, settings)
    }

    fn run_in(folder: PathBuf, port: Port, settings: &[&[Setting<'_>]]) -> Self {
        write_settings(&folder, &[&[&USUAL[..]], settings].concat());
        let program = Program {
            path: program(),
            arguments: vec!["redis.conf".into()],
            user: None,
            ready: "Ready to accept connections",
        };
        Self {
            server: Server::start(program, folder),
            port,
        }
    }

    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// Where it is, without TLS and password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port())
    }

    pub(super) fn admin_url(&self) -> String {
        let socket = self.folder().join("socket");
        format!("redis+unix://{}?user=admin&pass=any", socket.display())
    }

    /// A connection that may do everything, past TLS, passwords and proxies.
    pub async fn admin(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.admin_url()).unwrap();
        client
            .get_multiplexed_async_connection_with_config(&patient())
            .await
            .unwrap()
    }

    /// Gives a command, `CONFIG SET maxmemory 1` for one, and answers what it answers.
    pub async fn command<T: FromRedisValue>(&self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut command = cmd(words.next().unwrap());
        command.arg(words.collect::<Vec<_>>());
        command.query_async(&mut self.admin().await).await.unwrap()
    }
}

/// A machine that is busy with other tests takes longer than the crate waits by itself.
pub fn patient() -> AsyncConnectionConfig {
    let patience = Some(Duration::from_secs(30));
    AsyncConnectionConfig::new()
        .set_connection_timeout(patience)
        .set_response_timeout(patience)
}

/// Writes `redis.conf`.
pub(super) fn write_settings(folder: &std::path::Path, settings: &[&[Setting<'_>]]) {
    let lines = settings.iter().copied().flatten();
    let lines: String = lines
        .map(|(name, value)| format!("{name} {value}\n"))
        .collect();
    fs::write(folder.join("redis.conf"), lines).unwrap();
}

/// `TEST_REDIS_PROGRAM`, or `redis-server`, or `valkey-server`, whichever is there first.
pub(super) fn program() -> PathBuf {
    if let Some(named) = std::env::var_os("TEST_REDIS_PROGRAM") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["redis-server", "valkey-server"];
    let mut all = names
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)));
    let found = all.find(|path| path.is_file());
    found.expect("redis-server is missing: apt-get install redis-server")
}
