//! A Redis master with a replica, and three sentinels that watch them.

use std::collections::HashMap;

use super::ask::{connect, link, until};
use super::port::Port;
use super::process::Program;
use super::redis::{Redis, Setting, program, write_settings};
use super::server::{self, Server};

/// Who is master, and who decides it.
pub struct Sentinel {
    /// First the master (as long as it has not failed), then its replica.
    pub nodes: [Redis; 2],
    pub sentinels: Vec<Watcher>,
}

/// One of the sentinels.
pub struct Watcher {
    pub server: Server,
    pub port: Port,
}

impl Sentinel {
    /// What the sentinels call the master.
    pub const NAME: &str = "main";

    /// With these lines of `redis.conf` at master and replica. A master that is silent for two
    /// seconds is replaced.
    pub fn start(settings: &[Setting<'_>]) -> Self {
        let master = Redis::with(settings);
        let replica = Redis::replica_of(&master, settings);
        until(&mut link(&replica), "INFO replication", |info: &String| {
            info.contains("master_link_status:up")
        });
        let sentinels: Vec<_> = (0..3).map(|_| Watcher::of(&master)).collect();
        for sentinel in &sentinels {
            sentinel.knows("num-other-sentinels", "2");
            sentinel.knows("num-slaves", "1");
        }
        Self {
            nodes: [master, replica],
            sentinels,
        }
    }

    /// Where it is: all sentinels, so that any may be away.
    pub fn url(&self) -> String {
        let all = self.sentinels.iter();
        let all: Vec<_> = all
            .map(|one| format!("127.0.0.1:{}", one.port.number))
            .collect();
        format!("redis-sentinel://{}/{}", all.join(","), Self::NAME)
    }
}

impl Watcher {
    fn of(master: &Redis) -> Self {
        let (folder, port) = (server::folder("sentinel"), Port::free());
        let name = Sentinel::NAME;
        let number = port.number.to_string();
        let settings = [
            ("bind", "127.0.0.1"),
            ("protected-mode", "no"),
            ("port", &number),
            (
                "sentinel",
                &format!("monitor {name} 127.0.0.1 {} 2", master.port()),
            ),
            ("sentinel", &format!("down-after-milliseconds {name} 2000")),
            ("sentinel", &format!("failover-timeout {name} 6000")),
        ];
        write_settings(&folder, &[&settings]);
        let program = Program {
            path: program(),
            arguments: vec!["redis.conf".into(), "--sentinel".into()],
            user: None,
            ready: "+monitor",
        };
        let server = Server::start(program, folder);
        Self { server, port }
    }

    /// Waits until it says so of the master.
    fn knows(&self, name: &str, value: &str) {
        let url = format!("redis://127.0.0.1:{}", self.port.number);
        let ask = format!("SENTINEL MASTER {}", Sentinel::NAME);
        until(
            &mut connect(&url),
            &ask,
            |told: &HashMap<String, String>| told.get(name).is_some_and(|told| told == value),
        );
    }
}
