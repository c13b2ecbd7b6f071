//! Sends the letters of the outbox: at once those of this process, later those that nobody sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior};
use uuid::Uuid;

use super::Stopping;
use crate::app::App;
use crate::entropy;
use crate::mail::{CodeLetter, Letter, Mail, Message, NotSent, NoticeLetter, render};
use crate::model::email_address::EmailAddress;
use crate::model::limit::after;
use crate::model::outbox::{DueCode, DueLetter, LEASE, LetterKind, back_off};
use crate::store::AuditRow;

/// How often to look for letters whose lease ran out.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How soon to look again when there may be more: their codes grow old, and new letters wait too.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often to strike out what is done: many at once, and at a time that says nothing of what became
/// of any one of them. At once, the commit would stand in the way of the caller's next request where
/// nothing was mailed, and not where something was.
const STRIKE_EVERY: Duration = Duration::from_secs(1);
/// Letters on their way at once.
const AT_ONCE: usize = 8;
/// Shorter than the lease: another process must not take a letter over while it is on its way.
const PATIENCE: Duration = Duration::from_secs(12);
/// For the store to say whether an address is suppressed: the rest of the patience is the mail's.
const LOOK_UP: Duration = Duration::from_secs(2);
/// How long a letter may wait in memory: sending it has to end within its lease.
const WAIT_MAX: Duration = LEASE.saturating_sub(PATIENCE);

/// Runs until it is told to stop, and then until the letters in hand are sent.
pub async fn run(
    app: Arc<App>,
    mut letters: mpsc::Receiver<DueLetter>,
    mut stopping: Stopping,
    pauses: bool,
) {
    let mut desk = Desk {
        pauses,
        ..Desk::default()
    };
    let (mut look, mut strike) = (every(LOOK_EVERY), every(STRIKE_EVERY));
    loop {
        // What is on the desk comes first, or a full queue would keep it from ever being cleared.
        tokio::select! {
            biased;
            () = stopping.begun() => break,
            Some(ended) = desk.sending.join_next_with_id() => desk.sort_out(ended),
            _ = strike.tick(), if !desk.done.is_empty() => desk.strike_out(&app).await,
            _ = look.tick(), if desk.room() > 0 => {
                if desk.take_over(&app).await {
                    look.reset_after(LOOK_AGAIN);
                }
            }
            Some(letter) = letters.recv(), if desk.room() > 0 => {
                // What waited too long is let go: by now its code may be used, replaced or over. When
                // its lease has run out it is taken over, and with that read anew.
                if app.now() < after(letter.letter.requested_at, WAIT_MAX) {
                    desk.send(&app, letter);
                }
            }
        }
    }
    while let Some(ended) = desk.sending.join_next_with_id().await {
        desk.sort_out(ended);
    }
    desk.strike_out(&app).await;
}

/// Lets the answer to whoever asked go out first: a letter that is mailed takes more work than one that
/// is thrown away, and beside the answer that work would show in its time. Not the same for each, so
/// that nobody can aim a next request at it.
fn pause() -> Duration {
    let [dice] = entropy::random();
    Duration::from_millis(5) + Duration::from_micros(40) * u32::from(dice)
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// The letters that the worker has in hand.
#[derive(Default)]
struct Desk {
    sending: JoinSet<Option<DueLetter>>,
    /// Which letter each task is sending.
    on_their_way: HashMap<task::Id, Uuid>,
    /// To be struck out.
    done: Vec<DueLetter>,
    /// Whether a letter pauses before it is begun.
    pauses: bool,
}

impl Desk {
    /// How many more may be on their way.
    fn room(&self) -> usize {
        AT_ONCE - self.on_their_way.len().min(AT_ONCE)
    }

    fn send(&mut self, app: &Arc<App>, letter: DueLetter) {
        let (app, id) = (Arc::clone(app), letter.letter.id);
        let pause = if self.pauses { pause() } else { Duration::ZERO };
        let task = self.sending.spawn(async move {
            tokio::time::sleep(pause).await;
            deliver(&app, letter).await
        });
        self.on_their_way.insert(task.id(), id);
    }

    /// A letter is sent, or put back, or the task fell over and its lease will run out.
    fn sort_out(&mut self, ended: Result<(task::Id, Option<DueLetter>), JoinError>) {
        let (task, done) = ended.unwrap_or_else(|fell_over| (fell_over.id(), None));
        self.on_their_way.remove(&task);
        self.done.extend(done);
    }

    /// Takes over letters whose lease ran out: their process died, or sending them failed before.
    /// `true`: there may be more.
    async fn take_over(&mut self, app: &Arc<App>) -> bool {
        let room = self.room();
        let due = take_letters(app, room, app.now()).await;
        let may_be_more = due.len() == room;
        for letter in due {
            // Its lease ran out on this desk: a strike-out that failed, or a clock that leapt.
            if !self.holds(letter.letter.id) {
                self.send(app, letter);
            }
        }
        may_be_more
    }

    fn holds(&self, id: Uuid) -> bool {
        self.on_their_way
            .values()
            .any(|on_its_way| *on_its_way == id)
            || self.done.iter().any(|done| done.letter.id == id)
    }

    /// Strikes out what is done. Where that fails, letters may go out again after a restart, under the
    /// same Message-ID.
    async fn strike_out(&mut self, app: &App) {
        if self.done.is_empty() {
            return;
        }
        match app.stores.challenges.letters_done(&self.done).await {
            Ok(()) => self.done.clear(),
            Err(error) => tracing::warn!(%error, "letters could not be struck out of the outbox"),
        }
    }
}

async fn take_letters(app: &App, most: usize, now: Timestamp) -> Vec<DueLetter> {
    app.stores
        .challenges
        .take_letters(most as u32, now)
        .await
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "the outbox cannot be read");
            Vec::new()
        })
}

/// Writes one letter and hands it over, or puts it back for later. `Some`: it is to be struck out.
pub async fn deliver(app: &App, due: DueLetter) -> Option<DueLetter> {
    let sent = match &due.code {
        // Its challenge ended, was used, or has another code now.
        None => Ok(()),
        Some(code) => write_and_send(app, &due, code).await,
    };
    match sent {
        Ok(()) => Some(due),
        Err(NotSent::Permanent(why)) => {
            tracing::warn!(why, "a mail cannot be sent and is given up");
            Some(due)
        }
        Err(NotSent::Temporary(why)) => {
            let attempts = due.attempts + 1;
            tracing::warn!(why, attempts, "a mail was not sent; it is tried again");
            let again = after(app.now(), back_off(attempts));
            if let Err(error) = app.stores.challenges.letter_failed(&due, again).await {
                // Then it is tried again when its lease runs out.
                tracing::warn!(%error, "a letter could not be put back into the outbox");
            }
            None
        }
    }
}

async fn write_and_send(app: &App, due: &DueLetter, code: &DueCode) -> Result<(), NotSent> {
    let mail = Mail {
        message_id: format!("{}@{}", due.letter.id.simple(), host(app)),
        to: due.letter.to.clone(),
        language: due.letter.language,
        letter: letter(app, due, code)?,
    };
    let public_url = app.config.http.public_url.as_str();
    let message = render(&mail, &app.from, public_url, due.letter.requested_at)?;
    match tokio::time::timeout(PATIENCE, leave(app, due, &mail, &message)).await {
        Ok(sent) => sent,
        Err(_) => Err(NotSent::Temporary("the mail server takes too long".into())),
    }
}

/// Hands a mail over, unless nobody is to get it. Whether its address may be mailed is read here and
/// not when it is asked for, because the answer must not depend on it; and for every letter, or those
/// that are thrown away would take a step less.
async fn leave(app: &App, due: &DueLetter, mail: &Mail, message: &Message) -> Result<(), NotSent> {
    let is_suppressed = is_suppressed(app, due).await;
    if !due.letter.deliver {
        // Written like the others, so that an address without an account costs the same.
        return Ok(());
    }
    if is_suppressed {
        report_suppressed(app, due);
        return Ok(());
    }
    app.transport.send(mail, message).await
}

/// Whether the address gets no mail any more. Where that cannot be known it gets it: one mail too many
/// does less harm than all that wait for a database.
async fn is_suppressed(app: &App, due: &DueLetter) -> bool {
    let address = EmailAddress::from_stored(due.address.clone(), due.letter.to.clone());
    let reading = app.stores.users.suppression(&address);
    let unknown = match tokio::time::timeout(LOOK_UP, reading).await {
        Ok(Ok(suppression)) => return suppression.is_some(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {LOOK_UP:?}"),
    };
    tracing::warn!(
        error = unknown,
        "whether an address is suppressed is not known; it is mailed all the same"
    );
    false
}

fn report_suppressed(app: &App, due: &DueLetter) {
    let now = app.now();
    app.audit.record(AuditRow {
        id: entropy::row_id(now),
        at: now,
        event: "mail",
        outcome: "suppressed",
        user: None,
        subject: Some(app.keys.pseudonym(&due.address)),
        client: None,
        request_id: "outbox".into(),
    });
}

fn letter(app: &App, due: &DueLetter, code: &DueCode) -> Result<Letter, NotSent> {
    let (requested_at, device) = (due.letter.requested_at, due.letter.device);
    // Derived for a notice too: the two kinds cost the same.
    let codes = app.keys.codes(&code.secret, due.purpose, &due.address);
    let (short, long) = codes.map_err(|_| {
        NotSent::Temporary("its code was made under a key that is not in SECRET_KEYS".into())
    })?;
    let letter = CodeLetter {
        code: short.reveal().to_owned(),
        long_code: long.reveal().to_owned(),
        expires_at: code.expires_at,
        requested_at,
        device,
    };
    Ok(match due.letter.kind {
        LetterKind::RegistrationCode => Letter::RegistrationCode(letter),
        LetterKind::LoginCode => Letter::LoginCode(letter),
        LetterKind::AccountExists => Letter::AccountExists(NoticeLetter {
            requested_at,
            device,
        }),
    })
}

/// What follows the `@` of a `Message-ID`: the service's own name.
fn host(app: &App) -> &str {
    let url = app.config.http.public_url.as_str();
    let authority = url.split("://").nth(1).unwrap_or(url);
    authority.split(':').next().unwrap_or(authority)
}
