//! The embedded store: one SQLite file for all three traits. Durable, with nothing to install.
//!
//! WAL and synchronous=FULL: an answer that says "done" is on the disk. One thread writes
//! (`writer.rs`); point reads run on the thread that asks.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema::{Missing, Schema};
use super::{Error, Rules, Store, instant, json};
use writer::Writer;

mod challenges;
mod migrate;
mod sessions;
pub mod statements;
mod users;
mod writer;

/// Enough that readers rarely meet: a read takes microseconds.
const READERS: usize = 4;
/// How long a statement waits for an operator's command that writes to the same file.
const BUSY: Duration = Duration::from_secs(5);
/// Statements kept prepared per connection: more than there are.
const STATEMENTS: usize = 96;
/// How long a check's write stands for those that follow: anyone may ask, and each costs a fsync.
const CHECKED_FOR: Duration = Duration::from_secs(1);

/// An open store.
pub struct Sqlite {
    path: Option<PathBuf>,
    writer: Writer,
    readers: Vec<Arc<Mutex<Connection>>>,
    next_reader: AtomicUsize,
    rules: Rules,
    clock: fn() -> Timestamp,
    /// When a check last wrote.
    checked_at: Mutex<Option<Timestamp>>,
    /// Held while the service runs on this file.
    _lock: Option<File>,
}

/// What for a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// To serve: alone, and bringing the schema up to date.
    Serve,
    /// To look after it, beside a service that may be running.
    Operate,
}

impl Sqlite {
    /// Opens a file, making it and its folder if need be. The error says what to do.
    pub fn open(path: &Path, usage: Use, rules: Rules) -> Result<Self, String> {
        let lock = match usage {
            Use::Serve => Some(prepare(path)?),
            Use::Operate if path.exists() => None,
            Use::Operate => {
                return Err(format!(
                    "{} is not there: has the service ever run here?",
                    path.display()
                ));
            }
        };
        let explain = |error: rusqlite::Error| format!("{}: {error}", path.display());
        let mut main = connect(path).map_err(explain)?;
        let migrated = match usage {
            Use::Serve => migrate::run(&mut main).map(drop),
            Use::Operate => migrate::check(&main),
        };
        migrated.map_err(|why| format!("{}: {why}", path.display()))?;
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let reader = connect(path).map_err(explain)?;
            reader
                .pragma_update(None, "query_only", true)
                .map_err(explain)?;
            readers.push(Arc::new(Mutex::new(reader)));
        }
        Self::start(Some(path.to_owned()), main, readers, rules, lock)
    }

    /// A store in memory: everything in it is gone with the process.
    pub fn memory(rules: Rules) -> Result<Self, String> {
        let mut only = Connection::open_in_memory().map_err(|error| error.to_string())?;
        configure(&only).map_err(|error| error.to_string())?;
        migrate::run(&mut only)?;
        Self::start(None, only, Vec::new(), rules, None)
    }

    fn start(
        path: Option<PathBuf>,
        main: Connection,
        mut readers: Vec<Arc<Mutex<Connection>>>,
        rules: Rules,
        lock: Option<File>,
    ) -> Result<Self, String> {
        let main = Arc::new(Mutex::new(main));
        if readers.is_empty() {
            readers.push(Arc::clone(&main));
        }
        let writer =
            Writer::start(main).map_err(|error| format!("no thread for the store: {error}"))?;
        let clock = || crate::clock::Clock::now(&crate::clock::SystemClock);
        Ok(Self {
            path,
            writer,
            readers,
            next_reader: AtomicUsize::new(0),
            rules,
            clock,
            checked_at: Mutex::new(None),
            _lock: lock,
        })
    }

    /// What a file's schema is, beside what this release knows. Changes nothing.
    pub fn schema(path: &Path) -> Result<Schema, String> {
        migrate::look(path).map_err(|why| format!("{}: {why}", path.display()))
    }

    /// Brings a file's schema up to date, while no service runs on it. Tells what it lacked.
    pub fn migrate(path: &Path) -> Result<Missing, String> {
        let _lock = prepare(path)?;
        let explain = |why: String| format!("{}: {why}", path.display());
        let mut connection = connect(path).map_err(|error| explain(error.to_string()))?;
        migrate::run(&mut connection).map_err(explain)
    }

    /// Writes a copy of the database that leaves out what must not travel: sessions, challenges
    /// and what belongs to them. The service may be running.
    pub fn backup(from: &Path, to: &Path) -> Result<(), String> {
        migrate::backup(from, to)
    }

    /// Reads on the calling thread: it takes microseconds and waits for no disk that matters.
    fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        query(&self.reader()).map_err(translate)
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        let first = self.next_reader.fetch_add(1, Ordering::Relaxed);
        for offset in 0..self.readers.len() {
            if let Ok(reader) = self.readers[(first + offset) % self.readers.len()].try_lock() {
                return reader;
            }
        }
        self.readers[first % self.readers.len()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Sqlite {
    fn place(&self) -> String {
        match &self.path {
            Some(path) => format!("sqlite://{}", path.display()),
            None => "memory:".into(),
        }
    }

    fn kind(&self) -> &'static str {
        if self.path.is_some() {
            "sqlite"
        } else {
            "memory"
        }
    }

    async fn check(&self) -> Result<Timestamp, Error> {
        let asked = (self.clock)();
        self.read(|c| c.query_row("SELECT version FROM schema", [], |_| Ok(())))?;
        if !self.was_just_checked(asked) {
            // A write, because a full disk can still be read; and of a new value, because SQLite does
            // not write what is there already. The sweep takes the row away like any that is over.
            let micros = asked.as_microsecond();
            let row = "INSERT OR REPLACE INTO limits (name, arrival, expires_at) VALUES ('check', ?1, ?1)";
            self.writer.run(move |c| c.execute(row, [micros])).await?;
            *self.checked_at() = Some((self.clock)());
        }
        Ok((self.clock)())
    }
}

impl Sqlite {
    fn was_just_checked(&self, now: Timestamp) -> bool {
        self.checked_at()
            .is_some_and(|at| now.duration_since(at).unsigned_abs() < CHECKED_FOR)
    }

    fn checked_at(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.checked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the folder and takes the lock.
fn prepare(path: &Path) -> Result<File, String> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let unwritable = |error: std::io::Error| {
        format!(
            "cannot write to {}: {error}. Make the folder writable for this user, or name another place: \
             DATABASE_URL=sqlite:///var/lib/aidlc-auth/aidlc-auth.db",
            folder.display()
        )
    };
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    let lock_path = path.with_added_extension("lock");
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(unwritable)?;
    match lock.try_lock() {
        Ok(()) => create_private(path).map(|()| lock).map_err(unwritable),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another aidlc-auth is serving {}. Stop it first, or give this one a database of its own: \
             DATABASE_URL=sqlite://./other/aidlc-auth.db",
            path.display()
        )),
        Err(TryLockError::Error(error)) => Err(unwritable(error)),
    }
}

/// Makes the file, if it is not there, for this user's eyes only; SQLite gives its WAL the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // 8 MiB of pages per connection at most; the file itself is read through the system's cache.
    connection.pragma_update(None, "cache_size", -8192)
}

/// What an error of SQLite's means to a story: come back later, or wake someone.
fn translate(error: rusqlite::Error) -> Error {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory,
        ) => Error::Unavailable(text),
        _ => Error::Broken(text),
    }
}

/// Reads a stored record.
fn parse<T: serde::de::DeserializeOwned>(json: &str) -> rusqlite::Result<T> {
    serde_json::from_str(json).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

#[cfg(test)]
mod tests;
