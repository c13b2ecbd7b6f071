//! Accounts, and the forms that become them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::email_address::EmailAddress;
use crate::model::language::Language;

/// Names an account. UUID v7: it sorts by the time of registration and is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserId(pub Uuid);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "usr_{}", self.0.simple())
    }
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything.
    Active,
    /// Nothing: an operator switched it off. Its address stays taken.
    Deactivated,
    /// Nothing: its owner withdrew. Its address is free, its row is erased later.
    PendingDeletion,
}

impl Status {
    /// The name in stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Deactivated => "deactivated",
            Status::PendingDeletion => "pending_deletion",
        }
    }

    /// Reads what [`Status::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Status::Active, Status::Deactivated, Status::PendingDeletion]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// As people state it, if they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Gender {
    Male,
    Female,
    NotSpecified,
}

impl Gender {
    /// The name in stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Gender::Male => "male",
            Gender::Female => "female",
            Gender::NotSpecified => "not_specified",
        }
    }

    /// Reads what [`Gender::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Gender::Male, Gender::Female, Gender::NotSpecified]
            .into_iter()
            .find(|g| g.as_str() == text)
    }
}

/// What people say of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// 1 to 100 characters.
    pub full_name: String,
    /// What to write to them in; `None`: as their browser asks.
    pub language: Option<Language>,
    /// `None`: never asked.
    pub gender: Option<Gender>,
    /// From 1900.
    pub birth_year: Option<i16>,
}

/// A profile change: an outer `None` leaves a field alone, an inner one clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ProfileChange {
    pub full_name: Option<String>,
    pub language: Option<Option<Language>>,
    pub gender: Option<Option<Gender>>,
    pub birth_year: Option<Option<i16>>,
}

/// A password's Argon2id hash in PHC form. Never shown or logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A filled-in form, waiting inside its challenge for the address to be proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The id of the user to be: writing the row twice is writing it once.
    pub user_id: Uuid,
    /// The address as it was typed.
    pub spelling: String,
    /// The rest of the form.
    pub profile: Profile,
    /// Of the password in the form.
    pub password: PasswordHash,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Which one.
    pub id: UserId,
    /// Its proved address.
    pub email: EmailAddress,
    /// What its owner says of themselves.
    pub profile: Profile,
    /// `None`: signs in by mailed code only.
    pub password: Option<PasswordHash>,
    /// What it may do.
    pub status: Status,
    /// Raised by everything that must end what was granted before; sessions carry it.
    pub generation: i64,
    /// When the address was proved.
    pub created_at: Timestamp,
    /// When anything in the row last changed. It always moves forward.
    pub updated_at: Timestamp,
}

impl User {
    /// Whether a right code or password lets its owner in.
    pub fn may_sign_in(&self) -> bool {
        self.status == Status::Active
    }
}

/// What has to happen in the other stores because a user's row changed. Written with the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUp {
    /// Which one.
    pub id: Uuid,
    /// Whose.
    pub user: User,
    /// What.
    pub task: FollowUpTask,
}

/// The kinds of [`FollowUp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowUpTask {
    /// Write the changed profile into the sessions that carry a copy of it.
    RenewSessions,
    /// End every session and challenge granted under an earlier generation.
    EndEverything,
}

impl FollowUpTask {
    /// All of them.
    pub const ALL: [FollowUpTask; 2] = [FollowUpTask::RenewSessions, FollowUpTask::EndEverything];

    /// The name in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            FollowUpTask::RenewSessions => "renew_sessions",
            FollowUpTask::EndEverything => "end_everything",
        }
    }

    /// Reads what [`FollowUpTask::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }
}

impl User {
    /// The next `updated_at`: now, but always later than the last.
    pub fn moved_on(&self, now: Timestamp) -> Timestamp {
        let step = jiff::SignedDuration::from_micros(1);
        now.max(self.updated_at.checked_add(step).unwrap_or(Timestamp::MAX))
    }
}

impl ProfileChange {
    /// Merges the change into a profile.
    pub fn apply_to(&self, profile: &mut Profile) {
        if let Some(full_name) = &self.full_name {
            profile.full_name.clone_from(full_name);
        }
        profile.language = self.language.unwrap_or(profile.language);
        profile.gender = self.gender.unwrap_or(profile.gender);
        profile.birth_year = self.birth_year.unwrap_or(profile.birth_year);
    }
}
