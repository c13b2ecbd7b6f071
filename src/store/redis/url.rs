//! `REDIS_URL`: one server, a cluster or a group under sentinels, and who signs in.
//!
//! Read leniently where people slip: a password that was not %-encoded may hold `@`, `/` and `?`,
//! because hosts hold none of them.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

/// What the URL says, taken apart.
pub(super) struct Url {
    pub shape: Shape,
    pub is_tls: bool,
    pub username: Option<String>,
    /// Bytes: Redis knows no encoding of passwords.
    pub password: Option<SecretSlice<u8>>,
}

/// The three ways in which servers are arranged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Single {
        server: Address,
        database: u32,
    },
    /// Any nodes of a cluster; they know the others.
    Cluster(Vec<Address>),
    /// The sentinels, and the name under which they know the servers.
    Sentinel {
        sentinels: Vec<Address>,
        name: String,
    },
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Url {
    /// Reads a URL. The error says what to write, and repeats nothing that may be a password.
    pub fn parse(url: &SecretString) -> Result<Self, String> {
        const REMEDY: &str = "write redis://host:6379/0, redis-cluster://host,host or \
                              redis-sentinel://host,host/name; rediss… for TLS";
        let url = url.expose_secret();
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| format!("REDIS_URL is no URL: {REMEDY}"))?;
        let (scheme, is_tls) = match scheme.strip_prefix("rediss") {
            Some(kind) => (kind, true),
            None => (scheme.strip_prefix("redis").unwrap_or(scheme), false),
        };
        // The last `@`: see above.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (credentials, rest),
            None => ("", rest),
        };
        if rest.contains(['?', '#']) {
            return Err(format!(
                "REDIS_URL carries options after ? or #, and none are known: {REMEDY}"
            ));
        }
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let shape = match scheme {
            "" => Shape::Single {
                server: one(hosts)?,
                database: number(path)?,
            },
            "-cluster" if path.is_empty() => Shape::Cluster(several(hosts, 6379)?),
            "-cluster" => {
                return Err(format!(
                    "REDIS_URL names a database, and a cluster has only one: {REMEDY}"
                ));
            }
            "-sentinel" if path.is_empty() || path.contains('/') => {
                return Err(format!(
                    "REDIS_URL lacks the name by which the sentinels know the servers: {REMEDY}"
                ));
            }
            "-sentinel" => Shape::Sentinel {
                sentinels: several(hosts, 26379)?,
                name: String::from_utf8(decoded(path))
                    .map_err(|_| format!("REDIS_URL holds a name that is not UTF-8: {REMEDY}"))?,
            },
            _ => return Err(format!("REDIS_URL has another scheme: {REMEDY}")),
        };
        let (username, password) = match credentials.split_once(':') {
            Some((username, password)) => (username, Some(password)),
            None => (credentials, None),
        };
        Ok(Self {
            shape,
            is_tls,
            username: (!username.is_empty())
                .then(|| String::from_utf8(decoded(username)))
                .transpose()
                .map_err(|_| "REDIS_URL holds a user that is not UTF-8".to_owned())?,
            password: password
                .filter(|password| !password.is_empty())
                .map(|password| decoded(password).into()),
        })
    }
}

/// The URL without who signs in.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.is_tls { "s" } else { "" };
        let list = |addresses: &[Address]| {
            let addresses: Vec<_> = addresses.iter().map(Address::to_string).collect();
            addresses.join(",")
        };
        match &self.shape {
            Shape::Single { server, database } => write!(f, "redis{s}://{server}/{database}"),
            Shape::Cluster(nodes) => write!(f, "redis{s}-cluster://{}", list(nodes)),
            Shape::Sentinel { sentinels, name } => {
                write!(f, "redis{s}-sentinel://{}/{name}", list(sentinels))
            }
        }
    }
}

fn one(hosts: &str) -> Result<Address, String> {
    match several(hosts, 6379)?.as_slice() {
        [server] => Ok(server.clone()),
        _ => Err(
            "REDIS_URL names several hosts: write redis-cluster:// or redis-sentinel:// before \
             them, or name one"
                .into(),
        ),
    }
}

fn several(hosts: &str, default_port: u16) -> Result<Vec<Address>, String> {
    hosts
        .split(',')
        .map(|host| address(host, default_port))
        .collect()
}

/// One `host`, `host:port`, `[v6]` or `[v6]:port`.
fn address(text: &str, default_port: u16) -> Result<Address, String> {
    // What stands here may be half of a password, so it is not repeated.
    let refused = || "REDIS_URL has something that is no host:port where hosts belong".to_owned();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(refused)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_host = if text.starts_with('[') {
        host.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        !host.is_empty() && host.bytes().all(plain)
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default_port,
        None => return Err(refused()),
        Some(port) => port
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(refused)?,
    };
    if !is_host {
        return Err(refused());
    }
    Ok(Address {
        host: host.to_owned(),
        port,
    })
}

fn number(path: &str) -> Result<u32, String> {
    if path.is_empty() {
        return Ok(0);
    }
    path.parse().map_err(|_| {
        "REDIS_URL ends in something that is no number of a database: write redis://host:6379/0"
            .into()
    })
}

/// Undoes %-encoding; a `%` that encodes nothing stands for itself.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |b: u8| {
            char::from(b)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        let encoded = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match encoded {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Url, String> {
        Url::parse(&url.into())
    }

    fn at(host: &str, port: u16) -> Address {
        Address {
            host: host.into(),
            port,
        }
    }

    #[test]
    fn every_shape_is_read() {
        let shape = |url: &str| parse(url).unwrap().shape;
        let single = |server, database| Shape::Single { server, database };
        assert_eq!(shape("redis://cache"), single(at("cache", 6379), 0));
        assert_eq!(shape("redis://cache:1/3"), single(at("cache", 1), 3));
        assert_eq!(shape("redis://cache/"), single(at("cache", 6379), 0));
        assert_eq!(shape("rediss://[::1]:7"), single(at("::1", 7), 0));
        assert_eq!(shape("redis://[::1]"), single(at("::1", 6379), 0));
        assert_eq!(
            shape("redis-cluster://a,b:2,[::1]:3"),
            Shape::Cluster(vec![at("a", 6379), at("b", 2), at("::1", 3)])
        );
        assert_eq!(
            shape("rediss-sentinel://:pw@a,b:2/my%20name"),
            Shape::Sentinel {
                sentinels: vec![at("a", 26379), at("b", 2)],
                name: "my name".into()
            }
        );
        assert!(parse("rediss-cluster://a").unwrap().is_tls);
        assert!(!parse("redis-cluster://a").unwrap().is_tls);
    }

    #[test]
    fn who_signs_in_may_be_spelled_with_anything() {
        let who = |url: &str| {
            let url = parse(url).unwrap();
            let password = url.password.map(|p| p.expose_secret().to_vec());
            (url.username, password)
        };
        let pair = |user: Option<&str>, password: Option<&[u8]>| {
            (user.map(str::to_owned), password.map(<[u8]>::to_vec))
        };
        assert_eq!(who("redis://h"), pair(None, None));
        assert_eq!(who("redis://:pw@h"), pair(None, Some(b"pw")));
        assert_eq!(who("redis://ada@h"), pair(Some("ada"), None));
        assert_eq!(
            who("redis://ada:p%40%3a%2F@h"),
            pair(Some("ada"), Some(b"p@:/"))
        );
        assert_eq!(who("redis://a%3Ab:c:d@h"), pair(Some("a:b"), Some(b"c:d")));
        assert_eq!(
            who("redis://:p@s/w?o#r%d@h"),
            pair(None, Some(b"p@s/w?o#r%d"))
        );
        assert_eq!(who("redis://:%ff%00@h"), pair(None, Some(b"\xff\x00")));
        assert_eq!(
            who("redis://:%e2%82%ac€@h"),
            pair(None, Some("€€".as_bytes()))
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_repeating_it() {
        for url in [
            "redis",
            "redis://",
            "redis://:hunter2",
            "redis://hunter2:x",
            "redis://h:0",
            "redis://h:70000",
            "redis://h/hunter2",
            "redis://a,b",
            "redis://h?hunter2=1",
            "redis://h#hunter2",
            "redis://[::1",
            "redis://[hunter2]",
            "redis://::1",
            "redis-cluster://a/1",
            "redis-cluster://a,,b",
            "redis-sentinel://a",
            "redis-sentinel://a/",
            "redis-sentinel://a/b/c",
            "redis-other://hunter2",
            "http://hunter2",
            "redis://%ff@h",
        ] {
            let Err(why) = parse(url) else {
                panic!("{url} was read")
            };
            assert!(
                why.contains("REDIS_URL") && !why.contains("hunter2"),
                "{why}"
            );
        }
    }

    #[test]
    fn nothing_of_who_signs_in_is_shown() {
        let shown = |url: &str| parse(url).unwrap().to_string();
        assert_eq!(shown("redis://ada:pw@cache"), "redis://cache:6379/0");
        assert_eq!(shown("rediss://:pw@[::1]:7/2"), "rediss://[::1]:7/2");
        assert_eq!(
            shown("redis-cluster://:pw@a,b:2"),
            "redis-cluster://a:6379,b:2"
        );
        assert_eq!(
            shown("rediss-sentinel://a/name"),
            "rediss-sentinel://a:26379/name"
        );
    }
}
