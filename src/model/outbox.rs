//! The outbox: mails that are owed, as ids. What they say is made when they are sent.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::challenge::{Challenge, ChallengeId, Purpose, Secret};
use crate::model::device::Device;
use crate::model::language::Language;

/// How long the process that wrote an entry, or took it over, has it for itself.
pub const LEASE: Duration = Duration::from_secs(15);

/// Which letter to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterKind {
    /// The code that proves the address of a new account.
    RegistrationCode,
    /// The code to sign in with.
    LoginCode,
    /// Somebody tried to register an address that has an account: no code in it.
    AccountExists,
}

/// What a request for a code owes: one mail, or, told apart only here, the work of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Names the entry, and the mail in its `Message-ID`.
    pub id: Uuid,
    /// Which letter.
    pub kind: LetterKind,
    /// Whether it goes out. If not, it is written like the others and thrown away, so that an
    /// address without an account costs the same.
    pub deliver: bool,
    /// The spelling to mail to.
    pub to: String,
    /// What to write in.
    pub language: Language,
    /// What it was asked with.
    pub device: Device,
    /// When it was asked.
    pub requested_at: Timestamp,
}

impl Letter {
    /// The letter as the record allows it: the code for a form goes to the form's own spelling and
    /// in its language, whoever asked for it again; without a form there is nothing to prove the
    /// address for, so no code goes out.
    pub fn for_challenge(mut self, challenge: &Challenge) -> Self {
        if self.kind == LetterKind::RegistrationCode {
            match &challenge.registration {
                Some(form) => {
                    self.to.clone_from(&form.spelling);
                    self.language = form.profile.language.unwrap_or(self.language);
                }
                None => self.deliver = false,
            }
        }
        self
    }
}

/// A letter that this process holds the lease of, with what it needs to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct DueLetter {
    /// The entry.
    pub letter: Letter,
    /// The normal form of the address: with the purpose it says where the challenge is kept.
    pub address: String,
    /// Of the challenge.
    pub purpose: Purpose,
    /// Of the challenge.
    pub challenge: ChallengeId,
    /// Of its code.
    pub version: u32,
    /// How often sending it failed.
    pub attempts: u32,
    /// `None`: the challenge ended or its code changed, so the letter must not go out.
    pub code: Option<DueCode>,
}

/// What a code is written from.
#[derive(Debug, Clone, PartialEq)]
pub struct DueCode {
    /// What it is derived from.
    pub secret: Secret,
    /// When it stops working.
    pub expires_at: Timestamp,
}

impl DueCode {
    /// What the letter for this version of a challenge's code is written from, if it may go out.
    pub fn of(challenge: &Challenge, version: u32, now: Timestamp) -> Option<Self> {
        (challenge.is_open(now) && challenge.version == version).then(|| Self {
            secret: challenge.secret.clone(),
            expires_at: challenge.expires_at,
        })
    }
}

/// How long to wait after this many failures: 5 s, doubling, at most 2 minutes.
pub fn back_off(attempts: u32) -> Duration {
    Duration::from_secs((5 << attempts.clamp(1, 6).saturating_sub(1)).min(120))
}
