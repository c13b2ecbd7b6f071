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
mod opening;
mod outbox;
mod refresh;
mod sessions;
mod users;
mod volleys;
mod world;

/// Where the promises have to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The embedded store, on a file of its own in a temporary folder.
    File,
    /// The embedded store in memory.
    Memory,
    /// A Redis server, under a prefix of its own; accounts and sessions in memory.
    Redis,
}

impl Backend {
    /// How many parts count apart what together they bound: the ceilings of the service.
    pub fn parts(self) -> u32 {
        match self {
            Self::File | Self::Memory => 1,
            Self::Redis => 16,
        }
    }
}

macro_rules! on_every_backend {
    ($($promise:ident),+ $(,)?) => {
        crate::promises::on_every_backend!(in file on File: $($promise),+);
        crate::promises::on_every_backend!(in memory on Memory: $($promise),+);
        crate::promises::on_every_backend!(in redis on Redis: $($promise),+);
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
