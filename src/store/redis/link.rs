//! The way to the servers, whatever their arrangement: one, a group under sentinels, or a cluster.

use std::sync::Arc;

use redis::{Cmd, FromRedisValue, Value, from_redis_value};

use super::cluster::Cluster;
use super::dial::Dial;
use super::node::{Finder, Node, Proof};
use super::sentinel::Sentinels;
use super::step::Step;
use super::trouble::Trouble;
use super::url::{Shape, Url};
use crate::config;
use crate::store::Error;

/// The way to the servers. It connects when used, and again for ever.
pub(super) enum Link {
    One(Arc<Node>),
    Cluster(Arc<Cluster>),
}

impl Link {
    /// Does not connect yet. The error is for the operator.
    pub fn new(url: &Url, redis: &config::Redis) -> Result<Self, String> {
        let dial = Arc::new(Dial::new(url, redis)?);
        let one = |finder| Self::One(Node::new(finder, Proof::Writes, Arc::clone(&dial)));
        Ok(match &url.shape {
            Shape::Single { server, .. } => one(Finder::At(server.clone())),
            Shape::Sentinel { sentinels, name } => one(Finder::By(Sentinels {
                addresses: sentinels.clone(),
                name: name.clone(),
            })),
            Shape::Cluster(seeds) => Self::Cluster(Cluster::new(seeds.clone(), dial)),
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
        // The server does not know it by its name yet, or was restarted.
        if matches!(&answer, Err(trouble) if trouble.code() == "NOSCRIPT") {
            answer = self.send(tag, &step.in_full(keys, arguments)).await;
        }
        read(answer)
    }

    /// Sends a plain command about one key.
    pub async fn ask<T: FromRedisValue>(&self, key: &str, command: &Cmd) -> Result<T, Error> {
        read(self.send(key, command).await)
    }

    /// What the server that has a key says of itself, if we may ask.
    pub async fn info(&self, key: &str) -> Result<Option<String>, Error> {
        let answer = self.send(key, &redis::cmd("INFO")).await;
        match answer {
            Err(trouble) if trouble.code() == "NOPERM" => Ok(None),
            answer => read(answer).map(Some),
        }
    }

    /// Keys that begin with this one, one for each server that takes writes.
    pub async fn keys_everywhere(&self, base: &str) -> Result<Vec<String>, Error> {
        match self {
            Self::One(_) => Ok(vec![base.to_owned()]),
            Self::Cluster(cluster) => cluster.keys_everywhere(base).await,
        }
    }

    async fn send(&self, key: &str, command: &Cmd) -> Result<Value, Trouble> {
        match self {
            Self::One(node) => node.send(command).await,
            Self::Cluster(cluster) => cluster.send(key, command).await,
        }
    }
}

fn read<T: FromRedisValue>(answer: Result<Value, Trouble>) -> Result<T, Error> {
    from_redis_value(answer.map_err(Trouble::explained)?)
        .map_err(|error| Error::Broken(format!("redis answered something else: {error}")))
}
