//! The outbox on Redis: letters are owed in sixteen partitions, and whoever looks for some asks all.
//!
//! In each, a sorted set says which letters are due when, and a hash keeps them. A letter is looked at
//! before it is leased, so that what a newer release wrote is left for it and holds up no other. Only
//! then is it known which record its code is in: so every key of a step is named beforehand.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keys::Partition;
use super::link::Link;
use super::record::{self, Fields};
use super::step::{Step, step};
use super::{decimal, json};
use crate::model::challenge::{ChallengeId, Purpose};
use crate::model::email_address::EmailAddress;
use crate::model::limit::{after, micros_of};
use crate::model::outbox::{DueCode, DueLetter, LEASE, Letter};
use crate::store::Error;

static LETTERS_DUE: Step = step!("no-writes", "outbox/letters_due.lua");
// These take no more room than they make: they are done where there is none.
static TAKE_LETTERS: Step = step!("allow-oom", "outbox/take_letters.lua");
static LETTERS_DONE: Step = step!("allow-oom", "outbox/letters_done.lua");
static LETTER_FAILED: Step = step!("allow-oom", "outbox/letter_failed.lua");
static SWEEP: Step = step!("allow-oom", "outbox/sweep.lua");

/// The letters of all partitions.
pub(super) struct Outbox<'a> {
    pub(super) link: &'a Link,
    pub(super) prefix: &'a str,
}

/// A letter as it is kept.
#[derive(Serialize, Deserialize)]
struct Entry {
    letter: Letter,
    address: String,
    purpose: Purpose,
}

/// A letter that is due, and nobody's yet.
struct Due {
    /// Where among [`Partition::all`].
    partition: usize,
    id: String,
    since: i64,
    /// The key of the record that its code is in.
    challenge: String,
}

/// The text to keep of a letter. `open.lua` writes before it how often it failed, for which challenge it
/// is, and for which version of its code: that is known only there.
pub(super) fn written(letter: &Letter, address: &EmailAddress, purpose: Purpose) -> String {
    json(&Entry {
        letter: letter.clone(),
        address: address.normal().to_owned(),
        purpose,
    })
}

impl Outbox<'_> {
    /// Leases the letters that are overdue longest, wherever they are owed. A partition that cannot be
    /// reached hides none of the others'.
    pub(super) async fn take(&self, most: u32, now: Timestamp) -> Result<Vec<DueLetter>, Error> {
        let (mut taken, mut trouble) = (Vec::new(), None);
        while taken.len() < most as usize && trouble.is_none() {
            let due = self
                .due(most as usize - taken.len(), now, &mut trouble)
                .await;
            let seen = due.len();
            let leased = self.lease(due, now, &mut trouble).await;
            let is_done = leased.len() == seen;
            taken.extend(leased);
            // Where another process was quicker, there may be more behind what was seen.
            if is_done {
                break;
            }
        }
        match trouble {
            Some(error) if taken.is_empty() => Err(error),
            Some(error) => {
                tracing::warn!(%error, "a part of the outbox cannot be read");
                Ok(taken)
            }
            None => Ok(taken),
        }
    }

    /// The letters that are overdue longest, in that order.
    async fn due(&self, most: usize, now: Timestamp, trouble: &mut Option<Error>) -> Vec<Due> {
        let partitions = Partition::all(self.prefix);
        let looks = partitions.iter().enumerate();
        let looks =
            join_all(looks.map(|(n, partition)| self.due_in(n, partition, most, now))).await;
        let mut due = gather(looks, trouble);
        due.sort_by_key(|due| due.since);
        due.truncate(most);
        due
    }

    async fn due_in(
        &self,
        number: usize,
        partition: &Partition,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<Due>, Error> {
        let keys = [partition.outbox(), partition.letters()];
        let (mut due, mut seen) = (Vec::new(), 0);
        loop {
            let arguments = [now.as_microsecond(), seen as i64, most as i64].map(decimal);
            let rows: Vec<(String, f64, String)> =
                self.link.run(&LETTERS_DUE, &keys, &arguments).await?;
            let is_all = rows.len() < most;
            seen += rows.len();
            due.extend(rows.into_iter().filter_map(|(id, since, text)| {
                // What a newer release wrote is left for it.
                let (_, _, _, entry) = read(&text)?;
                Some(Due {
                    partition: number,
                    id,
                    since: since as i64,
                    challenge: partition.challenge(&entry.address, entry.purpose),
                })
            }));
            if is_all || due.len() >= most {
                return Ok(due);
            }
        }
    }

    /// Leases those that nobody else has leased since, and reads what they are written from.
    async fn lease(
        &self,
        due: Vec<Due>,
        now: Timestamp,
        trouble: &mut Option<Error>,
    ) -> Vec<DueLetter> {
        let order: HashMap<Uuid, usize> = (0..)
            .zip(&due)
            .filter_map(|(n, due)| Some((due.id.parse().ok()?, n)))
            .collect();
        let mut by_partition: HashMap<usize, Vec<Due>> = HashMap::new();
        for due in due {
            by_partition.entry(due.partition).or_default().push(due);
        }
        let partitions = Partition::all(self.prefix);
        let leases = by_partition.iter();
        let leases =
            leases.map(|(partition, due)| self.lease_in(&partitions[*partition], due, now));
        let mut leased = gather(join_all(leases).await, trouble);
        leased.sort_by_key(|letter| order.get(&letter.letter.id).copied());
        leased
    }

    async fn lease_in(
        &self,
        partition: &Partition,
        due: &[Due],
        now: Timestamp,
    ) -> Result<Vec<DueLetter>, Error> {
        let mut keys = vec![partition.outbox(), partition.letters()];
        keys.extend(due.iter().map(|due| due.challenge.clone()));
        let mut arguments = vec![
            decimal(now.as_microsecond()),
            decimal(after(now, LEASE).as_microsecond()),
        ];
        arguments.extend(due.iter().map(|due| due.id.clone().into()));
        let leased: Vec<(String, Fields)> = self.link.run(&TAKE_LETTERS, &keys, &arguments).await?;
        // A record that cannot be read is a newer release's: so is the letter then, and its lease ends.
        let letters = leased.iter();
        let letters = letters.filter_map(|(text, fields)| due_letter(text, fields, now));
        Ok(letters.collect())
    }

    /// Strikes letters out.
    pub(super) async fn done(&self, letters: &[DueLetter]) -> Result<(), Error> {
        let mut by_partition: HashMap<Partition, Vec<Vec<u8>>> = HashMap::new();
        for due in letters {
            let ids = by_partition.entry(self.partition_of(due)).or_default();
            ids.push(due.letter.id.to_string().into());
        }
        let strikes = by_partition.iter().map(async |(partition, ids)| {
            let keys = [partition.outbox(), partition.letters()];
            self.link.run(&LETTERS_DONE, &keys, ids).await
        });
        join_all(strikes).await.into_iter().collect()
    }

    /// Puts a letter back.
    pub(super) async fn failed(&self, letter: &DueLetter, due: Timestamp) -> Result<(), Error> {
        let partition = self.partition_of(letter);
        let keys = [partition.outbox(), partition.letters()];
        let arguments = [
            letter.letter.id.to_string().into(),
            decimal(due.as_microsecond()),
        ];
        self.link.run(&LETTER_FAILED, &keys, &arguments).await
    }

    /// Drops letters that have been overdue for as long as a code lives: theirs is over, and nobody
    /// could read them.
    pub(super) async fn sweep(&self, now: Timestamp, lifetime: Duration) -> Result<u64, Error> {
        let stale = [decimal(now.as_microsecond() - micros_of(lifetime))];
        let partitions = Partition::all(self.prefix);
        let sweeps = partitions.iter().map(async |partition| {
            let keys = [partition.outbox(), partition.letters()];
            self.link.run::<u64>(&SWEEP, &keys, &stale).await
        });
        let swept: Result<Vec<u64>, Error> = join_all(sweeps).await.into_iter().collect();
        Ok(swept?.into_iter().sum())
    }

    fn partition_of(&self, due: &DueLetter) -> Partition {
        let address = EmailAddress::from_stored(due.address.clone(), due.address.clone());
        Partition::of(self.prefix, &address)
    }
}

/// What went well, with the last of what did not put aside.
fn gather<T>(all: Vec<Result<Vec<T>, Error>>, trouble: &mut Option<Error>) -> Vec<T> {
    let mut gathered = Vec::new();
    for some in all {
        match some {
            Ok(some) => gathered.extend(some),
            Err(error) => *trouble = Some(error),
        }
    }
    gathered
}

/// `None`: it was written by a newer release, or the record was that its code is in.
fn due_letter(text: &str, fields: &Fields, now: Timestamp) -> Option<DueLetter> {
    let (attempts, id, version, entry) = read(text)?;
    let mut due = DueLetter {
        letter: entry.letter,
        address: entry.address,
        purpose: entry.purpose,
        challenge: id,
        version,
        attempts,
        code: None,
    };
    if fields.is_empty() {
        return Some(due);
    }
    let challenge = record::challenge(fields).ok()?;
    if challenge.id == id && challenge.version == version {
        // As when it was written: the form of a code never changes.
        due.letter = due.letter.for_challenge(&challenge);
        due.code = DueCode::of(&challenge, version, now);
    }
    Some(due)
}

fn read(text: &str) -> Option<(u32, ChallengeId, u32, Entry)> {
    let mut words = text.splitn(4, ' ');
    let failures = words.next()?.parse().ok()?;
    let challenge = record::read(words.next()?)?;
    let version = words.next()?.parse().ok()?;
    let entry = serde_json::from_str(words.next()?).ok()?;
    Some((failures, challenge, version, entry))
}
