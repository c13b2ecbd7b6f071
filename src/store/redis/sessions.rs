//! `Sessions` on Redis: one hash holds all of a user's, so that no index can drift.
//!
//! The steps are Lua, in `sessions/`; their prelude says what the hash is made of. Looking a token up
//! is one `HMGET`, and no step.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use redis::cmd;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::step::{Step, step};
use super::{Redis, decimal, json};
use crate::model::device::Device;
use crate::model::session::{
    Digest, Method, PREDECESSORS_MAX, Predecessor, REFRESH_GRACE, Session, SessionId, Snapshot,
    TOUCHED_AFTER,
};
use crate::model::user::UserId;
use crate::store::{End, Error, Found, NewSession, Refresh, Refreshed, Sessions};

static CREATE: Step = step!("", "sessions/prelude.lua", "sessions/create.lua");
static TOUCH: Step = step!("", "sessions/prelude.lua", "sessions/touch.lua");
static REFRESH: Step = step!("", "sessions/prelude.lua", "sessions/refresh.lua");
/// A session must be ended also where there is no room left, and it makes some.
static END: Step = step!("allow-oom", "sessions/prelude.lua", "sessions/end.lua");
static RENEW: Step = step!("", "sessions/prelude.lua", "sessions/renew.lua");

/// How much longer than anything in it can matter a user's hash is kept: clocks may differ.
const SLACK: Duration = Duration::from_secs(24 * 3600);

/// What a check needs of a session and no step goes by.
#[derive(Serialize, Deserialize)]
struct Rest {
    methods: Vec<Method>,
    device: Device,
    client: IpAddr,
}

#[async_trait]
impl Sessions for Redis {
    async fn create(&self, new: NewSession, now: Timestamp) -> Result<bool, Error> {
        let replaces = new.replaces.map(|digest| digest.0.to_vec());
        let arguments = [
            micros(now),
            decimal(new.generation),
            new.digest.0.to_vec(),
            packed(&new.session, new.generation),
            replaces.unwrap_or_default(),
            decimal(self.rules.sessions.max),
            self.stay(),
        ];
        self.step(&CREATE, new.session.user_id(), &arguments).await
    }

    async fn find(&self, user: UserId, digest: Digest, now: Timestamp) -> Result<Found, Error> {
        let key = self.user(user);
        let mut read = cmd("HMGET");
        read.arg(&key)
            .arg(field(b's', digest))
            .arg(field(b'p', digest));
        let (session, earlier): (Option<Vec<u8>>, Option<Vec<u8>>) =
            self.link.ask(&key, &read).await?;
        if let Some(session) = session {
            let session = unpacked(&session)?;
            return Ok(if session.is_live(now) {
                Found::Live(session)
            } else {
                Found::Nothing
            });
        }
        let Some(earlier) = earlier else {
            return Ok(Found::Nothing);
        };
        let (predecessor, id) = predecessor(digest, &earlier)?;
        let all = self.all(user).await?;
        let Some(session) = all.into_iter().find(|s| s.id == id && s.is_live(now)) else {
            return Ok(Found::Nothing);
        };
        Ok(if predecessor.is_in_grace(now) {
            Found::Live(session)
        } else {
            Found::Reused(session)
        })
    }

    async fn touch(&self, user: UserId, digest: Digest, now: Timestamp) -> Result<(), Error> {
        let rules = self.rules.sessions;
        let arguments = [
            micros(now),
            digest.0.to_vec(),
            span(rules.idle),
            span(rules.lifetime),
            span(TOUCHED_AFTER),
            self.stay(),
        ];
        self.step(&TOUCH, user, &arguments).await
    }

    async fn refresh(
        &self,
        user: UserId,
        refresh: Refresh,
        now: Timestamp,
    ) -> Result<Refreshed, Error> {
        let rules = self.rules.sessions;
        let mut arguments = vec![
            micros(now),
            decimal(refresh.generation),
            refresh.old.0.to_vec(),
            span(rules.idle),
            span(rules.lifetime),
            span(REFRESH_GRACE),
            decimal(PREDECESSORS_MAX),
            self.stay(),
        ];
        arguments.extend(refresh.successors.iter().map(|digest| digest.0.to_vec()));
        let (what, index, session): (String, usize, Option<Vec<u8>>) =
            self.step(&REFRESH, user, &arguments).await?;
        let session = session.map(|session| unpacked(&session)).transpose()?;
        Ok(match (what.as_str(), session) {
            ("done", Some(session)) => Refreshed::Done { session, index },
            ("reused", Some(session)) => Refreshed::Reused(session),
            ("fenced", _) => Refreshed::Fenced,
            ("nothing", _) => Refreshed::Nothing,
            _ => return Err(Error::Broken(format!("a refresh became {what:?}"))),
        })
    }

    async fn list(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, Error> {
        let mut sessions = self.all(user).await?;
        sessions.retain(|session| session.is_live(now));
        sessions.sort_by_key(|session| std::cmp::Reverse(session.used_at));
        Ok(sessions)
    }

    async fn end(&self, user: UserId, end: End, now: Timestamp) -> Result<u64, Error> {
        let (which, what) = match end {
            End::One(id) => ("one", name(id).into()),
            End::AllBut(id) => ("all but", name(id).into()),
            End::Below(generation) => ("below", decimal(generation)),
        };
        let arguments = [micros(now), which.into(), what, self.stay()];
        self.step(&END, user, &arguments).await
    }

    async fn renew(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let arguments = [micros(snapshot.updated_at), json(snapshot).into()];
        self.step(&RENEW, UserId(snapshot.id), &arguments).await
    }

    /// Nothing to do: what is over goes with its user's next step, or with their hash.
    async fn sweep(&self, _now: Timestamp) -> Result<u64, Error> {
        Ok(0)
    }
}

impl Redis {
    /// The key of everything that is kept of a user's sessions; the id as tokens carry it.
    fn user(&self, user: UserId) -> String {
        let id = URL_SAFE_NO_PAD.encode(user.0.as_bytes());
        format!("{}{{u:{id}}}", self.prefix)
    }

    async fn step<T: redis::FromRedisValue>(
        &self,
        step: &Step,
        user: UserId,
        arguments: &[Vec<u8>],
    ) -> Result<T, Error> {
        self.link.run(step, &[self.user(user)], arguments).await
    }

    /// Every session of a user that is kept, over or not.
    async fn all(&self, user: UserId) -> Result<Vec<Session>, Error> {
        let key = self.user(user);
        let mut read = cmd("HGETALL");
        read.arg(&key);
        let fields: HashMap<Vec<u8>, Vec<u8>> = self.link.ask(&key, &read).await?;
        let sessions = fields
            .iter()
            .filter(|(field, _)| field.first() == Some(&b's'));
        sessions.map(|(_, packed)| unpacked(packed)).collect()
    }

    /// For how long a user's hash is kept, in milliseconds. From now on, neither a session nor what a
    /// fence has to refuse can matter for longer than a session's life.
    fn stay(&self) -> Vec<u8> {
        decimal((self.rules.sessions.lifetime + SLACK).as_millis())
    }
}

fn field(kind: u8, digest: Digest) -> Vec<u8> {
    [&[kind][..], &digest.0].concat()
}

fn micros(at: Timestamp) -> Vec<u8> {
    decimal(at.as_microsecond())
}

fn span(span: Duration) -> Vec<u8> {
    decimal(span.as_micros())
}

fn name(id: SessionId) -> String {
    URL_SAFE_NO_PAD.encode(id.0)
}

/// A session as the steps read it: parts between tabs, of which JSON holds none.
fn packed(session: &Session, generation: i64) -> Vec<u8> {
    let rest = Rest {
        methods: session.methods.clone(),
        device: session.device,
        client: session.client,
    };
    [
        micros(session.expires_at),
        micros(session.signed_in_at),
        micros(session.used_at),
        decimal(generation),
        name(session.id).into(),
        micros(session.user.updated_at),
        json(&session.user).into(),
        json(&rest).into(),
    ]
    .join(&b'\t')
}

fn unpacked(packed: &[u8]) -> Result<Session, Error> {
    let broken = || Error::Broken("a session in Redis is not as this release writes it".into());
    let parts: Vec<&[u8]> = packed.splitn(8, |&b| b == b'\t').collect();
    let [
        expires,
        signed_in,
        used,
        _generation,
        id,
        _updated,
        user,
        rest,
    ] = parts[..]
    else {
        return Err(broken());
    };
    let rest: Rest = parsed(rest)?;
    Ok(Session {
        id: session_id(id).ok_or_else(broken)?,
        user: parsed(user)?,
        methods: rest.methods,
        signed_in_at: instant(signed_in).ok_or_else(broken)?,
        used_at: instant(used).ok_or_else(broken)?,
        expires_at: instant(expires).ok_or_else(broken)?,
        device: rest.device,
        client: rest.client,
    })
}

fn predecessor(digest: Digest, kept: &[u8]) -> Result<(Predecessor, SessionId), Error> {
    let mut parts = kept.splitn(2, |&b| b == b'\t');
    let replaced_at = parts.next().and_then(instant);
    let id = parts.next().and_then(session_id);
    let (replaced_at, id) = replaced_at.zip(id).ok_or_else(|| {
        Error::Broken("an earlier token in Redis is not as this release writes it".into())
    })?;
    Ok((
        Predecessor {
            digest,
            replaced_at,
        },
        id,
    ))
}

fn instant(micros: &[u8]) -> Option<Timestamp> {
    let micros = std::str::from_utf8(micros).ok()?.parse().ok()?;
    Timestamp::from_microsecond(micros).ok()
}

fn session_id(name: &[u8]) -> Option<SessionId> {
    let bytes = URL_SAFE_NO_PAD.decode(name).ok()?;
    Some(SessionId(bytes.try_into().ok()?))
}

fn parsed<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json)
        .map_err(|error| Error::Broken(format!("a session in Redis cannot be read: {error}")))
}
