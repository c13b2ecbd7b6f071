//! The settings: environment over file over defaults, read once at the start into typed groups.
//!
//! `config.default.toml` is the reference for operators; a test holds the two together.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

mod file;
mod parse;
mod problem;
mod read;
mod reader;
mod secret_key;
#[cfg(test)]
mod tests;
mod url;

pub use problem::{Problem, Refused, Source};
pub use reader::Setting;
pub use secret_key::SecretKey;
pub use url::{DatabaseUrl, Origin, RedisUrl};

use reader::Reader;

/// Everything that can be set, checked.
#[derive(Debug)]
pub struct Config {
    /// How much must be named instead of assumed.
    pub environment: Environment,
    /// Listening, proxies, browsers, shutdown.
    pub http: Http,
    /// Where things are kept.
    pub stores: Stores,
    /// Newest first: the first makes, all verify. Empty only in development with the embedded store,
    /// where the caller generates a key and keeps it.
    pub secret_keys: Vec<SecretKey>,
    /// How mail leaves.
    pub mail: Mail,
    /// Life and death of a mailed code.
    pub codes: Codes,
    /// Life of a session.
    pub sessions: Sessions,
    /// Who may ask and guess how often.
    pub limits: Limits,
    /// The pool that hashes passwords.
    pub passwords: Passwords,
    /// What is logged, and how.
    pub logs: Logs,
    settings: Vec<Setting>,
}

/// The three kinds of place this runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// A laptop or a test: everything has a default.
    Development,
    /// A rehearsal: stores, keys, mail and address must be named.
    Staging,
    /// The real thing: as staging, with HTTPS and real mail.
    Production,
}

/// Listening, proxies, browsers, shutdown.
#[derive(Debug)]
pub struct Http {
    /// Address or name to listen on.
    pub host: String,
    /// TCP port to listen on.
    pub port: u16,
    /// What people reach this service under.
    pub public_url: Origin,
    /// Load balancers whose word about the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Other origins whose pages may call.
    pub cors_origins: Vec<Origin>,
    /// Connections held open at once.
    pub max_connections: usize,
    /// From the first byte of a request to the end of its headers.
    pub header_timeout: Duration,
    /// For a request's body to arrive.
    pub body_timeout: Duration,
    /// Between two requests on a connection.
    pub idle_timeout: Duration,
    /// Between "not ready" and refusing connections at shutdown.
    pub drain_delay: Duration,
    /// For requests under way at shutdown.
    pub drain_timeout: Duration,
    /// Whether the API page and description are served.
    pub docs_enabled: bool,
}

/// Where things are kept.
#[derive(Debug)]
pub struct Stores {
    /// Users.
    pub database_url: DatabaseUrl,
    /// How to work with PostgreSQL, if that is named.
    pub database: Database,
    /// Challenges, limits, outbox and sessions.
    pub redis_url: RedisUrl,
    /// How to work with Redis, if that is named.
    pub redis: Redis,
    /// How many days a withdrawn account is kept.
    pub retention_days: u32,
    /// How many days a row of the audit trail is kept.
    pub audit_retention_days: u32,
}

/// Beside its URL, what a PostgreSQL server needs said.
#[derive(Debug, Clone)]
pub struct Database {
    /// The secret in AWS Secrets Manager that holds user and password.
    pub secret_arn: Option<String>,
    /// A replica for reads that decide nothing.
    pub replica_url: Option<SecretString>,
    /// Connections of this process.
    pub pool_size: usize,
    /// Copies of the service that share the server, at most.
    pub instances: u32,
    /// To connect, TLS and sign-in included; and for a connection to become free.
    pub connect_timeout: Duration,
    /// For one statement.
    pub query_timeout: Duration,
    /// After which a connection is replaced.
    pub connection_lifetime: Duration,
    /// Of silence, before TCP asks whether anyone is there.
    pub keepalive: Duration,
    /// That sent bytes may stay unacknowledged.
    pub tcp_user_timeout: Duration,
    /// Whether statements are prepared by name; poolers cannot have that.
    pub prepared_statements: bool,
    /// Whether a start migrates, or waits until someone did.
    pub migrate_at_start: bool,
}

/// Beside its URL, what a Redis server needs said.
#[derive(Debug, Clone)]
pub struct Redis {
    /// Wins over the URL's.
    pub username: Option<String>,
    /// Wins over the URL's.
    pub password: Option<SecretString>,
    /// Certificate authorities to trust beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// What every key begins with.
    pub key_prefix: String,
    /// To connect, and for an answer.
    pub timeout: Duration,
}

/// How mail leaves.
#[derive(Debug)]
pub struct Mail {
    /// The way it takes.
    pub transport: MailTransport,
    /// The mail server with its password; always there for [`MailTransport::Smtp`].
    pub smtp_url: Option<SecretString>,
    /// Certificate authorities to trust beside the public ones.
    pub smtp_ca_file: Option<PathBuf>,
    /// Where SES is called; always there for [`MailTransport::Ses`].
    pub ses_region: Option<String>,
    /// What SES is to do with a mail beside sending it.
    pub ses_configuration_set: Option<String>,
    /// Where SES reports bounces and complaints.
    pub ses_topic_arn: Option<String>,
    /// The sender, `address` or `Name <address>`.
    pub from: String,
}

/// The ways that mail can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTransport {
    /// Into the log, code included.
    Simulation,
    /// To a mail server.
    Smtp,
    /// To Amazon SES, by its API.
    Ses,
}

/// Life and death of a mailed code.
#[derive(Debug, Clone)]
pub struct Codes {
    /// How long a code is valid.
    pub ttl: Duration,
}

/// Life of a session.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// After its last use.
    pub ttl: Duration,
    /// After its sign-in, however much it is used.
    pub lifetime: Duration,
    /// How many an account may have at once.
    pub max: u32,
}

/// Who may ask and guess how often.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Whether they are kept at all; always in staging and production.
    pub enabled: bool,
    /// Wrong guesses that end a code.
    pub guesses_per_code: u8,
    /// Wrong guesses for an address in any 24 hours.
    pub guesses_per_day: u32,
    /// Wrong passwords for an address in any 24 hours.
    pub password_tries_per_day: u32,
    /// Between two mails for the same purpose to an address.
    pub resend_after: Duration,
    /// Mails for the same purpose to an address in any hour.
    pub sends_per_hour: u32,
    /// Mails to a mailbox in any hour.
    pub mailbox_sends_per_hour: u32,
    /// Mails to a mailbox in any 24 hours.
    pub mailbox_sends_per_day: u32,
    /// Code requests of a client in a window.
    pub client_code_requests: u32,
    /// Guesses of a client in a window.
    pub client_guesses: u32,
    /// The window of the client's and the service's limits.
    pub client_window: Duration,
    /// Code requests to the whole service in a window.
    pub service_code_requests: u32,
    /// Guesses to the whole service in a window.
    pub service_guesses: u32,
}

/// The pool that hashes passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    /// Threads as set; 0 leaves it to [`Passwords::threads`].
    pub hash_threads: usize,
    /// Requests that may wait for a hash.
    pub queue: usize,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Logs {
    /// One line for people, or one JSON object.
    pub format: LogFormat,
    /// A level, or levels per module, as `tracing_subscriber::EnvFilter` reads them.
    pub level: String,
}

/// The two shapes of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `2026-11-22T09:41:29.123Z INFO: message key=value`
    Text,
    /// One JSON object.
    Json,
}

impl Config {
    /// Reads the process's environment and the file named by `--config` or `AIDLC_AUTH_CONFIG`.
    pub fn from_process(file: Option<&Path>) -> Result<Self, Vec<Problem>> {
        let (config, problems) = Self::with_problems(file);
        sound(config, problems)
    }

    /// The same for whoever works with wrong settings too: where there is a problem with a key, a
    /// placeholder stands.
    pub fn with_problems(file: Option<&Path>) -> (Self, Vec<Problem>) {
        let mut env = Vec::new();
        let mut problems = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            let key = name.to_ascii_lowercase();
            match value.into_string() {
                Ok(value) => env.push((name, value)),
                Err(_) if name == "AIDLC_AUTH_CONFIG" || file::known_keys().contains(&&*key) => {
                    let wrong = "is not UTF-8".to_owned();
                    let remedy = "Set it again, in UTF-8".to_owned();
                    problems.push(Problem {
                        key,
                        source: Source::Environment,
                        wrong,
                        remedy,
                    });
                }
                Err(_) => {}
            }
        }
        let named = env
            .iter()
            .find(|(name, value)| name == "AIDLC_AUTH_CONFIG" && !value.is_empty());
        let path = file
            .or(named.map(|(_, path)| Path::new(path)))
            .map(Path::to_owned);
        let text = path.as_deref().and_then(|path| {
            let unreadable = |error: std::io::Error| Problem {
                key: "config".to_owned(),
                source: Source::File {
                    path: path.to_owned(),
                    line: 1,
                },
                wrong: format!("cannot be read: {error}"),
                remedy: "Name a readable file with --config or AIDLC_AUTH_CONFIG".to_owned(),
            };
            std::fs::read_to_string(path)
                .map_err(|error| problems.push(unreadable(error)))
                .ok()
        });
        let (config, more) = Self::read(env.into_iter(), path.as_deref().zip(text.as_deref()));
        problems.extend(more);
        (config, problems)
    }

    /// Lays environment over file (its path and text) over defaults, and reports all problems at once.
    pub fn load(
        env: impl Iterator<Item = (String, String)>,
        file: Option<(&Path, &str)>,
    ) -> Result<Self, Vec<Problem>> {
        let (config, problems) = Self::read(env, file);
        sound(config, problems)
    }

    fn read(
        env: impl Iterator<Item = (String, String)>,
        file: Option<(&Path, &str)>,
    ) -> (Self, Vec<Problem>) {
        let mut reader = Reader::new(env, file);
        let environment = reader.choice(
            "environment",
            &[
                ("development", Environment::Development),
                ("staging", Environment::Staging),
                ("production", Environment::Production),
            ],
        );
        let stores = Stores::read(&mut reader, environment);
        let mut config = Self {
            environment,
            http: Http::read(&mut reader, environment),
            secret_keys: read::secret_keys(&mut reader, environment, &stores),
            stores,
            mail: Mail::read(&mut reader, environment),
            codes: Codes {
                ttl: reader.seconds("code_ttl_seconds", 1..=3600),
            },
            sessions: Sessions::read(&mut reader),
            limits: Limits::read(&mut reader, environment),
            passwords: Passwords {
                hash_threads: reader.number("password_hash_threads", 0..=1024),
                queue: reader.number("password_queue", 1..=100_000),
            },
            logs: Logs::read(&mut reader),
            settings: Vec::new(),
        };
        let (settings, problems) = reader.finish();
        config.settings = settings;
        (config, problems)
    }

    /// Every setting as it took effect, secrets hidden, in the order of `config.default.toml`.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Whether cookies go without `Secure` and `__Host-`: a browser on `http://localhost` in development.
    pub fn plain_cookies(&self) -> bool {
        self.environment == Environment::Development && self.http.public_url.is_plain_localhost()
    }
}

fn sound(config: Config, problems: Vec<Problem>) -> Result<Config, Vec<Problem>> {
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(problems)
    }
}

impl Passwords {
    /// Threads to hash on: as set, else half the cores, at least one.
    pub fn threads(&self) -> usize {
        match self.hash_threads {
            0 => std::thread::available_parallelism()
                .map_or(1, |n: NonZero<usize>| (n.get() / 2).max(1)),
            set => set,
        }
    }
}
