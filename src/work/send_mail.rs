//! Sends the letters of the outbox: at once those of this process, later those that nobody sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use super::Stopping;
use crate::app::App;
use crate::mail::{CodeLetter, Letter, Mail, NotSent, NoticeLetter, render};
use crate::model::limit::after;
use crate::model::outbox::{DueCode, DueLetter, LetterKind, back_off};

/// How often to look for letters whose lease ran out.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often to strike out what is done: many at once, and at a time that says nothing of what became
/// of any one of them. At once, the commit would stand in the way of the caller's next request where
/// nothing was mailed, and not where something was.
const STRIKE_EVERY: Duration = Duration::from_secs(1);
/// Letters on their way at once.
const AT_ONCE: usize = 8;
/// Shorter than the lease: another process must not take a letter over while it is on its way.
const PATIENCE: Duration = Duration::from_secs(12);

/// Runs until it is told to stop, and then until the letters in hand are sent.
pub async fn run(app: Arc<App>, mut letters: mpsc::Receiver<DueLetter>, mut stopping: Stopping) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut sending = JoinSet::new();
    let mut done = Vec::new();
    let (mut look, mut strike) = (every(LOOK_EVERY), every(STRIKE_EVERY));
    loop {
        let due = tokio::select! {
            biased;
            () = stopping.begun() => break,
            _ = strike.tick(), if !done.is_empty() => {
                strike_out(&app, &mut done).await;
                continue;
            }
            Some(letter) = letters.recv() => vec![letter],
            Some(ended) = sending.join_next(), if !sending.is_empty() => {
                done.extend(ended.ok().flatten());
                continue;
            }
            _ = look.tick() => {
                let due = take_over(&app).await;
                if due.len() == AT_ONCE {
                    // There may be more, and their codes grow old: after these, look again at once.
                    look.reset_immediately();
                }
                due
            }
        };
        for letter in due {
            let (app, permit) = (Arc::clone(&app), Arc::clone(&room).acquire_owned().await);
            sending.spawn(async move {
                let done = deliver(&app, letter).await;
                drop(permit);
                done
            });
        }
    }
    while let Some(ended) = sending.join_next().await {
        done.extend(ended.ok().flatten());
    }
    strike_out(&app, &mut done).await;
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Takes over letters whose lease ran out: their process died, or sending them failed before.
pub async fn take_over(app: &App) -> Vec<DueLetter> {
    app.stores
        .challenges
        .take_letters(AT_ONCE as u32, app.now())
        .await
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "the outbox cannot be read");
            Vec::new()
        })
}

/// Writes one letter and hands it over, or puts it back for later. `Some`: it is to be struck out.
pub async fn deliver(app: &App, due: DueLetter) -> Option<DueLetter> {
    let sent = match (&due.code, due.letter.deliver) {
        // Its challenge ended, was used, or has another code now.
        (None, _) => Ok(()),
        (Some(code), deliver) => write_and_send(app, &due, code, deliver).await,
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

/// Strikes out what is done. Where that fails, letters may go out twice, under the same Message-ID.
async fn strike_out(app: &App, done: &mut Vec<DueLetter>) {
    if done.is_empty() {
        return;
    }
    match app.stores.challenges.letters_done(done).await {
        Ok(()) => done.clear(),
        Err(error) => tracing::warn!(%error, "letters could not be struck out of the outbox"),
    }
}

async fn write_and_send(
    app: &App,
    due: &DueLetter,
    code: &DueCode,
    deliver: bool,
) -> Result<(), NotSent> {
    let mail = Mail {
        message_id: format!("{}@{}", due.letter.id.simple(), host(app)),
        to: due.letter.to.clone(),
        language: due.letter.language,
        letter: letter(app, due, code)?,
    };
    let public_url = app.config.http.public_url.as_str();
    let message = render(&mail, &app.from, public_url, due.letter.requested_at)?;
    if !deliver {
        // Written like the others, so that an address without an account costs the same.
        return Ok(());
    }
    match tokio::time::timeout(PATIENCE, app.transport.send(&mail, &message)).await {
        Ok(sent) => sent,
        Err(_) => Err(NotSent::Temporary("the mail server takes too long".into())),
    }
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
