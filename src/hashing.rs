//! The pool that hashes passwords: few threads that keep their memory, and a short queue.
//!
//! A hash costs 19 MiB and some 20 ms. Without a bound, a few hundred registrations at once would
//! take the machine's memory; without an end to the queue, its time.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::entropy;
use crate::error::Error;
use crate::model::password::Password;
use crate::model::user::PasswordHash;
use crate::secret::same;

/// OWASP Password Storage Cheat Sheet: Argon2id with m = 19 MiB, t = 2, p = 1.
const MEMORY_KIB: u32 = 19 * 1024;
/// What a thread keeps for that.
pub const MEMORY_BYTES: u64 = MEMORY_KIB as u64 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// The handle to the pool. Its threads end when the last handle is gone.
pub struct Hasher {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    /// Verified instead of an account's hash where there is none, so that it takes as long.
    decoy: PasswordHash,
}

/// Room for one hash. It is taken until the hash is made, also if nobody waits for it any more.
pub struct Room {
    _permit: OwnedSemaphorePermit,
}

struct Job {
    password: Password,
    task: Task,
    room: Room,
}

enum Task {
    Hash {
        salt: [u8; SALT_BYTES],
        answer: oneshot::Sender<PasswordHash>,
    },
    Verify {
        hash: PasswordHash,
        answer: oneshot::Sender<bool>,
    },
}

impl Hasher {
    /// Starts so many threads, with room for so many waiting jobs.
    pub fn start(threads: usize, queue: usize) -> std::io::Result<Self> {
        // The rooms are what bounds it.
        let (jobs, waiting) = mpsc::channel();
        let room = Arc::new(Semaphore::new(threads + queue));
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || work(&waiting))?;
        }
        let decoy = phc(&entropy::random::<SALT_BYTES>(), &[0; HASH_BYTES]);
        Ok(Self { jobs, room, decoy })
    }

    /// Room for one hash, or at once that there is none. Taken before anything is counted that only
    /// a hash decides.
    pub fn room(&self) -> Result<Room, Error> {
        let permit = Arc::clone(&self.room).try_acquire_owned();
        permit
            .map(|permit| Room { _permit: permit })
            .map_err(|_| Error::Busy)
    }

    /// Hashes a new password under a fresh salt.
    pub async fn hash(&self, room: Room, password: Password) -> Result<PasswordHash, Error> {
        let (answer, made) = oneshot::channel();
        let salt = entropy::random();
        let task = Task::Hash { salt, answer };
        self.queue(Job {
            password,
            task,
            room,
        })?;
        made.await
            .map_err(|_| Error::Internal("a hashing thread ended".into()))
    }

    /// Whether a password has this hash. Without one it is no, after the same work.
    pub async fn verify(
        &self,
        room: Room,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<bool, Error> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let (answer, made) = oneshot::channel();
        let task = Task::Verify { hash, answer };
        self.queue(Job {
            password,
            task,
            room,
        })?;
        let right = made
            .await
            .map_err(|_| Error::Internal("a hashing thread ended".into()))?;
        Ok(right && known)
    }

    fn queue(&self, job: Job) -> Result<(), Error> {
        self.jobs
            .send(job)
            .map_err(|_| Error::Internal("the hashing threads ended".into()))
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    // Kept between hashes: asking the system for 19 MiB each time costs a quarter more.
    let mut memory = vec![Block::default(); MEMORY_KIB as usize];
    loop {
        let job = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(Job {
            password,
            task,
            room,
        }) = job
        else {
            return;
        };
        match task {
            // Nobody waits any more: the client or the request's deadline is gone.
            Task::Hash { answer, .. } if answer.is_closed() => {}
            Task::Verify { answer, .. } if answer.is_closed() => {}
            Task::Hash { salt, answer } => {
                let cost = (MEMORY_KIB, PASSES, LANES);
                let hash = argon2id(&password, &salt, cost, &mut memory);
                drop(room);
                // Nobody takes it if they left while it ran.
                let _ = hash.map(|hash| answer.send(phc(&salt, &hash)));
            }
            Task::Verify { hash, answer } => {
                let right = is_right(&password, &hash, &mut memory);
                drop(room);
                let _ = answer.send(right);
            }
        }
    }
}

fn is_right(password: &Password, hash: &PasswordHash, memory: &mut Vec<Block>) -> bool {
    let Some((cost, salt, expected)) = parse(&hash.0) else {
        return false;
    };
    argon2id(password, &salt, cost, memory).is_some_and(|found| same(&found, &expected))
}

fn argon2id(
    password: &Password,
    salt: &[u8],
    (memory_kib, passes, lanes): (u32, u32, u32),
    memory: &mut Vec<Block>,
) -> Option<[u8; HASH_BYTES]> {
    let params = Params::new(memory_kib, passes, lanes, Some(HASH_BYTES)).ok()?;
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    let mut hash = [0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password.bytes(), salt, &mut hash, memory)
        .ok()?;
    Some(hash)
}

/// The PHC form, as every Argon2 library writes it.
fn phc(salt: &[u8], hash: &[u8]) -> PasswordHash {
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    PasswordHash(format!(
        "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}"
    ))
}

type Cost = (u32, u32, u32);

fn parse(phc: &str) -> Option<(Cost, Vec<u8>, Vec<u8>)> {
    let mut parts = phc.strip_prefix("$argon2id$v=19$")?.split('$');
    let mut costs = parts.next()?.split(',');
    let mut cost = |name| costs.next()?.strip_prefix(name)?.parse().ok();
    let cost = (cost("m=")?, cost("t=")?, cost("p=")?);
    let mut bytes = || STANDARD_NO_PAD.decode(parts.next()?).ok();
    Some((cost, bytes()?, bytes()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Password {
        Password::typed(text).unwrap()
    }

    async fn fits(hasher: &Hasher, text: &str, hash: Option<PasswordHash>) -> bool {
        let room = hasher.room().unwrap();
        hasher.verify(room, typed(text), hash).await.unwrap()
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_and_no_other() {
        let hasher = Hasher::start(1, 4).unwrap();
        let hash = async || {
            let room = hasher.room().unwrap();
            hasher.hash(room, typed("pass123")).await.unwrap()
        };
        let first = hash().await;
        assert!(fits(&hasher, "pass123", Some(first.clone())).await);
        assert!(!fits(&hasher, "pass124", Some(first.clone())).await);
        assert!(!fits(&hasher, "pass123", None).await);
        assert!(!fits(&hasher, "x", Some(PasswordHash("damaged".into()))).await);
        assert_ne!(hash().await, first);
    }

    /// From the reference implementation: `echo -n password | argon2 somesalt16bytes! -id -t 2 -k 19456 -p 1 -e`.
    #[test]
    fn the_hash_is_everyones_argon2id() {
        let mut memory = Vec::new();
        let theirs = PasswordHash(include_str!("hashing/reference.txt").trim().into());
        assert!(is_right(&typed("password"), &theirs, &mut memory));
        assert!(!is_right(&typed("passwore"), &theirs, &mut memory));
    }

    #[tokio::test]
    async fn a_full_pool_refuses_at_once_and_has_room_again_after_each_hash() {
        let hasher = Hasher::start(1, 1).unwrap();
        let (first, second) = (hasher.room().unwrap(), hasher.room().unwrap());
        assert!(matches!(hasher.room(), Err(Error::Busy)));
        // Given up before it began, and used: both leave their room.
        drop(first);
        let hash = hasher.hash(second, typed("pass123")).await.unwrap();
        assert!(fits(&hasher, "pass123", Some(hash)).await);
        let rooms = [hasher.room(), hasher.room()];
        assert!(rooms.iter().all(Result::is_ok));
    }
}
