//! The store past one machine: challenges and sessions in Redis or Valkey, one Lua step per promise.
//!
//! `link.rs` is the way to the servers, `step.rs` what is run there. Keys of one step share a hash
//! tag, so that a cluster has them in one place; every key has a TTL, which only sweeps: steps
//! compare instants that are passed in.

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::{Error, Rules, Store, instant, json};
use crate::config;
use about::About;
use link::Link;
use step::{Step, step};
use trouble::OF_CLUSTER;
use url::{Shape, Url};

mod about;
mod ballot;
mod challenges;
mod cluster;
mod dial;
pub mod examine;
mod keys;
mod link;
mod node;
mod outbox;
mod record;
mod sentinel;
mod sessions;
mod step;
mod terms;
mod trouble;
mod url;

/// Writes what is gone in a minute, and tells the server's clock.
static CHECK: Step = step!("", "redis/check.lua");

/// An open store.
pub struct Redis {
    link: Link,
    rules: Rules,
    /// What all its keys begin with.
    prefix: String,
    place: String,
    kind: &'static str,
}

impl Redis {
    /// A store on these servers, which does not connect yet. The error says what to set.
    pub fn new(url: &SecretString, redis: &config::Redis, rules: Rules) -> Result<Self, String> {
        let url = Url::parse(url)?;
        Ok(Self {
            place: url.to_string(),
            kind: match url.shape {
                Shape::Single { .. } => "redis",
                Shape::Cluster(_) => "redis-cluster",
                Shape::Sentinel { .. } => "redis-sentinel",
            },
            link: Link::new(&url, redis)?,
            rules,
            prefix: redis.key_prefix.clone(),
        })
    }
}

#[async_trait]
impl Store for Redis {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn kind(&self) -> &'static str {
        self.kind
    }

    async fn prepare(&self) -> Result<(), Error> {
        self.check().await?;
        for key in self.everywhere().await? {
            let said = self.link.info(&key).await?.unwrap_or_default();
            let about = About(&said);
            if self.kind != "redis-cluster" && about.is_of_cluster() {
                return Err(Error::Unavailable(format!(
                    "{}: {}",
                    self.place, OF_CLUSTER[0]
                )));
            }
            for remark in about.remarks() {
                tracing::warn!(redis = self.place, "{remark}");
            }
        }
        Ok(())
    }

    /// At every server that takes writes; the clock is that of the last.
    async fn check(&self) -> Result<Timestamp, Error> {
        let mut clock = (0, 0);
        for key in self.everywhere().await? {
            clock = self.link.run::<(i64, i64)>(&CHECK, &[key], &[]).await?;
        }
        time(clock)
    }
}

/// An instant as the command TIME tells it: seconds, and microseconds within.
fn time((seconds, micros): (i64, i64)) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(seconds.saturating_mul(1_000_000).saturating_add(micros))
        .map_err(|error| Error::Broken(format!("the clock of Redis: {error}")))
}

impl Redis {
    async fn everywhere(&self) -> Result<Vec<String>, Error> {
        self.link
            .keys_everywhere(&format!("{}check", self.prefix))
            .await
    }
}

/// A number as Lua reads it.
fn decimal(number: impl std::fmt::Display) -> Vec<u8> {
    number.to_string().into_bytes()
}
