//! A mail transport that keeps what it is handed, or refuses it when a test says so.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aidlc_auth::mail::{Letter, Mail, Message, NotSent, Transport};
use aidlc_auth::model::language::Language;
use async_trait::async_trait;
use tokio::sync::watch;

use super::smtp_server::body_of;
use super::steps::DEADLINE;

/// One mail as it went out.
#[derive(Debug, Clone)]
pub struct Received {
    pub to: String,
    pub language: Language,
    pub kind: Kind,
    /// The six digits and the long code; empty in a notice.
    pub code: String,
    pub long_code: String,
    /// As bytes on the wire.
    pub raw: String,
    /// Head and plain text, decoded.
    pub text: String,
}

/// Which letter it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    RegistrationCode,
    LoginCode,
    AccountExists,
}

#[derive(Default)]
pub struct Inbox {
    received: Mutex<Vec<Received>>,
    /// The `Message-ID` of every attempt, refused ones included.
    attempts: watch::Sender<Vec<String>>,
    refusing: Mutex<Option<NotSent>>,
    /// How many mails were begun with.
    begun: watch::Sender<usize>,
    /// Whose mails are not taken for the time being.
    held_up: watch::Sender<Vec<String>>,
}

impl Inbox {
    pub fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The `Message-ID` of every attempt, refused ones included.
    pub fn attempts(&self) -> Vec<String> {
        self.attempts.borrow().clone()
    }

    /// Waits until mails of these ids were tried, as often as they are named.
    pub async fn tried(&self, ids: &[String]) {
        let mut heard = self.attempts.subscribe();
        let all = heard.wait_for(|tried| {
            let mut owed = BTreeMap::<&str, usize>::new();
            for id in ids {
                *owed.entry(id).or_default() += 1;
            }
            for message_id in tried {
                let id = message_id.split('@').next().unwrap_or_default();
                if let Some(times) = owed.get_mut(id) {
                    *times = times.saturating_sub(1);
                }
            }
            owed.values().all(|times| *times == 0)
        });
        let waited = tokio::time::timeout(DEADLINE, all).await;
        assert!(waited.is_ok(), "a mail that was owed was not sent");
    }

    /// Waits until so many mails were begun with.
    pub async fn begun(&self, count: usize) {
        let mut heard = self.begun.subscribe();
        let waited = tokio::time::timeout(DEADLINE, heard.wait_for(|begun| *begun >= count)).await;
        assert!(waited.is_ok(), "{count} mails were not begun with");
    }

    /// Waits until a mail to an address is there.
    pub async fn reached(&self, to: &str) {
        let mut heard = self.attempts.subscribe();
        let is_there = heard.wait_for(|_| self.all().iter().any(|mail| mail.to == to));
        let waited = tokio::time::timeout(DEADLINE, is_there).await;
        assert!(waited.is_ok(), "no mail reached {to}");
    }

    /// From now on mails to these addresses hang until they are no longer named.
    pub fn hold_up(&self, addresses: &[String]) {
        self.held_up.send_replace(addresses.to_vec());
    }

    /// From now on every mail is refused for this; `None`: taken again.
    pub fn refuse(&self, why: Option<NotSent>) {
        *self.refusing.lock().unwrap() = why;
    }
}

#[async_trait]
impl Transport for Inbox {
    async fn send(&self, mail: &Mail, message: &Message) -> Result<(), NotSent> {
        self.begun.send_modify(|begun| *begun += 1);
        let mut held_up = self.held_up.subscribe();
        let is_free = held_up.wait_for(|held_up| !held_up.contains(&mail.to));
        is_free.await.expect("the inbox is still there");
        let refusing = self.refusing.lock().unwrap().clone();
        if refusing.is_none() {
            self.received.lock().unwrap().push(read(mail, message));
        }
        self.attempts
            .send_modify(|attempts| attempts.push(mail.message_id.clone()));
        refusing.map_or(Ok(()), Err)
    }

    async fn check(&self) -> Result<(), NotSent> {
        self.refusing.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn name(&self) -> &'static str {
        "inbox"
    }
}

fn read(mail: &Mail, message: &Message) -> Received {
    let raw = String::from_utf8(message.formatted()).unwrap();
    let (head, _) = raw.split_once("\r\n\r\n").unwrap();
    let head = head.replace("\r\n", "\n");
    let text = format!("{head}\n\n{}", body_of(&raw, "text/plain"));
    let code = mail.letter.code();
    Received {
        to: mail.to.clone(),
        language: mail.language,
        kind: match mail.letter {
            Letter::RegistrationCode(_) => Kind::RegistrationCode,
            Letter::LoginCode(_) => Kind::LoginCode,
            Letter::AccountExists(_) => Kind::AccountExists,
        },
        code: code.map_or_else(String::new, |code| code.code.clone()),
        long_code: code.map_or_else(String::new, |code| code.long_code.clone()),
        raw,
        text,
    }
}
