//! What `src/store.rs` promises, run against every backend that keeps it.
//!
//! A promise is one small test that takes the backend. `on_every_backend!` lists a file's promises
//! once and names each per backend, so that a failure reads `promises::sessions::file::…`. One that
//! is left out of the list is dead code, which does not pass the checks.

mod agreement;
mod budgets;
mod challenges;
mod claims;
mod histories;
mod limits;
mod on_redis;
mod opening;
mod outbox;
mod refresh;
mod sessions;
mod suppressions;
mod sweeping;
mod users;
mod volleys;
mod world;

pub use crate::backend::Backend;

macro_rules! on_every_backend {
    ($($promise:ident),+ $(,)?) => {
        crate::promises::on_every_backend!(in file on File: $($promise),+);
        crate::promises::on_every_backend!(in memory on Memory: $($promise),+);
        crate::promises::on_every_backend!(in servers on Servers: $($promise),+);
        crate::promises::on_every_backend!(in cluster on Cluster: $($promise),+);
    };
    (in $module:ident on $backend:ident: $($promise:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    super::$promise(crate::promises::Backend::$backend).await;
                }
            )+
        }
    };
}
use on_every_backend;
