//! What answers show of the nouns.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::language::Language;
use crate::model::session::{Method, Session, Snapshot};
use crate::model::user::{self, Gender};

/// An account, to its owner.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "usr_0198c5a07d9c7f3e8a5b2d4c6e8f0a1b", "email": "test@example.com", "full_name": "Test User",
    "language": "ko", "gender": null, "birth_year": 1990, "password_set": true,
    "created_at": "2026-11-22T09:00:00Z", "updated_at": "2026-11-22T09:05:00Z",
}))]
pub struct User {
    /// Names the account.
    #[schema(example = "usr_0198c5a07d9c7f3e8a5b2d4c6e8f0a1b")]
    id: String,
    /// The address in its normal form.
    #[schema(format = "email", example = "test@example.com")]
    email: String,
    /// Their name.
    #[schema(example = "Test User")]
    full_name: String,
    /// What they are written to in; null: as their browser asks.
    #[schema(required)]
    language: Option<Language>,
    /// As they state it; null: not stated.
    #[schema(required)]
    gender: Option<Gender>,
    /// As they state it; null: not stated.
    #[schema(required, example = 1990)]
    birth_year: Option<i16>,
    /// Whether they can also sign in with a password.
    password_set: bool,
    /// When the address was proved.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When anything here last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<&user::User> for User {
    fn from(user: &user::User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.normal().to_owned(),
            full_name: user.profile.full_name.clone(),
            language: user.profile.language,
            gender: user.profile.gender,
            birth_year: user.profile.birth_year,
            password_set: user.password.is_some(),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// Who is signed in, as far as a session carries it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionUser {
    /// Names the account.
    #[schema(example = "usr_0198c5a07d9c7f3e8a5b2d4c6e8f0a1b")]
    id: String,
    /// The address in its normal form.
    #[schema(format = "email", example = "test@example.com")]
    email: String,
    /// Their name.
    #[schema(example = "Test User")]
    full_name: String,
    /// What they are written to in; null: as their browser asks.
    #[schema(required)]
    language: Option<Language>,
    /// When the account last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<&Snapshot> for SessionUser {
    fn from(user: &Snapshot) -> Self {
        Self {
            id: user::UserId(user.id).to_string(),
            email: user.email.clone(),
            full_name: user.full_name.clone(),
            language: user.language,
            updated_at: user.updated_at,
        }
    }
}

/// A session, to its owner.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionDetails {
    /// Names the session; it has nothing to do with its token.
    #[schema(example = "ses_Ym9vdHN0cmFwcGluZyEhIQ")]
    id: String,
    /// How they signed in (RFC 8176): `otp` a mailed code, `pwd` also the password.
    amr: Vec<Method>,
    /// When they signed in.
    #[schema(value_type = String, format = DateTime)]
    signed_in_at: Timestamp,
    /// When the session ends, unless it is used before.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl From<&Session> for SessionDetails {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            amr: session.methods.clone(),
            signed_in_at: session.signed_in_at,
            expires_at: session.expires_at,
        }
    }
}

/// A device that holds a session, to its owner.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceSession {
    #[serde(flatten)]
    session: SessionDetails,
    /// Whether it is the one that asks.
    current: bool,
    /// The last use that was written down; up to a minute behind.
    #[schema(value_type = String, format = DateTime)]
    used_at: Timestamp,
    /// What they signed in with, in the caller's language.
    #[schema(example = "Chrome (Windows)")]
    device: String,
    /// Where they signed in from.
    #[schema(example = "203.0.113.7")]
    client: String,
}

impl DeviceSession {
    /// A session as its owner sees it from another.
    pub fn new(session: &Session, current: &Session, language: Language) -> Self {
        Self {
            session: session.into(),
            current: session.id == current.id,
            used_at: session.used_at,
            device: session.device.say(language),
            client: session.client.to_string(),
        }
    }
}
