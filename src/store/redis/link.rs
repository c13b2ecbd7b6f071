//! The way to the servers, whatever their arrangement: one, a group under sentinels, or a cluster.

use std::sync::Arc;

use redis::{Cmd, FromRedisValue, Value, from_redis_value};

use super::dial::Dial;
use super::node::{Finder, Node, Proof};
use super::sentinel::Sentinels;
use super::step::Step;
use super::trouble::Trouble;
use super::url::{Shape, Url};
use crate::config;
use crate::store::Error;

/// The way to the servers. It connects when used, and again for ever.
pub(super) struct Link {
    way: Way,
}

enum Way {
    One(Arc<Node>),
}

impl Link {
    /// Does not connect yet. The error is for the operator.
    pub fn new(url: Url, redis: &config::Redis) -> Result<Self, String> {
        let database = match url.shape {
            Shape::Single { database, .. } => database,
            _ => 0,
        };
        let dial = Arc::new(Dial::new(&url, database, redis)?);
        let finder = match url.shape {
            Shape::Single { server, .. } => Finder::At(server),
            Shape::Sentinel { sentinels, name } => Finder::By(Sentinels {
                addresses: sentinels,
                name,
            }),
            Shape::Cluster(_) => return Err("not yet".into()),
        };
        Ok(Self {
            way: Way::One(Node::new(finder, Proof::Writes, dial)),
        })
    }

    /// Runs a step on keys that all share a hash tag. It is never run twice: if the connection dies
    /// first, nobody knows whether it was done.
    pub async fn run<T: FromRedisValue>(
        &self,
        step: &Step,
        keys: &[String],
        arguments: &[Vec<u8>],
    ) -> Result<T, Error> {
        let tag = keys.first().map_or("", String::as_str);
        let mut answer = self.send(tag, &step.by_name(keys, arguments)).await;
        if matches!(&answer, Err(trouble) if trouble.is_step_unknown()) {
            answer = self.send(tag, &step.in_full(keys, arguments)).await;
        }
        self.read(answer)
    }

    /// Sends a plain command about one key.
    pub async fn ask<T: FromRedisValue>(&self, key: &str, command: &Cmd) -> Result<T, Error> {
        let answer = self.send(key, command).await;
        self.read(answer)
    }

    async fn send(&self, _key: &str, command: &Cmd) -> Result<Value, Trouble> {
        match &self.way {
            Way::One(node) => node.send(command).await,
        }
    }

    fn read<T: FromRedisValue>(&self, answer: Result<Value, Trouble>) -> Result<T, Error> {
        let Way::One(node) = &self.way;
        let answer = answer.map_err(|trouble| trouble.explained(&node.server()))?;
        from_redis_value(answer)
            .map_err(|error| Error::Broken(format!("redis at {}: {error}", node.server())))
    }
}
