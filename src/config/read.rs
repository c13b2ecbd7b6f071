//! Reads each group of settings: what each environment assumes, demands and refuses.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::Refused;
use super::reader::Reader;
use super::secret_key::SecretKey;
use super::url::{self, DatabaseUrl, Origin, RedisUrl};
use super::{
    Database, Environment, Http, Limits, LogFormat, Logs, Mail, MailTransport, Redis, Sessions,
    Stores, parse,
};

impl Http {
    pub(super) fn read(reader: &mut Reader, environment: Environment) -> Self {
        let development = environment == Environment::Development;
        let port = reader.number("port", 0..=65535);
        reader.assume("drain_delay_seconds", if development { "0" } else { "5" });
        // A port that the system is to pick is not known yet.
        let local = match port {
            0 => "http://localhost".to_owned(),
            port => format!("http://localhost:{port}"),
        };
        assume_or_ask(
            reader,
            environment,
            "public_url",
            &local,
            "https://auth.example.com",
        );
        let public_url = reader.read("public_url", |text| {
            let origin = Origin::parse(text)?;
            if environment == Environment::Production && !origin.is_https() {
                let remedy =
                    "Put TLS in front (a load balancer does) and name the https:// address";
                return Err(Refused::new(
                    "is not https, which production requires",
                    remedy,
                ));
            }
            Ok(origin)
        });
        Self {
            host: reader.required("host", parse::host).unwrap_or_default(),
            port,
            public_url: public_url.unwrap_or_else(Origin::placeholder),
            trusted_proxies: reader.list("trusted_proxies", parse::proxy),
            cors_origins: reader.list("cors_origins", Origin::parse),
            max_connections: reader.number("max_connections", 1..=1_000_000),
            header_timeout: reader.seconds("header_timeout_seconds", 1..=600),
            body_timeout: reader.seconds("body_timeout_seconds", 1..=600),
            idle_timeout: reader.seconds("idle_timeout_seconds", 1..=3600),
            drain_delay: reader.seconds("drain_delay_seconds", 0..=300),
            drain_timeout: reader.seconds("drain_timeout_seconds", 0..=600),
            docs_enabled: reader.flag("docs_enabled"),
        }
    }
}

/// Development assumes a value; elsewhere its absence is a problem.
fn assume_or_ask(
    reader: &mut Reader,
    environment: Environment,
    key: &'static str,
    assumed: &str,
    example: &str,
) {
    if environment == Environment::Development {
        reader.assume(key, assumed);
    } else if !reader.has(key) {
        let wrong = "is not set, and outside development it must be named";
        let remedy = format!("Set {}, for example to {example}", key.to_uppercase());
        reader.refuse(key, Refused::new(wrong, remedy));
    }
}

impl Stores {
    pub(super) fn read(reader: &mut Reader, environment: Environment) -> Self {
        let retention_days = reader.number("retention_days", 1..=3650);
        let audit_retention_days = reader.number("audit_retention_days", 1..=3650);
        let database = Database::read(reader);
        if database.secret_arn.is_some() && environment == Environment::Development {
            // A secret may name the host. Elsewhere the URL is named all the same, for it says how the
            // connection is encrypted.
            reader.assume("database_url", "postgres:///");
        }
        let (local, example) = (
            "sqlite://./data/aidlc-auth.db",
            "postgres://user:password@host:5432/aidlc_auth?sslmode=verify-full&sslrootcert=system",
        );
        assume_or_ask(reader, environment, "database_url", local, example);
        let database_url = reader.read_shown("database_url", url::masked, DatabaseUrl::parse);
        let redis = Redis::read(reader);
        let redis_url = match (&database_url, reader.has("redis_url")) {
            // Lost codes were the predecessor's bug: what lives beside a shared database is named, not assumed.
            (Some(DatabaseUrl::Postgres(_)), false) => {
                let wrong = "is not set, and PostgreSQL alone would keep codes and sessions in one \
                             copy of the service, where the others cannot see them";
                let remedy =
                    "Set REDIS_URL to redis://host:6379, or, for a single copy, to sqlite://path";
                reader.refuse("redis_url", Refused::new(wrong, remedy));
                None
            }
            // Everything in one file.
            (Some(DatabaseUrl::Sqlite(path)), false) => Some(RedisUrl::Sqlite(path.clone())),
            (Some(DatabaseUrl::Memory), false) => Some(RedisUrl::Memory),
            _ => None,
        };
        let named = reader.read_shown("redis_url", url::masked, RedisUrl::parse);
        let redis_url = named.or(redis_url);
        parse::refuse_two_files(reader, database_url.as_ref(), redis_url.as_ref());
        let stores = Self {
            database_url: database_url.unwrap_or(DatabaseUrl::Memory),
            database,
            redis_url: redis_url.unwrap_or(RedisUrl::Memory),
            redis,
            retention_days,
            audit_retention_days,
        };
        if stores.database.instances > 1 && !stores.are_shared() {
            let wrong = "is more than one, and an embedded store belongs to a single copy";
            let remedy = "Name PostgreSQL and Redis servers, or set INSTANCES to 1";
            reader.refuse("instances", Refused::new(wrong, remedy));
        }
        stores
    }

    /// Whether other copies of the service can work on the same stores.
    fn are_shared(&self) -> bool {
        matches!(self.database_url, DatabaseUrl::Postgres(_))
            && matches!(self.redis_url, RedisUrl::Redis(_))
    }

    /// Whether no server keeps any of it.
    pub fn are_embedded(&self) -> bool {
        !matches!(self.database_url, DatabaseUrl::Postgres(_))
            && !matches!(self.redis_url, RedisUrl::Redis(_))
    }
}

impl Database {
    fn read(reader: &mut Reader) -> Self {
        Self {
            secret_arn: reader.read("database_secret_arn", parse::secret_arn),
            replica_url: reader.read_shown("database_replica_url", url::masked, parse::replica_url),
            pool_size: reader.number("database_pool_size", 1..=1000),
            instances: reader.number("instances", 1..=10_000),
            connect_timeout: reader.seconds("database_connect_timeout_seconds", 1..=10),
            query_timeout: reader.seconds("database_query_timeout_seconds", 1..=10),
            connection_lifetime: reader.seconds("database_connection_lifetime_seconds", 1..=86_400),
            keepalive: reader.seconds("database_keepalive_seconds", 1..=7200),
            tcp_user_timeout: reader.seconds("database_tcp_user_timeout_seconds", 1..=600),
            prepared_statements: reader.flag("database_prepared_statements"),
            migrate_at_start: reader.flag("migrate_at_start"),
        }
    }
}

impl Redis {
    fn read(reader: &mut Reader) -> Self {
        Self {
            username: reader.read("redis_username", |text| Ok(text.to_owned())),
            password: reader.read_secret("redis_password", |text| Ok(text.into())),
            ca_file: reader.read("redis_ca_file", |text| Ok(PathBuf::from(text))),
            key_prefix: reader
                .required("redis_key_prefix", parse::key_prefix)
                .unwrap_or_default(),
            timeout: reader.seconds("redis_timeout_seconds", 1..=5),
        }
    }
}

/// The keys; their absence is a problem wherever nobody could keep generated ones.
pub(super) fn secret_keys(
    reader: &mut Reader,
    environment: Environment,
    stores: &Stores,
) -> Vec<SecretKey> {
    let keys = reader.secret_list("secret_keys", SecretKey::parse);
    let mut ids: Vec<_> = keys.iter().map(|key| &key.id).collect();
    ids.sort_unstable();
    let remedy = "Set SECRET_KEYS to the output of `openssl rand -base64 32`";
    // Two variables in one, both unset, leave a comma behind.
    let is_missing = !reader.has_items("secret_keys");
    let wrong = if reader.has("secret_keys") {
        "has no key in it"
    } else {
        "is not set"
    };
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        let remedy = "Give every key an id of its own; records name their key by it";
        reader.refuse("secret_keys", Refused::new("uses an id twice", remedy));
    } else if is_missing && environment != Environment::Development {
        let wrong = format!("{wrong}, and outside development it must be named");
        reader.refuse("secret_keys", Refused::new(wrong, remedy));
    } else if is_missing && matches!(stores.database_url, DatabaseUrl::Postgres(_)) {
        let wrong =
            format!("{wrong}, and only the embedded store has a folder to keep a generated key in");
        reader.refuse("secret_keys", Refused::new(wrong, remedy));
    }
    keys
}

impl Mail {
    pub(super) fn read(reader: &mut Reader, environment: Environment) -> Self {
        assume_or_ask(reader, environment, "mail_transport", "simulation", "smtp");
        let sender = "aidlc-auth <no-reply@localhost>";
        assume_or_ask(
            reader,
            environment,
            "mail_from",
            sender,
            "no-reply@example.com",
        );
        let transport = reader.read("mail_transport", |text| {
            parse::mail_transport(text, environment)
        });
        let smtp_url = reader.read_shown("smtp_url", url::masked, parse::smtp_url);
        if transport == Some(MailTransport::Smtp) && !reader.has("smtp_url") {
            let remedy =
                "Set SMTP_URL to smtp://user:password@host:587 or smtps://user:password@host:465";
            reader.refuse(
                "smtp_url",
                Refused::new("is not set, but MAIL_TRANSPORT is smtp", remedy),
            );
        }
        let from = reader.read("mail_from", parse::sender).unwrap_or_default();
        let ses_region = ses_region(reader);
        if transport == Some(MailTransport::Ses) {
            refuse_what_ses_cannot(reader, &from);
        }
        Self {
            transport: transport.unwrap_or(MailTransport::Simulation),
            smtp_url,
            smtp_ca_file: reader.read("smtp_ca_file", |text| Ok(PathBuf::from(text))),
            ses_region,
            ses_configuration_set: reader.read("ses_configuration_set", parse::configuration_set),
            ses_topic_arn: reader.read("ses_topic_arn", parse::topic_arn),
            from,
        }
    }
}

/// As AWS's own tools read it: the newer name wins.
fn ses_region(reader: &mut Reader) -> Option<String> {
    let region = reader.read("aws_region", parse::region);
    let default = reader.read("aws_default_region", parse::region);
    region.or(default)
}

fn refuse_what_ses_cannot(reader: &mut Reader, from: &str) {
    if !reader.has("aws_region") && !reader.has("aws_default_region") {
        let wrong = "is not set, but MAIL_TRANSPORT is ses, and SES is called in a region";
        let remedy = "Set AWS_REGION to the region in which the sender's identity was verified";
        reader.refuse("aws_region", Refused::new(wrong, remedy));
    }
    // A name beside the address may be in any letters.
    let address = from.rsplit('<').next().unwrap_or(from);
    if !address.is_ascii() {
        let wrong = "has letters beyond ASCII in its address, which SES does not send from";
        let remedy = "Write its domain in A-labels, such as no-reply@xn--3e0b707e.kr";
        reader.refuse("mail_from", Refused::new(wrong, remedy));
    }
}

impl Sessions {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let sessions = Self {
            ttl: reader.seconds("session_ttl_seconds", 1..=31_536_000),
            lifetime: reader.seconds("session_lifetime_seconds", 1..=31_536_000),
            max: reader.number("max_sessions", 1..=100),
        };
        // A placeholder is 1 second; complaining about it would be a second error for one mistake.
        if sessions.lifetime < sessions.ttl && sessions.lifetime > Duration::from_secs(1) {
            let remedy = "Raise it, or lower SESSION_TTL_SECONDS";
            let wrong = "is less than session_ttl_seconds";
            reader.refuse("session_lifetime_seconds", Refused::new(wrong, remedy));
        }
        sessions
    }
}

impl Limits {
    pub(super) fn read(reader: &mut Reader, environment: Environment) -> Self {
        let limits = Self {
            enabled: reader.flag("limits_enabled"),
            guesses_per_code: reader.number("guesses_per_code", 1..=10),
            guesses_per_day: reader.number("guesses_per_day", 1..=100),
            password_tries_per_day: reader.number("password_tries_per_day", 1..=100),
            resend_after: reader.seconds("resend_after_seconds", 0..=3600),
            sends_per_hour: reader.number("sends_per_hour", 1..=100),
            mailbox_sends_per_hour: reader.number("mailbox_sends_per_hour", 1..=1000),
            mailbox_sends_per_day: reader.number("mailbox_sends_per_day", 1..=1000),
            client_code_requests: reader.number("client_code_requests", 1..=1_000_000),
            client_guesses: reader.number("client_guesses", 1..=1_000_000),
            client_window: reader.seconds("client_window_seconds", 1..=86_400),
            service_code_requests: reader.number("service_code_requests", 1..=1_000_000_000),
            service_guesses: reader.number("service_guesses", 1..=1_000_000_000),
        };
        if !limits.enabled && environment != Environment::Development {
            let remedy = "Set it to true, and raise single limits where they are too tight";
            let wrong = "is false, which only development allows";
            reader.refuse("limits_enabled", Refused::new(wrong, remedy));
        }
        limits
    }
}

impl Logs {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        Self {
            format: reader.choice("log_format", &formats),
            level: reader
                .required("log_level", parse::log_level)
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
#[cfg(feature = "aws")]
mod tests {
    use crate::config::{Config, MailTransport, Problem};

    fn load(env: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
        let base = [
            ("MAIL_TRANSPORT", "ses"),
            ("MAIL_FROM", "Example <no-reply@example.org>"),
        ];
        let env = base.iter().chain(env);
        Config::load(
            env.map(|(name, value)| ((*name).into(), (*value).into())),
            None,
        )
    }

    #[track_caller]
    fn refusal(env: &[(&str, &str)]) -> String {
        let problems = load(env).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    }

    const REGION: (&str, &str) = ("AWS_REGION", "ap-northeast-2");

    #[test]
    fn ses_is_called_in_a_region() {
        let line = refusal(&[]);
        assert!(
            line.starts_with("AWS_REGION (default): is not set"),
            "{line}"
        );
        let older = ("AWS_DEFAULT_REGION", "us-gov-west-1");
        for (env, region) in [(&[older][..], older.1), (&[older, REGION], REGION.1)] {
            let mail = load(env).unwrap().mail;
            assert_eq!(mail.transport, MailTransport::Ses);
            assert_eq!(mail.ses_region.as_deref(), Some(region));
        }
    }

    #[test]
    fn ses_sends_from_addresses_in_ascii() {
        for from in ["no-reply@한국.kr", "Example <no-réply@example.org>"] {
            let line = refusal(&[REGION, ("MAIL_FROM", from)]);
            assert!(line.contains("A-labels"), "{line}");
        }
        assert!(load(&[REGION, ("MAIL_FROM", "예시 <no-reply@example.org>")]).is_ok());
    }

    #[test]
    fn each_name_that_aws_would_not_know_is_refused() {
        for (name, value) in [
            ("AWS_REGION", "Seoul"),
            ("AWS_DEFAULT_REGION", "https://x-y"),
            ("SES_CONFIGURATION_SET", "arn:aws:ses:x:y/z"),
            ("SES_TOPIC_ARN", "mail"),
            (
                "SES_TOPIC_ARN",
                "arn:aws:sns:ap-northeast-2:123456789012:mail.fifo",
            ),
            (
                "SES_TOPIC_ARN",
                "arn:aws:sqs:ap-northeast-2:123456789012:mail",
            ),
            (
                "SES_TOPIC_ARN",
                "arn:aws:sns:evil.example/:123456789012:mail",
            ),
        ] {
            let line = refusal(&[REGION, (name, value)]);
            assert!(
                line.starts_with(&format!("{name} (environment): ")),
                "{line}"
            );
        }
        let topic = "arn:aws-us-gov:sns:us-gov-west-1:123456789012:mail_of-us";
        let mail = load(&[REGION, ("SES_TOPIC_ARN", topic)]).unwrap().mail;
        assert_eq!(mail.ses_topic_arn.as_deref(), Some(topic));
    }
}
