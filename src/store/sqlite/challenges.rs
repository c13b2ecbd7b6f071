//! `Challenges` on SQLite: the state machine of `model/challenge.rs`, run inside one savepoint.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::{Sqlite, json, parse};
use crate::model::challenge::{Challenge, ChallengeId, Guess, Outcome, Purpose, State};
use crate::model::email_address::EmailAddress;
use crate::model::limit::{Budget, Instants, Rate, after, networks};
use crate::model::outbox::{DueCode, DueLetter, LEASE, Letter};
use crate::store::{Admitted, Challenges, Error, LimitRules, Open, Opened, Redeemed, Rules, Want};

#[async_trait]
impl Challenges for Sqlite {
    async fn admit(&self, client: IpAddr, want: Want, now: Timestamp) -> Result<Admitted, Error> {
        let limits = self.rules.limits;
        self.writer
            .run(move |c| admit(c, client, want, &limits, now))
            .await
    }

    async fn would_wait(
        &self,
        address: &EmailAddress,
        purpose: Purpose,
        contests: bool,
        client: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Duration>, Error> {
        let (limits, address) = (self.rules.limits, address.clone());
        self.writer
            .run(move |c| {
                let current = load(c, &address, purpose)?;
                let full = service_wait(c, "code", limits.service_requests, true, &limits, now)?;
                let soon =
                    sends_wait(c, &address, purpose, current.as_ref(), client, &limits, now)?;
                let wait = full.max(soon);
                if wait.is_some() && contests {
                    contest(c, &address, purpose, current, now)?;
                }
                Ok(wait)
            })
            .await
    }

    async fn contest(&self, address: &EmailAddress, now: Timestamp) -> Result<(), Error> {
        let address = address.clone();
        self.writer
            .run(move |c| {
                let current = load(c, &address, Purpose::Registration)?;
                contest(c, &address, Purpose::Registration, current, now)
            })
            .await
    }

    async fn reserve_password_try(
        &self,
        address: &EmailAddress,
        now: Timestamp,
    ) -> Result<Option<Duration>, Error> {
        let (limits, name) = (self.rules.limits, password_budget(address));
        self.writer
            .run(move |c| {
                let budget = limits.password_tries;
                let mut tries = instants(c, &name)?;
                let wait = budget.wait(&tries, now).filter(|_| limits.enabled);
                if wait.is_none() {
                    tries.note(now, budget);
                    keep_instants(c, &name, &tries, after(now, budget.window))?;
                }
                Ok(wait)
            })
            .await
    }

    async fn open(&self, open: Open, now: Timestamp) -> Result<Opened, Error> {
        let rules = self.rules;
        self.writer.run(move |c| opened(c, open, &rules, now)).await
    }

    async fn redeem(
        &self,
        address: &EmailAddress,
        purpose: Purpose,
        guess: Guess,
        now: Timestamp,
    ) -> Result<Redeemed, Error> {
        let (rules, address) = (self.rules, address.clone());
        self.writer
            .run(move |c| redeem(c, &address, purpose, &guess, &rules, now))
            .await
    }

    async fn finish_claim(
        &self,
        address: &EmailAddress,
        id: ChallengeId,
        by: IpAddr,
        _now: Timestamp,
    ) -> Result<bool, Error> {
        let address = address.clone();
        self.writer
            .run(move |c| {
                let current = load(c, &address, Purpose::Registration)?;
                let Some(mut challenge) = current.filter(|found| found.id == id) else {
                    return Ok(false);
                };
                if !matches!(challenge.state, State::Claimed { .. }) {
                    return Ok(false);
                }
                challenge.state = State::Spent { by };
                keep(c, &address, Purpose::Registration, &challenge)?;
                Ok(true)
            })
            .await
    }

    async fn end(&self, address: &EmailAddress) -> Result<(), Error> {
        let address = address.clone();
        self.writer
            .run(move |c| {
                let delete = "DELETE FROM challenges WHERE address = ?1";
                c.prepare_cached(delete)?
                    .execute([address.normal()])
                    .map(drop)
            })
            .await
    }

    async fn forgive(&self, address: &EmailAddress) -> Result<(), Error> {
        let address = address.clone();
        self.writer
            .run(move |c| {
                let mut names = vec![
                    guess_budget(&address),
                    password_budget(&address),
                    mailbox_budget(&address),
                ];
                names.extend(Purpose::ALL.map(|purpose| send_budget(&address, purpose)));
                let mut delete = c.prepare_cached("DELETE FROM budgets WHERE name = ?1")?;
                names
                    .iter()
                    .try_for_each(|name| delete.execute([name]).map(drop))
            })
            .await
    }

    async fn take_letters(&self, most: u32, now: Timestamp) -> Result<Vec<DueLetter>, Error> {
        self.writer.run(move |c| take_letters(c, most, now)).await
    }

    async fn letters_done(&self, letters: &[DueLetter]) -> Result<(), Error> {
        let ids: Vec<Uuid> = letters.iter().map(|due| due.letter.id).collect();
        self.writer
            .run(move |c| {
                let mut delete = c.prepare_cached("DELETE FROM outbox WHERE id = ?1")?;
                ids.iter()
                    .try_for_each(|id| delete.execute([id.as_bytes()]).map(drop))
            })
            .await
    }

    async fn letter_failed(&self, letter: &DueLetter, due: Timestamp) -> Result<(), Error> {
        let id = letter.letter.id;
        let update = "UPDATE outbox SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1";
        self.writer
            .run(move |c| {
                c.prepare_cached(update)?
                    .execute((id.as_bytes(), due.as_microsecond()))
            })
            .await
            .map(drop)
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, Error> {
        let lifetime = self.rules.codes.lifetime;
        self.writer
            .run(move |c| {
                // Overdue for as long as a code lives: its code is over, and nobody could read it.
                let stale = now.as_microsecond() - micros(lifetime);
                let mut swept = c.execute("DELETE FROM outbox WHERE due_at < ?1", [stale])?;
                for table in ["challenges", "budgets", "limits"] {
                    let delete = format!("DELETE FROM {table} WHERE expires_at <= ?1");
                    swept += c.prepare_cached(&delete)?.execute([now.as_microsecond()])?;
                }
                Ok(swept as u64)
            })
            .await
    }
}

/// All of the client's networks have to admit it, and then all of them count it.
fn admit(
    c: &Connection,
    client: IpAddr,
    want: Want,
    limits: &LimitRules,
    now: Timestamp,
) -> rusqlite::Result<Admitted> {
    if !limits.enabled {
        return Ok(Admitted::Yes { known: true });
    }
    let (what, rate) = match want {
        Want::Code => ("code", limits.client_requests),
        Want::Guess => ("guess", limits.client_guesses),
    };
    let mut counted = Vec::new();
    let mut known = false;
    for (network, factor) in networks(client) {
        let name = format!("{what}:{network}");
        let rate = rate.times(factor);
        let kept = arrival(c, &name)?;
        // The closest network only: that a neighbour was here says little.
        known |= counted.is_empty()
            && kept.is_some_and(|kept| kept > now.as_microsecond() - micros(rate.period));
        match rate.admit(rate, kept, now) {
            Ok(next) => counted.push((name, next)),
            Err(wait) => return Ok(Admitted::No { wait }),
        }
    }
    for (name, next) in counted {
        keep_arrival(c, &name, next, rate)?;
    }
    Ok(Admitted::Yes { known })
}

fn opened(c: &Connection, open: Open, rules: &Rules, now: Timestamp) -> rusqlite::Result<Opened> {
    let (address, purpose, limits) = (&open.address, open.purpose, &rules.limits);
    if let Some(at) = open.right_password_at {
        let name = password_budget(address);
        let mut tries = instants(c, &name)?;
        tries.take_back(at);
        keep_instants(c, &name, &tries, after(now, limits.password_tries.window))?;
    }
    let current = load(c, address, purpose)?;
    let full = service_wait(c, "code", limits.service_requests, open.yields, limits, now)?;
    let client = open.client;
    let soon = sends_wait(c, address, purpose, current.as_ref(), client, limits, now)?;
    if let Some(wait) = full.max(soon) {
        if open.ask.registration.is_some() {
            contest(c, address, purpose, current, now)?;
        }
        return Ok(Opened::TooSoon { wait });
    }
    count_service(c, "code", limits.service_requests, limits, now)?;
    count_send(c, address, purpose, limits, now)?;

    let challenge = Challenge::asked(current, open.ask, rules.codes, now);
    keep(c, address, purpose, &challenge)?;

    let letter = open.letter.for_challenge(&challenge);
    keep_letter(c, &letter, address, purpose, &challenge, now)?;

    let next = sends_wait(c, address, purpose, Some(&challenge), client, limits, now)?;
    Ok(Opened::Sent {
        id: challenge.id,
        expires_at: challenge.expires_at,
        resend_after: next.unwrap_or_default(),
        letter: Box::new(DueLetter {
            letter,
            address: address.normal().to_owned(),
            purpose,
            challenge: challenge.id,
            version: challenge.version,
            attempts: 0,
            code: DueCode::of(&challenge, challenge.version, now),
        }),
    })
}

fn redeem(
    c: &Connection,
    address: &EmailAddress,
    purpose: Purpose,
    guess: &Guess,
    rules: &Rules,
    now: Timestamp,
) -> rusqlite::Result<Redeemed> {
    let limits = &rules.limits;
    let name = guess_budget(address);
    let mut wrong = instants(c, &name)?;
    if !guess.is_long {
        if let Some(wait) = limits.guesses.wait(&wrong, now) {
            return Ok(Redeemed::TooMany { wait });
        }
        let rate = limits.service_guesses;
        if let Some(wait) = service_wait(c, "guess", rate, guess.yields, limits, now)? {
            return Ok(Redeemed::Full { wait });
        }
        count_service(c, "guess", limits.service_guesses, limits, now)?;
    }
    let Some(mut challenge) = load(c, address, purpose)? else {
        return Ok(Redeemed::Gone);
    };
    let outcome = challenge.guessed(guess, rules.codes, now);
    Ok(match outcome {
        Outcome::Accepted => {
            keep(c, address, purpose, &challenge)?;
            Redeemed::Accepted(Box::new(challenge))
        }
        Outcome::Wrong { tries_left, counts } => {
            if counts {
                keep(c, address, purpose, &challenge)?;
                wrong.note(now, limits.guesses);
                keep_instants(c, &name, &wrong, after(now, limits.guesses.window))?;
            }
            Redeemed::Wrong { tries_left }
        }
        Outcome::Gone => Redeemed::Gone,
        Outcome::KeyUnknown => Redeemed::KeyUnknown,
    })
}

/// Leases what is due and reads what it is written from; what must not go out comes without a code.
fn take_letters(c: &Connection, most: u32, now: Timestamp) -> rusqlite::Result<Vec<DueLetter>> {
    let mut select = c.prepare_cached(
        "SELECT letter, address, purpose, challenge, version, attempts FROM outbox
         WHERE due_at <= ?1 ORDER BY due_at",
    )?;
    let mut rows = select.query([now.as_microsecond()])?;
    let mut due = Vec::new();
    while due.len() < most as usize
        && let Some(row) = rows.next()?
    {
        // What a newer release wrote is left for it, and must not hold up the rest.
        if let Some(letter) = known(due_letter(c, row, now))?.flatten() {
            due.push(letter);
        }
    }
    drop(rows);
    let leased_until = after(now, LEASE).as_microsecond();
    let mut lease = c.prepare_cached("UPDATE outbox SET due_at = ?2 WHERE id = ?1")?;
    for letter in &due {
        lease.execute((letter.letter.id.as_bytes(), leased_until))?;
    }
    Ok(due)
}

/// Reads an entry with its code. `None`: its purpose is of a newer release.
fn due_letter(
    c: &Connection,
    row: &Row<'_>,
    now: Timestamp,
) -> rusqlite::Result<Option<DueLetter>> {
    let Some(purpose) = Purpose::parse(row.get_ref(2)?.as_str()?) else {
        return Ok(None);
    };
    let (address, id): (String, _) = (row.get(1)?, ChallengeId(row.get(3)?));
    let version = row.get(4)?;
    let challenge = load_by_normal(c, &address, purpose)?.filter(|found| found.id == id);
    Ok(Some(DueLetter {
        letter: parse(row.get_ref(0)?.as_str()?)?,
        address,
        purpose,
        challenge: id,
        version,
        attempts: row.get(5)?,
        code: challenge.and_then(|found| DueCode::of(&found, version, now)),
    }))
}

/// `None` for a record that this release cannot read.
fn known<T>(read: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match read {
        Err(rusqlite::Error::FromSqlConversionFailure(..)) => Ok(None),
        read => read.map(Some),
    }
}

/// How long the next code for an address has to wait, by every budget that it would count in.
fn sends_wait(
    c: &Connection,
    address: &EmailAddress,
    purpose: Purpose,
    current: Option<&Challenge>,
    client: IpAddr,
    limits: &LimitRules,
    now: Timestamp,
) -> rusqlite::Result<Option<Duration>> {
    if !limits.enabled {
        return Ok(None);
    }
    let sent = instants(c, &send_budget(address, purpose))?;
    let mailbox = instants(c, &mailbox_budget(address))?;
    let used_here = current.is_some_and(|challenge| challenge.state == State::Spent { by: client });
    let apart = Budget::new(1, limits.sends_apart);
    let gap = apart.wait(&sent, now).filter(|_| !used_here);
    let waits = [
        gap,
        limits.sends.wait(&sent, now),
        limits.mailbox_hour.wait(&mailbox, now),
        limits.mailbox_day.wait(&mailbox, now),
    ];
    Ok(waits.into_iter().flatten().max())
}

fn count_send(
    c: &Connection,
    address: &EmailAddress,
    purpose: Purpose,
    limits: &LimitRules,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let budgets: [(String, Budget); 2] = [
        (send_budget(address, purpose), limits.sends),
        (mailbox_budget(address), limits.mailbox_day),
    ];
    for (name, budget) in budgets {
        let mut sent = instants(c, &name)?;
        sent.note(now, budget);
        keep_instants(c, &name, &sent, after(now, budget.window))?;
    }
    Ok(())
}

/// Whoever was refused while a form was pending may be the owner: nobody can say whose form it is.
fn contest(
    c: &Connection,
    address: &EmailAddress,
    purpose: Purpose,
    current: Option<Challenge>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    match current {
        Some(mut challenge) if challenge.is_pending(now) && !challenge.contested => {
            challenge.contested = true;
            keep(c, address, purpose, &challenge)
        }
        _ => Ok(()),
    }
}

fn service_wait(
    c: &Connection,
    what: &str,
    rate: Rate,
    yields: bool,
    limits: &LimitRules,
    now: Timestamp,
) -> rusqlite::Result<Option<Duration>> {
    if !limits.enabled {
        return Ok(None);
    }
    let kept = arrival(c, &service_limit(what))?;
    let allowed = if yields { rate.less_a_fifth() } else { rate };
    Ok(allowed.admit(rate, kept, now).err())
}

fn count_service(
    c: &Connection,
    what: &str,
    rate: Rate,
    limits: &LimitRules,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let name = service_limit(what);
    match rate.admit(rate, arrival(c, &name)?, now) {
        Ok(next) if limits.enabled => keep_arrival(c, &name, next, rate),
        _ => Ok(()),
    }
}

fn load(
    c: &Connection,
    address: &EmailAddress,
    purpose: Purpose,
) -> rusqlite::Result<Option<Challenge>> {
    load_by_normal(c, address.normal(), purpose)
}

fn load_by_normal(
    c: &Connection,
    address: &str,
    purpose: Purpose,
) -> rusqlite::Result<Option<Challenge>> {
    c.prepare_cached("SELECT record FROM challenges WHERE address = ?1 AND purpose = ?2")?
        .query_row((address, purpose.as_str()), |row| {
            parse(row.get_ref(0)?.as_str()?)
        })
        .optional()
}

fn keep(
    c: &Connection,
    address: &EmailAddress,
    purpose: Purpose,
    challenge: &Challenge,
) -> rusqlite::Result<()> {
    c.prepare_cached(
        "INSERT OR REPLACE INTO challenges (address, purpose, record, expires_at) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((address.normal(), purpose.as_str(), json(challenge), challenge.expires_at.as_microsecond()))?;
    Ok(())
}

fn keep_letter(
    c: &Connection,
    letter: &Letter,
    address: &EmailAddress,
    purpose: Purpose,
    challenge: &Challenge,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let id: Uuid = letter.id;
    c.prepare_cached(
        "INSERT INTO outbox (id, address, purpose, challenge, version, letter, attempts, due_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)",
    )?
    .execute((
        id.as_bytes(),
        address.normal(),
        purpose.as_str(),
        challenge.id.0,
        challenge.version,
        json(letter),
        after(now, LEASE).as_microsecond(),
    ))?;
    Ok(())
}

fn instants(c: &Connection, name: &str) -> rusqlite::Result<Instants> {
    let found = c
        .prepare_cached("SELECT instants FROM budgets WHERE name = ?1")?
        .query_row([name], |row| {
            Ok(Instants::from_bytes(row.get_ref(0)?.as_blob()?))
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

fn keep_instants(
    c: &Connection,
    name: &str,
    instants: &Instants,
    end: Timestamp,
) -> rusqlite::Result<()> {
    c.prepare_cached(
        "INSERT OR REPLACE INTO budgets (name, instants, expires_at) VALUES (?1, ?2, ?3)",
    )?
    .execute((name, instants.to_bytes(), end.as_microsecond()))?;
    Ok(())
}

fn arrival(c: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    c.prepare_cached("SELECT arrival FROM limits WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

fn keep_arrival(c: &Connection, name: &str, arrival: i64, rate: Rate) -> rusqlite::Result<()> {
    // It says something for one more period after the arrival itself: that the client was here.
    c.prepare_cached(
        "INSERT OR REPLACE INTO limits (name, arrival, expires_at) VALUES (?1, ?2, ?3)",
    )?
    .execute((name, arrival, arrival + micros(rate.period)))?;
    Ok(())
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX / 4)
}

fn guess_budget(address: &EmailAddress) -> String {
    format!("guess:{}", address.normal())
}

fn password_budget(address: &EmailAddress) -> String {
    format!("password:{}", address.normal())
}

fn send_budget(address: &EmailAddress, purpose: Purpose) -> String {
    format!("send:{}:{}", purpose.as_str(), address.normal())
}

fn mailbox_budget(address: &EmailAddress) -> String {
    format!("mailbox:{}", address.mailbox())
}

fn service_limit(what: &str) -> String {
    format!("service:{what}")
}
