//! The URLs among the settings: which store is meant, what an origin is, and how to show them.

use std::path::{Component, PathBuf};

use axum::http::Uri;
use secrecy::SecretString;

use super::problem::Refused;

/// Where users are kept.
#[derive(Debug)]
pub enum DatabaseUrl {
    /// A file of the embedded store.
    Sqlite(PathBuf),
    /// The embedded store without a file; everything is lost when the process ends.
    Memory,
    /// A PostgreSQL server: the URL with its password.
    Postgres(SecretString),
}

/// Where challenges, limits, outbox and sessions are kept.
#[derive(Debug)]
pub enum RedisUrl {
    /// A file of the embedded store.
    Sqlite(PathBuf),
    /// The embedded store without a file; everything is lost when the process ends.
    Memory,
    /// A Redis or Valkey server, cluster or sentinel group: the URL with its password.
    Redis(SecretString),
}

impl DatabaseUrl {
    /// Recognises the store by the scheme; the rest of a server's URL is the store's to read.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        match embedded(text)? {
            Some(Embedded::Memory) => Ok(Self::Memory),
            Some(Embedded::File(path)) => Ok(Self::Sqlite(path)),
            None if has_scheme(text, &["postgres", "postgresql"]) => {
                Ok(Self::Postgres(text.into()))
            }
            None => Err(unknown(
                "sqlite://path, memory: or postgres://user@host/name",
            )),
        }
    }
}

impl RedisUrl {
    /// Recognises the store by the scheme; the rest of a server's URL is the store's to read.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        const SERVERS: [&str; 6] = [
            "redis",
            "rediss",
            "redis-cluster",
            "rediss-cluster",
            "redis-sentinel",
            "rediss-sentinel",
        ];
        match embedded(text)? {
            Some(Embedded::Memory) => Ok(Self::Memory),
            Some(Embedded::File(path)) => Ok(Self::Sqlite(path)),
            None if has_scheme(text, &SERVERS) => Ok(Self::Redis(text.into())),
            None => Err(unknown("sqlite://path, memory: or redis://host:6379")),
        }
    }
}

enum Embedded {
    File(PathBuf),
    Memory,
}

fn embedded(text: &str) -> Result<Option<Embedded>, Refused> {
    if text == "memory:" {
        return Ok(Some(Embedded::Memory));
    }
    let Some(path) = text.strip_prefix("sqlite:") else {
        return Ok(None);
    };
    let remedy = "Write sqlite://./relative/path.db, sqlite:///absolute/path.db or memory:";
    let Some(path) = path.strip_prefix("//") else {
        return Err(Refused::new("lacks the // after sqlite:", remedy));
    };
    if path.is_empty() || path.contains(":memory:") || path.ends_with('/') {
        return Err(Refused::new("names no file after sqlite://", remedy));
    }
    if path.contains(['?', '#']) || path.chars().any(char::is_control) {
        return Err(Refused::new(
            "carries more than a path after sqlite://",
            remedy,
        ));
    }
    // `./a` and `a` are one file; spelled alike, they compare alike.
    let parts = std::path::Path::new(path).components();
    Ok(Some(Embedded::File(
        parts.filter(|part| *part != Component::CurDir).collect(),
    )))
}

fn has_scheme(text: &str, schemes: &[&str]) -> bool {
    text.split_once("://")
        .is_some_and(|(scheme, _)| schemes.contains(&scheme))
}

fn unknown(schemes: &str) -> Refused {
    Refused::new(
        "names no store that this service knows",
        format!("Write one of: {schemes}"),
    )
}

/// Scheme, host and port as a browser sends them in `Origin`: lower case, no default port (RFC 6454 §6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin; upper case, a default port and one slash at the end are put right.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let refused = |wrong: &str| {
            Refused::new(
                wrong,
                "Write scheme://host or scheme://host:port, such as https://app.example.com",
            )
        };
        if text.contains('*') {
            return Err(refused("has a wildcard"));
        }
        if text.contains(['?', '#', '@']) {
            return Err(refused("carries more than scheme, host and port"));
        }
        let uri: Uri = text.parse().map_err(|_| refused("is not a URL"))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let default_port: u16 = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return Err(refused("does not begin with http:// or https://")),
        };
        if uri.path() != "/" || text.ends_with("//") {
            return Err(refused("carries a path"));
        }
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        if !is_host(&host) {
            return Err(refused("has no host that a browser would send"));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let port = match authority[host.len()..].strip_prefix(':') {
            None => default_port,
            Some(port) => port
                .parse()
                .ok()
                .filter(|number| *number > 0 && is_digits(port))
                .ok_or_else(|| refused("has a port that is not a number from 1 to 65535"))?,
        };
        Ok(Self(if port == default_port {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{port}")
        }))
    }

    /// Stands in for one that was refused; the problem is noted, and this goes nowhere.
    pub(super) fn placeholder() -> Self {
        Self(String::new())
    }

    /// The origin as a browser sends it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is reached over TLS.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether it is `http://localhost`, whatever the port.
    pub fn is_plain_localhost(&self) -> bool {
        let rest = self.0.strip_prefix("http://localhost");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }
}

/// A name in ASCII, an IPv4 address or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            !host.is_empty() && host.bytes().all(plain) && host.as_bytes()[0] != b'.'
        }
    }
}

/// A URL with everything hidden that may be a credential: what stands before the last `@`, and options.
pub fn masked(url: &str) -> String {
    const HIDDEN: &str = "(set, hidden)";
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url == "memory:" {
            url.to_owned()
        } else {
            HIDDEN.to_owned()
        };
    };
    if scheme == "sqlite" {
        return url.to_owned();
    }
    // The last `@`: a password that was not %-encoded may hold others, and `/` and `?` too.
    let (credentials, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    let (rest, options) = match rest.split_once(['?', '#']) {
        Some((rest, _)) => (rest, "?***"),
        None => (rest, ""),
    };
    // Where hosts belong stands something else: a password whose `@host` was forgotten, perhaps.
    let hosts = rest.split('/').next().unwrap_or_default();
    let is_host_and_port = |host: &str| {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !host.ends_with(']') => (name, port),
            _ => (host, ""),
        };
        is_host(name) && port.bytes().all(|b| b.is_ascii_digit())
    };
    if hosts.split(',').all(is_host_and_port) {
        format!("{scheme}://{credentials}{rest}{options}")
    } else {
        HIDDEN.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://*.example.com",
            "//example.com",
            "https://user:pass@example.com",
            "https://example.com/login",
            "https://example.com//",
            "https://example.com?x",
            "https://example.com#x",
            "ftp://example.com",
            "https://example.com:",
            "https://example.com:0",
            "https://example.com:70000",
            "https://example.com:+80",
            "https://exa mple.com",
            "https://[::1",
            "https://[zz]",
            "https://인증.example",
            "javascript:alert(1)",
            "https://.example.com",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_origin_is_spelled_as_browsers_send_it() {
        let spelled = |text: &str| Origin::parse(text).unwrap().0;
        assert_eq!(
            spelled("https://App.Example.com:443/"),
            "https://app.example.com"
        );
        assert_eq!(spelled("http://localhost:8001"), "http://localhost:8001");
        assert_eq!(spelled("http://127.0.0.1:80"), "http://127.0.0.1");
        assert_eq!(spelled("http://[::1]:3000"), "http://[::1]:3000");
    }

    #[test]
    fn only_localhost_itself_is_local() {
        let local = |text: &str| Origin::parse(text).unwrap().is_plain_localhost();
        assert!(local("http://localhost"));
        assert!(local("http://localhost:8001"));
        assert!(!local("https://localhost:8001"));
        assert!(!local("http://localhost.example.com"));
        assert!(!local("http://127.0.0.1"));
    }

    #[test]
    fn a_store_is_known_by_its_scheme() {
        let database = |text: &str| DatabaseUrl::parse(text);
        assert!(matches!(database("memory:"), Ok(DatabaseUrl::Memory)));
        assert!(matches!(
            database("postgres://u:p@h/db"),
            Ok(DatabaseUrl::Postgres(_))
        ));
        assert!(matches!(
            database("postgresql://h/db"),
            Ok(DatabaseUrl::Postgres(_))
        ));
        let Ok(DatabaseUrl::Sqlite(path)) = database("sqlite://./data/a.db") else {
            panic!()
        };
        assert_eq!(path, PathBuf::from("data/a.db"));
        let Ok(DatabaseUrl::Sqlite(path)) = database("sqlite:///var/a.db") else {
            panic!()
        };
        assert_eq!(path, PathBuf::from("/var/a.db"));
        for text in [
            "sqlite:a.db",
            "sqlite://",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite://a?mode=ro",
            "memory",
            "mysql://h/db",
            "redis://h",
            "a.db",
            "sqlite://data/",
        ] {
            assert!(database(text).is_err(), "{text}");
        }
        for text in [
            "redis://h",
            "rediss://h:1",
            "redis-cluster://a,b",
            "rediss-sentinel://a,b/name",
        ] {
            assert!(
                matches!(RedisUrl::parse(text), Ok(RedisUrl::Redis(_))),
                "{text}"
            );
        }
        assert!(RedisUrl::parse("postgres://h/db").is_err());
        assert!(RedisUrl::parse("http://h").is_err());
    }

    #[test]
    fn nothing_of_a_credential_is_shown() {
        for url in [
            "postgres://ada:hunter2@db:5432/auth",
            "postgres://ada:hun@ter2@db/auth",
            "redis://:hunter2@cache",
            "smtps://ada:/hunter2?@mail:465",
            "postgres://db/auth?password=hunter2",
            "redis://hunter2:x",
            "smtp://ada:hunter2",
            "postgres:ada:hunter2/db",
            "postgres://ada:#hunter2@db",
        ] {
            let shown = masked(url);
            assert!(!shown.contains("ter2"), "{url} is shown as {shown}");
        }
        assert_eq!(
            masked("postgres://ada:hunter2@db:5432/auth?sslmode=require"),
            "postgres://***@db:5432/auth?***"
        );
        assert_eq!(
            masked("redis-cluster://:pw@a:1,b:2"),
            "redis-cluster://***@a:1,b:2"
        );
        assert_eq!(masked("redis://[::1]:6379"), "redis://[::1]:6379");
        assert_eq!(masked("redis://cache"), "redis://cache");
        assert_eq!(masked("sqlite://./data/a.db"), "sqlite://./data/a.db");
        assert_eq!(masked("memory:"), "memory:");
    }
}
