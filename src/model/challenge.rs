//! A challenge: somebody asked for a code, and may now prove that they read the mailbox.
//!
//! This is the state machine of one record. The stores keep it and run each transition as one
//! atomic step; how codes are derived is `secret.rs`.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::model::base64url;
use crate::model::limit::{after, micros_of, until};
use crate::model::user::Registration;

/// A code that is asked for again within this much of its end is replaced: nobody should be mailed
/// a code that is over before they have read it.
const RESENT_WITH_AT_LEAST: Duration = Duration::from_secs(3 * 60);

/// How long one process may take between taking a registration's code and finishing with it.
pub const CLAIM: Duration = Duration::from_secs(10);

/// What a code is good for. A code of one purpose is never accepted for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Prove the address of a new account.
    Registration,
    /// Sign in.
    Login,
    /// Set a new password without the old one.
    ResetPassword,
    /// Set a new password inside a session.
    ChangePassword,
    /// Leave the present address for another.
    ChangeEmail,
    /// Prove that other address.
    NewEmail,
    /// Withdraw the account.
    Withdraw,
}

impl Purpose {
    /// Every purpose: what ends an account's challenges walks over it.
    pub const ALL: [Purpose; 7] = [
        Purpose::Registration,
        Purpose::Login,
        Purpose::ResetPassword,
        Purpose::ChangePassword,
        Purpose::ChangeEmail,
        Purpose::NewEmail,
        Purpose::Withdraw,
    ];

    /// The name in stores, derivations and JSON. Never reuse one for something else.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Registration => "registration",
            Purpose::Login => "login",
            Purpose::ResetPassword => "reset_password",
            Purpose::ChangePassword => "change_password",
            Purpose::ChangeEmail => "change_email",
            Purpose::NewEmail => "new_email",
            Purpose::Withdraw => "withdraw",
        }
    }

    /// Reads what [`Purpose::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
    }
}

/// Names a challenge between its answer and its code. Random; no secret, no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChallengeId(#[serde(with = "base64url")] pub [u8; 16]);

/// The random part that a challenge's codes are derived from. Leaves the store in no answer, mail or log.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(#[serde(with = "base64url")] pub [u8; 16]);

/// A keyed digest of a code: all that a store ever sees of it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Check(#[serde(with = "base64url")] pub [u8; 32]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check(…)")
    }
}

/// In constant time: how much of a guess was right shows nowhere.
impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// A seed with the checks of its two codes, under one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    /// What the codes are derived from.
    pub seed: Seed,
    /// The key they are derived under.
    pub key_id: String,
    /// Of the 6-digit code.
    pub check: Check,
    /// Of the long code.
    pub long_check: Check,
}

/// Where a challenge stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its code has not been used.
    Open,
    /// A process holds its right code until then, to write what follows from it.
    Claimed {
        /// When the claim runs out if that process dies.
        until: Timestamp,
    },
    /// Its code was used. To everyone it goes on answering as an open one would.
    Spent {
        /// Where the one who used it called from: they may ask again without waiting.
        by: IpAddr,
    },
}

/// The one record of an (address, purpose).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Challenge {
    /// Which one this is; kept when its code is made anew after use.
    pub id: ChallengeId,
    /// Counts the codes that it has had: a letter written for an earlier one must not go out.
    pub version: u32,
    /// What its codes are derived from.
    pub secret: Secret,
    /// When its codes stop working.
    pub expires_at: Timestamp,
    /// How many wrong 6-digit codes it has met.
    pub tries: u8,
    /// Whether its code was used.
    pub state: State,
    /// Whether two registrations of one address met here, so that nobody can say whose form this is.
    pub contested: bool,
    /// What becomes a user once the address is proved.
    pub registration: Option<Registration>,
}

/// How long codes live and how often they may be guessed at.
#[derive(Debug, Clone, Copy)]
pub struct CodeRules {
    /// From the first mail to the end.
    pub lifetime: Duration,
    /// How many wrong 6-digit codes end a record.
    pub tries_max: u8,
}

impl CodeRules {
    /// How much of its time a code must have left to be sent again.
    pub fn resent_with_at_least(self) -> Duration {
        // In whole microseconds, as every store counts.
        let half = Duration::from_micros(micros_of(self.lifetime).unsigned_abs() / 2);
        RESENT_WITH_AT_LEAST.min(half)
    }
}

/// The part of a request for a code that the record depends on.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The id, if a new record is needed.
    pub id: ChallengeId,
    /// The secret, if a new code is needed.
    pub secret: Secret,
    /// A filled-in form. It replaces whatever was there: a form and its code belong together.
    pub registration: Option<Registration>,
}

impl Challenge {
    /// The record after somebody asked for a code.
    ///
    /// While an earlier code is good it is sent again, with its end and its count: asking is no way
    /// to get more guesses. If it was used, the same record gets a new code, so that the answers
    /// of an address whose owner just signed in are those of an address that nobody owns.
    pub fn asked(current: Option<Self>, ask: Ask, rules: CodeRules, now: Timestamp) -> Self {
        let current = current.map(|current| current.clamped(rules, now));
        match current {
            Some(mut current)
                if ask.registration.is_none() && current.is_worth_resending(rules, now) =>
            {
                if matches!(current.state, State::Spent { .. }) {
                    current.version += 1;
                    current.secret = ask.secret;
                    current.state = State::Open;
                    // The form became an account; its code must not make it another.
                    current.registration = None;
                }
                current
            }
            // The form goes on under a new code: whoever guessed its tries away, or came late, must
            // not take it from the one who filled it in. It stays that form's own record.
            Some(current) if ask.registration.is_none() && current.is_pending(now) => Self {
                version: current.version + 1,
                secret: ask.secret,
                expires_at: after(now, rules.lifetime),
                tries: 0,
                state: State::Open,
                ..current
            },
            current => Self {
                id: ask.id,
                version: 0,
                secret: ask.secret,
                expires_at: after(now, rules.lifetime),
                tries: 0,
                state: State::Open,
                contested: ask.registration.is_some()
                    && current.is_some_and(|old| old.is_pending(now)),
                registration: ask.registration,
            },
        }
    }

    fn is_worth_resending(&self, rules: CodeRules, now: Timestamp) -> bool {
        let left = until(now, self.expires_at);
        left >= rules.resent_with_at_least() && self.tries < rules.tries_max
    }

    /// An end beyond now + lifetime comes from a clock that was set back; no code lives longer than that.
    fn clamped(mut self, rules: CodeRules, now: Timestamp) -> Self {
        self.expires_at = self.expires_at.min(after(now, rules.lifetime));
        self
    }

    /// Whether its time is not over.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// Whether it holds a form that could still become an account.
    pub fn is_pending(&self, now: Timestamp) -> bool {
        self.is_live(now)
            && self.registration.is_some()
            && !matches!(self.state, State::Spent { .. })
    }

    /// Whether its codes may be mailed: they would work.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.is_live(now) && self.is_free(now)
    }
}

/// An attempt to use a code.
#[derive(Debug, Clone)]
pub struct Guess {
    /// The challenge that the caller says it belongs to.
    pub challenge: Option<ChallengeId>,
    /// The guess's check under every live key: the record says which one counts.
    pub checks: Vec<(String, Check)>,
    /// Whether it has the shape of a long code: those are beyond guessing, so nothing counts them.
    pub is_long: bool,
    /// For whom a right code would be accepted.
    pub admits: Admits,
    /// Refused before others when the whole service is at its ceiling.
    pub yields: bool,
    /// Where the caller is.
    pub client: IpAddr,
}

/// For whom a right code is accepted, as the users' store said just before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admits {
    /// The account may do what the code is for: the code alone decides.
    Owner,
    /// A form waits for it; if the address has an account by now, only the form that became it.
    Form {
        /// The account that has the address.
        account: Option<Uuid>,
    },
    /// Nobody: no account, or one that may not sign in. A right code is a wrong one.
    Nobody,
}

/// What became of an attempt to use a code.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The code matched. A login's is spent now, a registration's claimed.
    Accepted,
    /// The code did not match; the holder may try this many more times.
    Wrong {
        /// How many 6-digit guesses are left.
        tries_left: u8,
        /// Whether this guess counts against the address's daily budget.
        counts: bool,
    },
    /// There is no code to match: never sent, expired, replaced, or guessed at too often.
    Gone,
    /// It was made under a key that this process does not have.
    KeyUnknown,
}

impl Challenge {
    /// Compares, counts and spends. Nothing is read before it, and nothing is undone after it.
    pub fn guessed(&mut self, guess: &Guess, rules: CodeRules, now: Timestamp) -> Outcome {
        self.expires_at = self.expires_at.min(after(now, rules.lifetime));
        let is_another = guess.challenge.is_some_and(|id| id != self.id);
        if !self.is_live(now) || is_another || (self.tries >= rules.tries_max && !guess.is_long) {
            return Outcome::Gone;
        }
        let Some((_, check)) = guess
            .checks
            .iter()
            .find(|(id, _)| *id == self.secret.key_id)
        else {
            return Outcome::KeyUnknown;
        };
        let right = if guess.is_long {
            self.secret.long_check
        } else {
            self.secret.check
        };
        if *check == right && self.admits(guess.admits) && self.is_free(now) {
            self.state = match self.registration {
                Some(_) => State::Claimed {
                    until: after(now, CLAIM),
                },
                None => State::Spent { by: guess.client },
            };
            return Outcome::Accepted;
        }
        if !guess.is_long {
            self.tries += 1;
        }
        Outcome::Wrong {
            tries_left: rules.tries_max.saturating_sub(self.tries),
            counts: !guess.is_long,
        }
    }

    fn admits(&self, admits: Admits) -> bool {
        match admits {
            Admits::Owner => true,
            Admits::Form { account } => self
                .registration
                .as_ref()
                .is_some_and(|form| account.is_none_or(|account| account == form.user_id)),
            Admits::Nobody => false,
        }
    }

    fn is_free(&self, now: Timestamp) -> bool {
        match self.state {
            State::Open => true,
            // Clamped: a claim lasts ten seconds whatever the clocks did in between.
            State::Claimed { until } => now >= until || after(now, CLAIM) < until,
            State::Spent { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
