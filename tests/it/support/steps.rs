//! Counts the stores' steps, fails them on demand, stops a process between two of them, and tells
//! when one has been taken.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use aidlc_auth::model::outbox::DueLetter;
use aidlc_auth::store::{AuditRow, Error};
use tokio::sync::watch;
use uuid::Uuid;

/// Longer than anything takes unless it hangs.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Steps that workers take in their own time: no answer waits for them.
const OF_WORKERS: [&str; 12] = [
    "users.audit",
    "users.suppression",
    "users.follow_ups",
    "users.erase",
    "users.check",
    "challenges.take_letters",
    "challenges.letters_done",
    "challenges.letter_failed",
    "challenges.sweep",
    "challenges.check",
    "sessions.sweep",
    "sessions.check",
];

/// What was done so far.
#[derive(Default)]
struct Ledger {
    done: Vec<&'static str>,
    /// Letters that a worker has, by id.
    in_hand: BTreeSet<Uuid>,
    /// Of the mails that have to reach the transport, once for each attempt.
    message_ids: Vec<String>,
    audited: Vec<AuditRow>,
}

/// How far a process gets.
enum Course {
    Free,
    /// Before the step of a story that comes after so many others.
    StopsAfter(usize),
    Stopped,
}

/// The stores' steps of one world.
pub struct Steps {
    ledger: watch::Sender<Ledger>,
    failing: Mutex<BTreeMap<&'static str, Error>>,
    /// By how many seconds the stores' clock is ahead.
    pub skew: AtomicI64,
    /// How many seconds go by between a check's look at that clock and its answer.
    pub check_secs: AtomicU64,
    leaky: AtomicBool,
    course: watch::Sender<Course>,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            ledger: watch::Sender::new(Ledger::default()),
            failing: Mutex::default(),
            skew: AtomicI64::new(0),
            check_secs: AtomicU64::new(0),
            leaky: AtomicBool::new(false),
            course: watch::Sender::new(Course::Free),
        }
    }
}

impl Steps {
    /// Takes a step, or fails it if a test said so.
    pub async fn take<T>(
        &self,
        name: &'static str,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.begin(name).await;
        let failing = self.failing.lock().unwrap().get(name).cloned();
        let taken = match failing {
            Some(error) => Err(error),
            None => step.await,
        };
        self.ledger.send_modify(|ledger| ledger.done.push(name));
        taken
    }

    /// From now on a step fails.
    pub fn fail(&self, name: &'static str, error: Error) {
        self.failing.lock().unwrap().insert(name, error);
    }

    /// From now on every step works.
    pub fn mend(&self) {
        self.failing.lock().unwrap().clear();
    }

    /// Waits while the process is stopped, which for one that died is for ever: no code runs in it
    /// any more, not even what is done when something fails.
    async fn begin(&self, name: &'static str) {
        let mut course = self.course.subscribe();
        self.course.send_if_modified(|course| match course {
            Course::StopsAfter(left) if !OF_WORKERS.contains(&name) => {
                match left.checked_sub(1) {
                    Some(fewer) => *left = fewer,
                    None => *course = Course::Stopped,
                }
                true
            }
            _ => false,
        });
        let goes_on = course.wait_for(|course| !matches!(course, Course::Stopped));
        drop(goes_on.await.expect("the sender is ours"));
    }

    /// The stories take so many more steps; before the next the whole process stops.
    pub fn stop_after(&self, steps: usize) {
        self.course.send_replace(Course::StopsAfter(steps));
    }

    /// Not a step more is taken from now on.
    pub fn stop(&self) {
        self.course.send_replace(Course::Stopped);
    }

    /// It goes on where it stopped, and knows nothing of the time that went by.
    pub fn go_on(&self) {
        self.course.send_replace(Course::Free);
    }

    /// Waits until the process has stopped.
    pub async fn stopped(&self) {
        let mut course = self.course.subscribe();
        let stopped = course.wait_for(|course| matches!(course, Course::Stopped));
        let waited = tokio::time::timeout(DEADLINE, stopped).await;
        assert!(waited.is_ok(), "it did not stop");
    }

    /// From now on finding an account takes a hash longer than finding none.
    pub fn leak(&self) {
        self.leaky.store(true, Ordering::Relaxed);
    }

    pub fn is_leaky(&self) -> bool {
        self.leaky.load(Ordering::Relaxed)
    }

    /// Notes that a worker has a letter now. `false`: one had it already.
    pub fn hand_out(&self, due: &DueLetter) -> bool {
        let mut is_new = false;
        self.ledger.send_modify(|ledger| {
            is_new = ledger.in_hand.insert(due.letter.id);
            if is_new && due.letter.deliver && due.code.is_some() {
                ledger.message_ids.push(due.letter.id.simple().to_string());
            }
        });
        is_new
    }

    /// Notes that a worker is through with a letter.
    pub fn hand_back(&self, due: &DueLetter) {
        self.ledger.send_modify(|ledger| {
            ledger.in_hand.remove(&due.letter.id);
        });
    }

    /// What has to have been tried to be mailed so far.
    pub fn message_ids(&self) -> Vec<String> {
        self.ledger.borrow().message_ids.clone()
    }

    /// Notes rows of the audit trail.
    pub fn audit(&self, rows: &[AuditRow]) {
        self.ledger
            .send_modify(|ledger| ledger.audited.extend_from_slice(rows));
    }

    /// Waits until an event is in the audit trail, and answers the latest of its kind.
    pub async fn audited(&self, event: &str, outcome: &str) -> AuditRow {
        let is_it = |row: &&AuditRow| (row.event, row.outcome) == (event, outcome);
        let what = format!("{event} {outcome} in the audit trail");
        self.wait_for(&what, |ledger| ledger.audited.iter().any(|row| is_it(&row)))
            .await;
        let ledger = self.ledger.borrow();
        ledger.audited.iter().rfind(is_it).cloned().unwrap()
    }

    /// How many rows of an event the audit trail has.
    pub fn count_audited(&self, event: &str) -> usize {
        let ledger = self.ledger.borrow();
        ledger
            .audited
            .iter()
            .filter(|row| row.event == event)
            .count()
    }

    /// Waits until no letter is in hand: what has not arrived by then was never sent.
    pub async fn settled(&self) {
        self.wait_for("every letter is dealt with", |ledger| {
            ledger.in_hand.is_empty()
        })
        .await;
    }

    /// How many steps were taken.
    pub fn count(&self) -> usize {
        self.ledger.borrow().done.len()
    }

    /// How often a step was taken.
    pub fn count_of(&self, name: &str) -> usize {
        let ledger = self.ledger.borrow();
        ledger.done.iter().filter(|step| **step == name).count()
    }

    /// What was done since so many steps had been taken, less what workers do in their own time.
    pub fn since(&self, count: usize) -> Vec<&'static str> {
        let ledger = self.ledger.borrow();
        let steps = ledger.done[count..].iter().copied();
        steps.filter(|step| !OF_WORKERS.contains(step)).collect()
    }

    /// Waits until a step was taken so often.
    pub async fn taken(&self, name: &str, times: usize) {
        self.wait_for(name, |ledger| {
            ledger.done.iter().filter(|step| **step == name).count() >= times
        })
        .await;
    }

    async fn wait_for(&self, what: &str, is_so: impl FnMut(&Ledger) -> bool) {
        let mut heard = self.ledger.subscribe();
        let waited = tokio::time::timeout(DEADLINE, heard.wait_for(is_so)).await;
        assert!(waited.is_ok(), "in vain: {what}");
    }
}
