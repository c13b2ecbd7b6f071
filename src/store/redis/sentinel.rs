//! Sentinels: who is the master at the moment.

use std::sync::Arc;

use redis::{Value, from_redis_value};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::dial::Dial;
use super::trouble::{Trouble, unavailable};
use super::url::Address;
use crate::store::Error;

/// The sentinels, and the name by which they know the servers.
pub(super) struct Sentinels {
    pub addresses: Vec<Address>,
    pub name: String,
}

impl Sentinels {
    /// One of them, to have a name for what cannot be reached.
    pub fn first(&self) -> Address {
        self.addresses[0].clone()
    }

    /// Whom most of those who answer name. All are asked at once: a dead one must not cost time
    /// while everyone waits, and one that was cut off still names the former master.
    pub async fn master(&self, dial: &Arc<Dial>) -> Result<Address, Error> {
        let mut asked = JoinSet::new();
        for sentinel in &self.addresses {
            let (dial, sentinel, name) = (Arc::clone(dial), sentinel.clone(), self.name.clone());
            asked.spawn(async move { ask(&dial, &sentinel, &name).await });
        }
        let mut named: Vec<(Address, usize)> = Vec::new();
        let mut trouble = None;
        let until = Instant::now() + dial.timeout / 2;
        while let Ok(Some(answer)) = timeout_at(until, asked.join_next()).await {
            match answer {
                Ok(Ok(master)) => match named.iter_mut().find(|(known, _)| *known == master) {
                    Some((_, votes)) => *votes += 1,
                    None => named.push((master, 1)),
                },
                Ok(Err(error)) => trouble = Some(error),
                Err(_) => {}
            }
        }
        let most = named.into_iter().max_by_key(|(_, votes)| *votes);
        most.map(|(master, _)| master).ok_or_else(|| {
            trouble.unwrap_or_else(|| unavailable(&self.first(), "no sentinel answers"))
        })
    }
}

async fn ask(dial: &Dial, sentinel: &Address, name: &str) -> Result<Address, Error> {
    let question = redis::cmd("SENTINEL")
        .arg("get-master-addr-by-name")
        .arg(name)
        .to_owned();
    let mut dialled = dial.reach(sentinel).await?;
    let mut answer = dialled.ask(&question, sentinel, dial.timeout).await;
    // Most sentinels ask for no password, and refuse one; the others have the servers' one.
    if matches!(&answer, Err(trouble) if trouble.code() == Some("NOAUTH")) && dial.has_password() {
        dialled = dial.connect(sentinel).await?;
        answer = dialled.ask(&question, sentinel, dial.timeout).await;
    }
    match answer {
        Ok(Value::Nil) => Err(unavailable(
            sentinel,
            format!("this sentinel knows no master {name:?}: see the end of REDIS_URL"),
        )),
        Ok(answer) => {
            let (host, port) = from_redis_value(answer).map_err(|error| {
                Error::Broken(format!("the sentinel at {sentinel} answered {error}"))
            })?;
            Ok(Address { host, port })
        }
        Err(trouble) => Err(refused(trouble, sentinel)),
    }
}

fn refused(trouble: Trouble, sentinel: &Address) -> Error {
    match trouble.code() {
        Some("ERR") => unavailable(
            sentinel,
            "it is no sentinel: write redis:// in REDIS_URL, or the sentinels' port (26379)",
        ),
        _ => trouble.explained(sentinel),
    }
}
