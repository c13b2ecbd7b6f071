//! Sessions: what a signed-in device holds, and when it ends.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::base64url;
use crate::model::device::Device;
use crate::model::language::Language;
use crate::model::limit::after;
use crate::model::user::{User, UserId};

/// A use that follows another within this time is not written down: one write a minute is enough.
pub const TOUCHED_AFTER: Duration = Duration::from_secs(60);

/// A token that was just refreshed still works this long: parallel requests carry it.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);

/// How many earlier tokens of a session are remembered, to notice one that was copied.
pub const PREDECESSORS_MAX: u32 = 8;

/// How long sessions live and how many there are.
#[derive(Debug, Clone, Copy)]
pub struct SessionRules {
    /// From the last use.
    pub idle: Duration,
    /// From the sign-in, whatever happens.
    pub lifetime: Duration,
    /// At once per account.
    pub max: usize,
}

impl SessionRules {
    /// The earlier of the two ends.
    pub fn expires_at(&self, signed_in_at: Timestamp, used_at: Timestamp) -> Timestamp {
        after(used_at, self.idle).min(after(signed_in_at, self.lifetime))
    }
}

/// Names a session in lists. Random, and unrelated to its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(#[serde(with = "base64url")] pub [u8; 16]);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ses_{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl SessionId {
    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix("ses_")?).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

/// SHA-256 of a whole token: all that a store keeps of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// How the owner of a session proved who they are (RFC 8176 names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A code from the mailbox.
    Otp,
    /// The account's password.
    Pwd,
}

/// What an answer about the signed-in user needs, copied into each session so that a check is one read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Snapshot {
    pub id: Uuid,
    pub email: String,
    pub full_name: String,
    pub language: Option<Language>,
    pub updated_at: Timestamp,
}

impl From<&User> for Snapshot {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.0,
            email: user.email.normal().to_owned(),
            full_name: user.profile.full_name.clone(),
            language: user.profile.language,
            updated_at: user.updated_at,
        }
    }
}

/// A session, as the store keeps it (without its digests).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its name in lists; refreshing keeps it.
    pub id: SessionId,
    /// Whose.
    pub user: Snapshot,
    /// How they signed in.
    pub methods: Vec<Method>,
    /// When they signed in; refreshing keeps it.
    pub signed_in_at: Timestamp,
    /// The last use that was written down.
    pub used_at: Timestamp,
    /// From then on it is refused.
    pub expires_at: Timestamp,
    /// What they signed in with.
    pub device: Device,
    /// Where from.
    pub client: IpAddr,
}

impl Session {
    /// Whether its time is not over.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// Whether a use now is worth writing down.
    pub fn is_touch_due(&self, now: Timestamp) -> bool {
        // One that lies ahead would keep the session alive until that time is reached again.
        now >= after(self.used_at, TOUCHED_AFTER) || self.used_at > after(now, TOUCHED_AFTER)
    }

    /// Whether the last use that was written down is behind: also if it lies so far ahead that a
    /// clock must have been set back since.
    pub fn was_used_before(&self, now: Timestamp) -> bool {
        self.used_at < now || self.used_at > after(now, TOUCHED_AFTER)
    }

    /// The account it belongs to.
    pub fn user_id(&self) -> UserId {
        UserId(self.user.id)
    }
}

/// One earlier token of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predecessor {
    /// Of the token.
    pub digest: Digest,
    /// When it was refreshed.
    pub replaced_at: Timestamp,
}

impl Predecessor {
    /// Whether it may still be shown: requests that were under way carry it.
    pub fn is_in_grace(&self, now: Timestamp) -> bool {
        // Clamped on both sides: a clock set back must not stretch the grace.
        let age = now.duration_since(self.replaced_at);
        age.unsigned_abs() <= REFRESH_GRACE
    }
}
