//! What goes wrong between us and a server, in words that carry the remedy.

use redis::{ErrorKind, RedisError};

use super::url::Address;
use crate::store::Error;

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// There is no connection, or it was lost before the answer came: nobody knows what was done.
    Lost(Error),
    /// The server answered that it would not.
    Refused { server: Address, error: RedisError },
}

impl Trouble {
    /// What an error of the crate's is.
    pub fn of(error: RedisError, server: &Address) -> Self {
        let what = match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => {
                let server = server.clone();
                return Self::Refused { server, error };
            }
            ErrorKind::Parse => "what listens there does not speak Redis' language".to_owned(),
            _ if error.is_timeout() => SILENT.to_owned(),
            _ => format!("the connection was lost: {error}"),
        };
        Self::Lost(unavailable(server, what))
    }

    /// What the story gets to hear.
    pub fn explained(self) -> Error {
        match self {
            Self::Lost(error) => error,
            Self::Refused { server, error } => explained(&error, &server),
        }
    }

    /// The server's word for why it would not.
    pub fn code(&self) -> &str {
        match self {
            Self::Lost(_) => "",
            Self::Refused { error, .. } => error.code().unwrap_or_default(),
        }
    }

    /// Where the server says that the key is, or will be in a moment.
    pub fn points_to(&self) -> Option<Address> {
        let Self::Refused { server, error } = self else {
            return None;
        };
        let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
        Some(Address {
            // A node that knows no name for another means that it is the same.
            host: if host.is_empty() {
                server.host.clone()
            } else {
                host.to_owned()
            },
            port: port.parse().ok()?,
        })
    }

    /// Whether the server is the right one and only takes no writes at the moment, or none of ours.
    pub fn is_of_writes_only(&self) -> bool {
        matches!(self.code(), "MISCONF" | "OOM" | "NOREPLICAS" | "BUSY")
    }

    /// Whether the connection is of no more use: because it is dead, or because another server is
    /// the right one, or will be. Whoever comes next asks anew where to go.
    pub fn ends_connection(&self) -> bool {
        const ELSEWHERE: [&str; 5] = ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH"];
        matches!(self, Self::Lost(_)) || ELSEWHERE.contains(&self.code())
    }
}

/// What is said of one that was asked and let the time pass.
pub(super) const SILENT: &str = "it does not answer within REDIS_TIMEOUT_SECONDS";

/// What is said of servers that want another, or no, password; the doctor knows them by that.
pub(super) const OF_PASSWORD: [&str; 3] = [
    "it asks for a password: set REDIS_PASSWORD (and REDIS_USERNAME)",
    "it refuses this user and password: see REDIS_USERNAME and REDIS_PASSWORD",
    "it knows no password: unset REDIS_PASSWORD",
];

/// The same for clusters that are not what REDIS_URL takes them for, or not whole.
pub(super) const OF_CLUSTER: [&str; 3] = [
    "it is a node of a cluster: write redis-cluster:// in REDIS_URL",
    "the cluster does not serve this part of the keys: a fail-over is under way, or too few of its \
     nodes are up (see CLUSTER INFO)",
    "it is not part of a cluster: write redis:// in REDIS_URL",
];

/// Unavailable, of this server.
pub(super) fn unavailable(server: &Address, what: impl std::fmt::Display) -> Error {
    Error::Unavailable(format!("redis at {server}: {what}"))
}

/// What a refusal means and what to do about it.
fn explained(refusal: &RedisError, server: &Address) -> Error {
    let detail = refusal.detail().unwrap_or_default();
    let text = match refusal.code().unwrap_or_default() {
        "READONLY" => {
            "it is a replica and takes no writes: a fail-over is under way, or REDIS_URL names a \
             replica"
        }
        "LOADING" => "it was started a moment ago and still loads its data",
        "MASTERDOWN" => "it is a replica whose master is away",
        "CLUSTERDOWN" => OF_CLUSTER[1],
        "TRYAGAIN" => "the cluster is moving these keys to another node",
        "MISCONF" => {
            "it cannot save to its disk and so takes no writes: make room, and look at its log \
             (LASTSAVE, INFO persistence)"
        }
        "OOM" => {
            "its memory is full: raise maxmemory, or find out who else keeps data there; leave \
             maxmemory-policy at noeviction"
        }
        "NOREPLICAS" => {
            "fewer replicas are in its reach than min-replicas-to-write asks for: bring them back, \
             or lower it"
        }
        "BUSY" | "UNKILLABLE" => "a script of somebody has been running for seconds (SCRIPT KILL)",
        "NOAUTH" => OF_PASSWORD[0],
        "WRONGPASS" => OF_PASSWORD[1],
        "NOPERM" => return not_permitted(detail, server),
        "MOVED" | "ASK" => OF_CLUSTER[0],
        "ERR" => return general(detail, server),
        _ => return Error::Broken(format!("redis at {server}: {refusal}")),
    };
    unavailable(server, text)
}

fn not_permitted(detail: &str, server: &Address) -> Error {
    let what = format!(
        "the user of REDIS_USERNAME may not do what is needed ({detail}): give it \
         ~<REDIS_KEY_PREFIX>* +@read +@write +@scripting +@connection +time +info +cluster|slots"
    );
    unavailable(server, what)
}

/// Refusals that have no code of their own.
fn general(detail: &str, server: &Address) -> Error {
    let text = if detail.contains("max number of clients") {
        "it has no connection left: raise its maxclients"
    } else if detail.contains("without any password configured") {
        OF_PASSWORD[2]
    } else if detail.contains("cluster support disabled") {
        OF_CLUSTER[2]
    } else if detail.contains("DB index is out of range") {
        "it has no database of this number: see the end of REDIS_URL"
    } else if detail.contains("The user executing the script can't") {
        return not_permitted(detail, server);
    } else if detail.contains("Error compiling script") && detail.contains("near '#'") {
        "it is older than Redis 7: use Redis 7 or later, or Valkey"
    } else {
        return Error::Broken(format!("redis at {server}: {detail}"));
    };
    unavailable(server, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Error {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        let refusal = value.extract_error().unwrap_err();
        let server = Address {
            host: "cache".into(),
            port: 6379,
        };
        explained(&refusal, &server)
    }

    /// As servers say it (Redis 7.0).
    #[test]
    fn a_refusal_that_passes_is_unavailable_and_says_what_to_do() {
        for (line, remedy) in [
            (
                "READONLY You can not run script with write flag on readonly replica.",
                "REDIS_URL names a replica",
            ),
            ("LOADING Redis is loading the dataset in memory", "loads"),
            (
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
                "master is away",
            ),
            ("CLUSTERDOWN The cluster is down", "CLUSTER INFO"),
            (
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to \
                 persist to disk.",
                "disk",
            ),
            (
                "OOM allow-oom flag is not set on the script, can not run it when used memory > \
                 'maxmemory'",
                "maxmemory",
            ),
            (
                "NOREPLICAS Not enough good replicas to write.",
                "min-replicas",
            ),
            (
                "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN \
                 NOSAVE.",
                "SCRIPT KILL",
            ),
            ("NOAUTH Authentication required.", "REDIS_PASSWORD"),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                "REDIS_USERNAME",
            ),
            (
                "NOPERM this user has no permissions to run the 'evalsha' command",
                "'evalsha'",
            ),
            (
                "ERR The user executing the script can't run this command or subcommand script: \
                 f00, on @user_script:4.",
                "+@scripting",
            ),
            ("MOVED 3999 127.0.0.1:6381", "redis-cluster://"),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                "moving",
            ),
            ("ERR max number of clients reached", "maxclients"),
            (
                "ERR AUTH <password> called without any password configured for the default user.",
                "unset REDIS_PASSWORD",
            ),
            (
                "ERR This instance has cluster support disabled",
                "write redis://",
            ),
            ("ERR DB index is out of range", "end of REDIS_URL"),
            (
                "ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'",
                "Redis 7",
            ),
        ] {
            let Error::Unavailable(text) = said(line) else {
                panic!("{line} is not taken for passing")
            };
            assert!(text.starts_with("redis at cache:6379: "), "{text}");
            assert!(text.contains(remedy), "{line} became {text}");
        }
    }

    #[test]
    fn a_node_of_a_cluster_points_to_another() {
        let points_to = |line: &str| {
            let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
            let error = value.extract_error().unwrap_err();
            let server = Address {
                host: "asked".into(),
                port: 6379,
            };
            let to = Trouble::Refused { server, error }.points_to();
            to.map(|to| (to.host, to.port))
        };
        let to = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(points_to("MOVED 3999 10.0.0.1:6381"), to("10.0.0.1", 6381));
        assert_eq!(
            points_to("ASK 3999 cache-2.local:6381"),
            to("cache-2.local", 6381)
        );
        assert_eq!(
            points_to("MOVED 3999 2001:db8::1:6381"),
            to("2001:db8::1", 6381)
        );
        assert_eq!(points_to("MOVED 3999 :6381"), to("asked", 6381));
        assert_eq!(points_to("MOVED 3999"), None);
        assert_eq!(points_to("READONLY no"), None);
    }

    #[test]
    fn a_refusal_that_never_should_be_is_broken() {
        for line in [
            "CROSSSLOT Keys in request don't hash to the same slot",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "ERR user_script:7: attempt to index a nil value script: f00, on @user_script:7.",
            "ERR unknown command 'EVALSHA', with args beginning with: ",
        ] {
            assert!(matches!(said(line), Error::Broken(_)), "{line}");
        }
    }
}
