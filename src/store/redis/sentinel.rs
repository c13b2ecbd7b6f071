//! Sentinels: who is the master at the moment.

use std::sync::Arc;

use redis::{Value, from_redis_value};
use tokio::task::JoinSet;

use super::ballot::most_say;
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

    /// Whom most of them name.
    pub async fn master(&self, dial: &Arc<Dial>) -> Result<Address, Error> {
        let mut asked = JoinSet::new();
        for sentinel in &self.addresses {
            let (dial, sentinel, name) = (Arc::clone(dial), sentinel.clone(), self.name.clone());
            asked.spawn(async move { ask(&dial, &sentinel, &name).await });
        }
        let named = most_say(asked, dial.timeout).await;
        let silent = || unavailable(&self.first(), "no sentinel answers");
        named.map_err(|trouble| trouble.unwrap_or_else(silent))
    }
}

async fn ask(dial: &Dial, sentinel: &Address, name: &str) -> Result<Address, Error> {
    let question = redis::cmd("SENTINEL")
        .arg("get-master-addr-by-name")
        .arg(name)
        .to_owned();
    let mut dialled = dial.reach(sentinel).await?;
    let mut answer = dialled.ask(&question, sentinel).await;
    // Most sentinels ask for no password, and refuse one; the others have the servers' one.
    if matches!(&answer, Err(trouble) if trouble.code() == "NOAUTH") && dial.has_password() {
        dialled = dial.connect(sentinel).await?;
        answer = dialled.ask(&question, sentinel).await;
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
        "ERR" => unavailable(
            sentinel,
            "it is no sentinel: write redis:// in REDIS_URL, or the sentinels' port (26379)",
        ),
        _ => trouble.explained(),
    }
}
