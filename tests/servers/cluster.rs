//! A Redis cluster: three masters with a replica each.

use super::ask::{ask, link, until};
use super::port::Port;
use super::redis::{Redis, Setting};

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

/// Six nodes.
pub struct Cluster {
    /// First the masters (as long as none has failed), then a replica of each, in the same order.
    pub nodes: Vec<Redis>,
    /// Of the nodes' own talk.
    _ports: Vec<Port>,
}

impl Cluster {
    /// Whose nodes are patient: none is thought to be dead because the machine is busy.
    pub fn start() -> Self {
        Self::with(&[("cluster-node-timeout", "15000")])
    }

    /// With these lines of `redis.conf` at each node; `cluster-node-timeout` (milliseconds) is how
    /// long a master may be silent before its replica takes over.
    pub fn with(settings: &[Setting<'_>]) -> Self {
        let ports: Vec<_> = (0..2 * MASTERS).map(|_| Port::free()).collect();
        let node = |bus: &Port| {
            let (port, bus) = (Port::free(), bus.number.to_string());
            let number = port.number.to_string();
            let cluster = [
                ("port", &*number),
                ("cluster-enabled", "yes"),
                ("cluster-port", &*bus),
                ("cluster-replica-validity-factor", "0"),
            ];
            Redis::run(port, &[&cluster, settings])
        };
        let cluster = Self {
            nodes: ports.iter().map(node).collect(),
            _ports: ports,
        };
        cluster.join();
        cluster
    }

    /// Where it is: all nodes, so that any may be away.
    pub fn url(&self) -> String {
        let nodes = self.nodes.iter();
        let nodes: Vec<_> = nodes
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect();
        format!("redis-cluster://{}", nodes.join(","))
    }

    fn join(&self) {
        let mut links: Vec<_> = self.nodes.iter().map(link).collect();
        let mut ids = Vec::new();
        for (number, link) in links.iter_mut().enumerate() {
            ids.push(ask::<String>(link, "CLUSTER MYID"));
            // Epochs that differ settle at once who has which slots.
            ask::<String>(link, &format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
        }
        for (number, link) in links.iter_mut().take(MASTERS).enumerate() {
            let (first, next) = (SLOTS * number / MASTERS, SLOTS * (number + 1) / MASTERS);
            ask::<String>(link, &format!("CLUSTER ADDSLOTSRANGE {first} {}", next - 1));
        }
        for (node, bus) in self.nodes.iter().zip(&self._ports).skip(1) {
            let (port, bus) = (node.port(), bus.number);
            ask::<String>(
                &mut links[0],
                &format!("CLUSTER MEET 127.0.0.1 {port} {bus}"),
            );
        }
        for link in &mut links {
            let all = format!("cluster_known_nodes:{}", self.nodes.len());
            until(link, "CLUSTER INFO", |info: &String| info.contains(&all));
        }
        let (masters, replicas) = links.split_at_mut(MASTERS);
        for (replica, master) in replicas.iter_mut().zip(&ids) {
            ask::<String>(replica, &format!("CLUSTER REPLICATE {master}"));
        }
        for replica in replicas {
            until(replica, "INFO replication", |info: &String| {
                info.contains("master_link_status:up")
            });
            until(replica, "CLUSTER INFO", |info: &String| {
                info.contains("cluster_state:ok")
            });
        }
        for master in masters {
            until(master, "CLUSTER INFO", |info: &String| {
                info.contains("cluster_state:ok")
            });
            // Whoever asks for the map is told of every replica.
            until(master, "CLUSTER NODES", |nodes: &String| {
                nodes.matches(" slave ").count() == MASTERS
            });
        }
    }
}
