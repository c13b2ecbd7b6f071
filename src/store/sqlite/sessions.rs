//! `Sessions` on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{Sqlite, instant, json, parse};
use crate::model::limit::after;
use crate::model::session::{
    Digest, PREDECESSORS_MAX, Predecessor, Session, SessionId, SessionRules, Snapshot,
};
use crate::model::user::UserId;
use crate::store::{End, Error, Found, NewSession, Refresh, Refreshed, Sessions};

#[async_trait]
impl Sessions for Sqlite {
    async fn create(&self, new: NewSession, now: Timestamp) -> Result<bool, Error> {
        let rules = self.rules.sessions;
        self.writer.run(move |c| create(c, &new, rules, now)).await
    }

    async fn find(&self, user: UserId, digest: Digest, now: Timestamp) -> Result<Found, Error> {
        self.read(|c| find(c, user, digest, now))
    }

    async fn touch(&self, user: UserId, digest: Digest, now: Timestamp) -> Result<(), Error> {
        let rules = self.rules.sessions;
        self.writer
            .run(move |c| touch(c, user, digest, rules, now))
            .await
    }

    async fn refresh(
        &self,
        user: UserId,
        refresh: Refresh,
        now: Timestamp,
    ) -> Result<Refreshed, Error> {
        let rules = self.rules.sessions;
        self.writer
            .run(move |c| refreshed(c, user, &refresh, rules, now))
            .await
    }

    async fn list(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, Error> {
        self.read(|c| list(c, user, now))
    }

    async fn end(&self, user: UserId, end: End, now: Timestamp) -> Result<u64, Error> {
        let lifetime = self.rules.sessions.lifetime;
        self.writer
            .run(move |c| {
                if let End::Below(generation) = end {
                    raise_fence(c, user, generation, after(now, lifetime))?;
                }
                ended(c, user, end, now)
            })
            .await
    }

    async fn renew(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let snapshot = snapshot.clone();
        self.writer.run(move |c| renew(c, &snapshot)).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, Error> {
        self.writer
            .run(move |c| {
                let mut swept = 0;
                for table in ["sessions", "predecessors", "fences"] {
                    let delete = format!("DELETE FROM {table} WHERE expires_at <= ?1");
                    swept += c.prepare_cached(&delete)?.execute([now.as_microsecond()])?;
                }
                Ok(swept as u64)
            })
            .await
    }
}

fn create(
    c: &Connection,
    new: &NewSession,
    rules: SessionRules,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let user = new.session.user_id();
    if new.generation < fence(c, user)? {
        return Ok(false);
    }
    raise_fence(c, user, new.generation, after(now, rules.lifetime))?;
    // Another tab may have refreshed the token that this sign-in arrived with.
    if let Some(replaced) = new.replaces
        && let Found::Live(session) | Found::Reused(session) = find(c, user, replaced, now)?
    {
        ended(c, user, End::One(session.id), now)?;
    }
    let mut live = list(c, user, now)?;
    live.sort_by_key(|session| session.expires_at);
    let surplus = (live.len() + 1).saturating_sub(rules.max);
    for session in live.iter().take(surplus) {
        ended(c, user, End::One(session.id), now)?;
    }
    write(c, &new.session, new.digest, new.generation)?;
    Ok(true)
}

fn find(c: &Connection, user: UserId, digest: Digest, now: Timestamp) -> rusqlite::Result<Found> {
    if let Some((session, _)) = by_digest(c, user, digest)? {
        return Ok(if session.is_live(now) {
            Found::Live(session)
        } else {
            Found::Nothing
        });
    }
    let Some((id, predecessor)) = predecessor(c, user, digest)? else {
        return Ok(Found::Nothing);
    };
    let Some((session, _)) = by_id(c, user, id)?.filter(|(session, _)| session.is_live(now)) else {
        return Ok(Found::Nothing);
    };
    Ok(if predecessor.is_in_grace(now) {
        Found::Live(session)
    } else {
        Found::Reused(session)
    })
}

fn touch(
    c: &Connection,
    user: UserId,
    digest: Digest,
    rules: SessionRules,
    now: Timestamp,
) -> rusqlite::Result<()> {
    match by_digest(c, user, digest)? {
        Some((mut session, generation)) if session.is_live(now) && session.was_used_before(now) => {
            session.used_at = now;
            session.expires_at = rules.expires_at(session.signed_in_at, now);
            write(c, &session, digest, generation)
        }
        _ => Ok(()),
    }
}

fn refreshed(
    c: &Connection,
    user: UserId,
    refresh: &Refresh,
    rules: SessionRules,
    now: Timestamp,
) -> rusqlite::Result<Refreshed> {
    if refresh.generation < fence(c, user)? {
        return Ok(Refreshed::Fenced);
    }
    if let Some((mut session, generation)) = by_digest(c, user, refresh.old)? {
        if !session.is_live(now) {
            return Ok(Refreshed::Nothing);
        }
        // Only for who has a live token: a stranger's guess must not cost a write.
        raise_fence(c, user, refresh.generation, after(now, rules.lifetime))?;
        session.used_at = now;
        session.expires_at = rules.expires_at(session.signed_in_at, now);
        c.prepare_cached("DELETE FROM sessions WHERE digest = ?1")?
            .execute([refresh.old.0])?;
        // It keeps its own generation: what is about to end those below a higher one ends it too.
        write(c, &session, refresh.successors[0], generation)?;
        remember(
            c,
            &session,
            refresh.old,
            after(session.signed_in_at, rules.lifetime),
            now,
        )?;
        return Ok(Refreshed::Done { session, index: 0 });
    }
    let Some((id, predecessor)) = predecessor(c, user, refresh.old)? else {
        return Ok(Refreshed::Nothing);
    };
    if predecessor.is_in_grace(now) {
        for (index, digest) in refresh.successors.iter().enumerate() {
            match by_digest(c, user, *digest)? {
                Some((session, _)) if session.is_live(now) => {
                    return Ok(Refreshed::Done { session, index });
                }
                _ => {}
            }
        }
        // Its successor was refreshed too, all within seconds: whoever holds that one goes on.
        return Ok(Refreshed::Nothing);
    }
    match by_id(c, user, id)? {
        Some((session, _)) if session.is_live(now) => {
            ended(c, user, End::One(id), now)?;
            Ok(Refreshed::Reused(session))
        }
        _ => Ok(Refreshed::Nothing),
    }
}

fn list(c: &Connection, user: UserId, now: Timestamp) -> rusqlite::Result<Vec<Session>> {
    let mut select =
        c.prepare_cached("SELECT record FROM sessions WHERE user_id = ?1 AND expires_at > ?2")?;
    let rows = select.query_map((user.0.as_bytes(), now.as_microsecond()), |row| {
        parse::<Session>(row.get_ref(0)?.as_str()?)
    })?;
    let mut sessions = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    sessions.sort_by_key(|session| std::cmp::Reverse(session.used_at));
    Ok(sessions)
}

fn ended(c: &Connection, user: UserId, end: End, now: Timestamp) -> rusqlite::Result<u64> {
    let user = user.0.as_bytes();
    // What is over already was not ended by this, whether or not the sweep was here.
    c.prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND expires_at <= ?2")?
        .execute((user, now.as_microsecond()))?;
    let count = match end {
        End::One(id) => c
            .prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND id = ?2")?
            .execute((user, id.0))?,
        End::AllBut(id) => c
            .prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND id <> ?2")?
            .execute((user, id.0))?,
        End::Below(generation) => c
            .prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND generation < ?2")?
            .execute((user, generation))?,
    };
    c.prepare_cached(
        "DELETE FROM predecessors WHERE user_id = ?1
             AND session_id NOT IN (SELECT id FROM sessions WHERE user_id = ?1)",
    )?
    .execute([user])?;
    Ok(count as u64)
}

fn renew(c: &Connection, snapshot: &Snapshot) -> rusqlite::Result<()> {
    let user = UserId(snapshot.id);
    let mut select =
        c.prepare_cached("SELECT digest, record, generation FROM sessions WHERE user_id = ?1")?;
    let rows = select.query_map([user.0.as_bytes()], |row| {
        Ok((
            Digest(row.get(0)?),
            parse::<Session>(row.get_ref(1)?.as_str()?)?,
            row.get::<_, i64>(2)?,
        ))
    })?;
    for row in rows.collect::<rusqlite::Result<Vec<_>>>()? {
        let (digest, mut session, generation) = row;
        // Two changes may be carried in the wrong order; the later one stays.
        if session.user.updated_at < snapshot.updated_at {
            session.user = snapshot.clone();
            write(c, &session, digest, generation)?;
        }
    }
    Ok(())
}

fn by_digest(
    c: &Connection,
    user: UserId,
    digest: Digest,
) -> rusqlite::Result<Option<(Session, i64)>> {
    c.prepare_cached("SELECT record, generation FROM sessions WHERE digest = ?1 AND user_id = ?2")?
        .query_row((digest.0, user.0.as_bytes()), |row| {
            Ok((parse(row.get_ref(0)?.as_str()?)?, row.get(1)?))
        })
        .optional()
}

fn by_id(c: &Connection, user: UserId, id: SessionId) -> rusqlite::Result<Option<(Session, i64)>> {
    c.prepare_cached("SELECT record, generation FROM sessions WHERE user_id = ?1 AND id = ?2")?
        .query_row((user.0.as_bytes(), id.0), |row| {
            Ok((parse(row.get_ref(0)?.as_str()?)?, row.get(1)?))
        })
        .optional()
}

fn predecessor(
    c: &Connection,
    user: UserId,
    digest: Digest,
) -> rusqlite::Result<Option<(SessionId, Predecessor)>> {
    c.prepare_cached(
        "SELECT session_id, replaced_at FROM predecessors WHERE digest = ?1 AND user_id = ?2",
    )?
    .query_row((digest.0, user.0.as_bytes()), |row| {
        let replaced_at = instant(row.get(1)?);
        Ok((
            SessionId(row.get(0)?),
            Predecessor {
                digest,
                replaced_at,
            },
        ))
    })
    .optional()
}

fn write(
    c: &Connection,
    session: &Session,
    digest: Digest,
    generation: i64,
) -> rusqlite::Result<()> {
    c.prepare_cached(
        "INSERT OR REPLACE INTO sessions (digest, user_id, id, generation, record, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        digest.0,
        session.user.id.as_bytes(),
        session.id.0,
        generation,
        json(session),
        session.expires_at.as_microsecond(),
    ))?;
    Ok(())
}

/// Remembers a refreshed token, and forgets the oldest of many.
fn remember(
    c: &Connection,
    session: &Session,
    digest: Digest,
    expires_at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let user = session.user.id.as_bytes();
    c.prepare_cached(
        "INSERT OR REPLACE INTO predecessors (digest, session_id, user_id, replaced_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        digest.0,
        session.id.0,
        user,
        now.as_microsecond(),
        expires_at.as_microsecond(),
    ))?;
    c.prepare_cached(
        "DELETE FROM predecessors WHERE digest IN (
             SELECT digest FROM predecessors WHERE user_id = ?1 AND session_id = ?2
             ORDER BY replaced_at DESC LIMIT -1 OFFSET ?3)",
    )?
    .execute((user, session.id.0, PREDECESSORS_MAX))?;
    Ok(())
}

/// The highest generation that the store has seen of a user.
fn fence(c: &Connection, user: UserId) -> rusqlite::Result<i64> {
    let select = "SELECT generation FROM fences WHERE user_id = ?1";
    let seen = c
        .prepare_cached(select)?
        .query_row([user.0.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(seen.unwrap_or(i64::MIN))
}

fn raise_fence(
    c: &Connection,
    user: UserId,
    generation: i64,
    expires_at: Timestamp,
) -> rusqlite::Result<()> {
    c.prepare_cached(
        "INSERT INTO fences (user_id, generation, expires_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (user_id) DO UPDATE SET
             generation = max(generation, excluded.generation), expires_at = excluded.expires_at",
    )?
    .execute((user.0.as_bytes(), generation, expires_at.as_microsecond()))?;
    Ok(())
}
