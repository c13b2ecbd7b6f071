//! A cluster: which node has which keys, and following them when they move.
//!
//! Ours and not the crate's, because that one sends a command again after its connection broke, when
//! it may have been done already; here only what a node refused to do is sent on.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, FromRedisValue as _, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::ballot::most_say;
use super::dial::Dial;
use super::node::{Finder, Node, Proof};
use super::trouble::{Trouble, unavailable};
use super::url::Address;
use crate::store::Error;

/// Slots are what a cluster hands out among its nodes.
const SLOTS: u16 = 16384;
/// How often a command is sent on: more hops than any move of a slot takes.
const HOPS: usize = 5;
/// Before a command is sent again to a node that is being handed its keys.
const HANDOVER: Duration = Duration::from_millis(50);
/// From one drawing of the map to the next.
const PAUSE: Duration = Duration::from_millis(500);
/// How many nodes are asked for the map: enough that one of yesterday is outvoted.
const VOTERS: usize = 7;

/// The nodes of a cluster and who has what.
pub(super) struct Cluster {
    seeds: Vec<Arc<Node>>,
    dial: Arc<Dial>,
    state: watch::Sender<State>,
    /// Nodes that were pointed to and are not on the map yet.
    strays: Mutex<HashMap<Address, Arc<Node>>>,
}

struct State {
    map: Option<Arc<Map>>,
    /// Why there is no map yet.
    why: Option<Error>,
    /// Whether something does not fit the map.
    is_doubted: bool,
    is_being_drawn: bool,
    /// Not to be drawn before.
    until: Instant,
}

impl State {
    fn is_to_be_drawn(&self) -> bool {
        self.is_doubted && !self.is_being_drawn && self.until <= Instant::now()
    }
}

#[derive(Default)]
struct Map {
    /// By the first slot of each range: the last one, and who has it.
    ranges: BTreeMap<u16, (u16, Arc<Node>)>,
    /// All masters.
    nodes: HashMap<Address, Arc<Node>>,
}

/// First and last slot, and the master that has them.
type Range = (u16, u16, Address);

impl Cluster {
    pub fn new(seeds: Vec<Address>, dial: Arc<Dial>) -> Arc<Self> {
        let seeds = seeds.into_iter().map(|seed| node(seed, &dial)).collect();
        Arc::new(Self {
            seeds,
            dial,
            state: watch::Sender::new(State {
                map: None,
                why: None,
                is_doubted: true,
                is_being_drawn: false,
                until: Instant::now(),
            }),
            strays: Mutex::default(),
        })
    }

    /// Sends a command to whoever has the key.
    pub async fn send(self: &Arc<Self>, key: &str, command: &Cmd) -> Result<Value, Trouble> {
        let limit = self.dial.timeout * 2;
        match timeout(limit, self.follow(slot(key.as_bytes()), command)).await {
            Ok(answer) => answer,
            Err(_) => {
                self.doubt();
                let first = self.seeds[0].server();
                let what = format!("the cluster did not answer within {limit:?}");
                Err(Trouble::Lost(unavailable(&first, what)))
            }
        }
    }

    async fn follow(self: &Arc<Self>, slot: u16, command: &Cmd) -> Result<Value, Trouble> {
        let mut node = self.owner(slot).await.map_err(Trouble::Lost)?;
        let mut answer = node.send(command).await;
        for _ in 0..HOPS {
            let Err(trouble) = &answer else {
                return answer;
            };
            // Only what was refused is sent again, so it is not done twice.
            match (trouble.code(), trouble.points_to()) {
                ("MOVED", Some(to)) => {
                    self.doubt();
                    node = self.at(to);
                    answer = node.send(command).await;
                }
                ("ASK", Some(to)) => answer = self.at(to).send_asking(command).await,
                ("TRYAGAIN", _) => {
                    sleep(HANDOVER).await;
                    answer = node.send(command).await;
                }
                _ => break,
            }
        }
        if matches!(&answer, Err(trouble) if trouble.ends_connection()) {
            self.doubt();
        }
        answer
    }

    /// A key for each master, which that one has: this one, with something in braces after it.
    pub async fn keys_everywhere(self: &Arc<Self>, base: &str) -> Result<Vec<String>, Error> {
        let map = self.map().await?;
        let mut found: Vec<(String, &Arc<Node>)> = Vec::new();
        // Far more than it takes; a prefix with braces of its own keeps all keys in one place.
        for n in 0..map.nodes.len() * 256 {
            let key = format!("{base}{{{n}}}");
            match map.owner(slot(key.as_bytes())) {
                Some(owner) if found.iter().all(|(_, known)| !Arc::ptr_eq(known, owner)) => {
                    found.push((key, owner));
                }
                _ => {}
            }
            if found.len() == map.nodes.len() {
                break;
            }
        }
        if found.is_empty() {
            return Err(unavailable(
                &self.seeds[0].server(),
                "no node of the cluster has any slots (see CLUSTER SLOTS)",
            ));
        }
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }

    async fn owner(self: &Arc<Self>, slot: u16) -> Result<Arc<Node>, Error> {
        let map = self.map().await?;
        map.owner(slot).cloned().ok_or_else(|| {
            self.doubt();
            unavailable(
                &self.seeds[0].server(),
                format!("no node of the cluster has slot {slot} (see CLUSTER SLOTS)"),
            )
        })
    }

    /// The node at an address, on the map or not yet.
    fn at(&self, address: Address) -> Arc<Node> {
        if let Some(map) = &self.state.borrow().map
            && let Some(known) = map.nodes.get(&address)
        {
            return Arc::clone(known);
        }
        let mut strays = self.strays();
        let stray = strays.entry(address.clone());
        Arc::clone(stray.or_insert_with(|| node(address, &self.dial)))
    }

    fn strays(&self) -> MutexGuard<'_, HashMap<Address, Arc<Node>>> {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the map drawn anew, soon.
    fn doubt(&self) {
        self.state.send_modify(|state| state.is_doubted = true);
    }

    /// The map; where one is there, it is used until the next one is drawn.
    async fn map(self: &Arc<Self>) -> Result<Arc<Map>, Error> {
        {
            let state = self.state.borrow();
            if let Some(map) = &state.map
                && !state.is_to_be_drawn()
            {
                return Ok(Arc::clone(map));
            }
        }
        let mut watcher = self.state.subscribe();
        let begins = self.state.send_if_modified(|state| {
            let begins = state.is_to_be_drawn();
            state.is_being_drawn |= begins;
            begins
        });
        if begins {
            tokio::spawn(Arc::clone(self).draw());
        }
        if let Some(map) = &self.state.borrow().map {
            return Ok(Arc::clone(map));
        }
        let settled = watcher.wait_for(|state| !state.is_being_drawn);
        if timeout(self.dial.timeout * 2, settled).await.is_ok() {
            let state = self.state.borrow();
            if let Some(map) = &state.map {
                return Ok(Arc::clone(map));
            }
            if let Some(why) = &state.why {
                return Err(why.clone());
            }
        }
        Err(unavailable(
            &self.seeds[0].server(),
            "there is no map of the cluster yet",
        ))
    }

    async fn draw(self: Arc<Self>) {
        let known = self.state.borrow().map.clone().unwrap_or_default();
        let mut asked = JoinSet::new();
        // Masters before seeds: those may have gone since this process was set up.
        let mut voters: Vec<&Arc<Node>> = Vec::new();
        for node in known.nodes.values().chain(&self.seeds) {
            if voters.len() < VOTERS && voters.iter().all(|voter| voter.server() != node.server()) {
                voters.push(node);
            }
        }
        for node in voters {
            asked.spawn(ranges(Arc::clone(node)));
        }
        let drawn = most_say(asked, self.dial.timeout).await;
        self.state.send_modify(|state| {
            state.is_being_drawn = false;
            state.until = Instant::now() + PAUSE;
            match drawn {
                Ok(ranges) => {
                    let strays = std::mem::take(&mut *self.strays());
                    let known = known.nodes.iter().chain(&strays).collect();
                    state.map = Some(Arc::new(self.map_of(&ranges, &known)));
                    state.is_doubted = false;
                    state.why = None;
                }
                Err(why) => {
                    let silent =
                        || unavailable(&self.seeds[0].server(), "no node of the cluster answers");
                    state.why = Some(why.unwrap_or_else(silent));
                }
            }
        });
    }

    /// A new map keeps the connections that there are.
    fn map_of(&self, ranges: &[Range], known: &HashMap<&Address, &Arc<Node>>) -> Map {
        let mut map = Map::default();
        for (first, last, master) in ranges {
            let node = map.nodes.entry(master.clone()).or_insert_with(|| {
                let kept = known.get(master).map(|node| Arc::clone(node));
                kept.unwrap_or_else(|| node(master.clone(), &self.dial))
            });
            map.ranges.insert(*first, (*last, Arc::clone(node)));
        }
        map
    }
}

impl Map {
    fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        let (_, (last, node)) = self.ranges.range(..=slot).next_back()?;
        (slot <= *last).then_some(node)
    }
}

fn node(address: Address, dial: &Arc<Dial>) -> Arc<Node> {
    Node::new(Finder::At(address), Proof::Answers, Arc::clone(dial))
}

/// Who has what, as one node knows it.
async fn ranges(node: Arc<Node>) -> Result<Vec<Range>, Error> {
    let question = redis::cmd("CLUSTER").arg("SLOTS").to_owned();
    let answer = node.send(&question).await.map_err(Trouble::explained)?;
    let server = node.server();
    let broken = |why: String| Error::Broken(format!("redis at {server}: CLUSTER SLOTS: {why}"));
    let answer =
        Vec::<Vec<Value>>::from_redis_value(answer).map_err(|error| broken(error.to_string()))?;
    let mut ranges = Vec::new();
    for range in answer {
        let range = range_of(&range, &server).ok_or_else(|| broken(format!("{range:?}")))?;
        ranges.push(range);
    }
    ranges.sort_unstable_by_key(|(first, ..)| *first);
    Ok(ranges)
}

fn range_of(range: &[Value], asked: &Address) -> Option<Range> {
    let [
        Value::Int(first),
        Value::Int(last),
        Value::Array(master),
        ..,
    ] = range
    else {
        return None;
    };
    let [host, Value::Int(port), ..] = master.as_slice() else {
        return None;
    };
    let host = Option::<String>::from_redis_value_ref(host).ok()?;
    let named = host.filter(|host| !host.is_empty() && host != "?");
    Some((
        u16::try_from(*first).ok()?,
        u16::try_from(*last).ok().filter(|last| *last < SLOTS)?,
        Address {
            // A node that knows no name for itself means the one that it was asked by.
            host: named.unwrap_or_else(|| asked.host.clone()),
            port: u16::try_from(*port).ok()?,
        },
    ))
}

/// The slot of a key: CRC-16 (XMODEM) of its hash tag, which is what stands in the first braces, or
/// else of all of it (Redis cluster specification, "Key distribution model").
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|&b| b == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|&b| b == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_servers() {
        // The specification's own vector, and `CLUSTER KEYSLOT`.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"bar"), 5061);
        assert_eq!(slot(b"aidlc-auth:{p9}:outbox"), slot(b"p9"));
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        // No tag: all of it counts.
        assert_ne!(slot(b"a{}b"), slot(b"c{}b"));
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
    }

    #[test]
    fn a_range_is_read_as_servers_of_all_kinds_say_it() {
        let asked = Address {
            host: "asked".into(),
            port: 1,
        };
        let text = |text: &str| Value::BulkString(text.into());
        let range = |host: Value| {
            let master = Value::Array(vec![host, Value::Int(7000), text("id")]);
            let replica = Value::Array(vec![text("10.0.0.2"), Value::Int(7001), text("id")]);
            range_of(&[Value::Int(0), Value::Int(5460), master, replica], &asked)
        };
        let host = |range: Option<Range>| range.map(|(.., address)| address.host);
        assert_eq!(host(range(text("10.0.0.1"))).as_deref(), Some("10.0.0.1"));
        for unknown in [Value::Nil, text(""), text("?")] {
            assert_eq!(host(range(unknown)).as_deref(), Some("asked"));
        }
        assert_eq!(range_of(&[Value::Int(0), Value::Int(5460)], &asked), None);
        let master = Value::Array(vec![text("a"), Value::Int(70000)]);
        assert_eq!(
            range_of(&[Value::Int(0), Value::Int(1), master], &asked),
            None
        );
    }
}
