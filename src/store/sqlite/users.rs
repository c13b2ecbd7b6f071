//! `Users` on SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::{Sqlite, instant, statements};
use crate::model::email_address::EmailAddress;
use crate::model::language::Language;
use crate::model::suppression::{Reason, Suppression};
use crate::model::user::{
    FollowUp, FollowUpTask, Gender, PasswordHash, Profile, ProfileChange, Status, User, UserId,
};
use crate::store::{AuditRow, Created, Error, Users};

/// As many as a sweep works off at a time.
const FOLLOW_UPS_MAX: usize = 100;

#[async_trait]
impl Users for Sqlite {
    async fn find(&self, email: &EmailAddress) -> Result<Option<User>, Error> {
        self.read(|c| find(c, email.normal()))
    }

    async fn get(&self, id: UserId) -> Result<Option<User>, Error> {
        self.read(|c| get(c, id))
    }

    async fn create(&self, user: &User, audit: &AuditRow) -> Result<Created, Error> {
        let (user, audit) = (user.clone(), audit.clone());
        self.writer.run(move |c| create(c, &user, &audit)).await
    }

    async fn change_profile(
        &self,
        id: UserId,
        change: &ProfileChange,
        audit: &AuditRow,
    ) -> Result<Option<FollowUp>, Error> {
        let (change, audit) = (change.clone(), audit.clone());
        self.writer
            .run(move |c| {
                let Some(mut user) = get(c, id)?.filter(User::may_sign_in) else {
                    return Ok(None);
                };
                change.apply_to(&mut user.profile);
                user.updated_at = user.moved_on(audit.at);
                c.prepare_cached(statements::CHANGE_PROFILE)?.execute((
                    id.0.as_bytes(),
                    user.updated_at.as_microsecond(),
                    &change.full_name,
                    change.language.is_some(),
                    change.language.flatten().map(Language::as_str),
                    change.gender.is_some(),
                    change.gender.flatten().map(Gender::as_str),
                    change.birth_year.is_some(),
                    change.birth_year.flatten(),
                ))?;
                follow(c, user, FollowUpTask::RenewSessions, &audit).map(Some)
            })
            .await
    }

    async fn set_status(
        &self,
        email: &EmailAddress,
        status: Status,
        audit: &AuditRow,
    ) -> Result<Option<FollowUp>, Error> {
        let (email, audit) = (email.clone(), audit.clone());
        self.writer
            .run(move |c| {
                let Some(mut user) = find(c, email.normal())? else {
                    return Ok(None);
                };
                user.status = status;
                user.generation += 1;
                user.updated_at = user.moved_on(audit.at);
                c.prepare_cached(statements::SET_STATUS)?.execute((
                    user.id.0.as_bytes(),
                    status.as_str(),
                    user.generation,
                    user.updated_at.as_microsecond(),
                ))?;
                follow(c, user, FollowUpTask::EndEverything, &audit).map(Some)
            })
            .await
    }

    async fn follow_ups(&self, before: Timestamp) -> Result<Vec<FollowUp>, Error> {
        self.read(|c| follow_ups(c, before))
    }

    async fn follow_up_done(&self, id: Uuid) -> Result<(), Error> {
        let delete = statements::FOLLOW_UP_DONE;
        self.writer
            .run(move |c| c.prepare_cached(delete)?.execute([id.as_bytes()]))
            .await
            .map(drop)
    }

    async fn suppress(
        &self,
        email: &EmailAddress,
        because: &Suppression,
        audit: &AuditRow,
    ) -> Result<bool, Error> {
        let (email, because, audit) = (email.clone(), because.clone(), audit.clone());
        self.writer
            .run(move |c| {
                let written = c.prepare_cached(statements::SUPPRESS)?.execute((
                    email.normal(),
                    because.reason.as_str(),
                    &because.detail,
                    because.at.as_microsecond(),
                ))?;
                told(c, written, &audit)
            })
            .await
    }

    async fn suppression(&self, email: &EmailAddress) -> Result<Option<Suppression>, Error> {
        self.read(|c| {
            c.prepare_cached(statements::SUPPRESSION)?
                .query_row([email.normal()], suppression)
                .optional()
        })
    }

    async fn unsuppress(&self, email: &EmailAddress, audit: &AuditRow) -> Result<bool, Error> {
        let (email, audit) = (email.clone(), audit.clone());
        self.writer
            .run(move |c| {
                let unsuppress = c.prepare_cached(statements::UNSUPPRESS);
                let erased = unsuppress?.execute([email.normal()])?;
                told(c, erased, &audit)
            })
            .await
    }

    async fn audit(&self, rows: &[AuditRow]) -> Result<(), Error> {
        let rows = rows.to_vec();
        self.writer
            .run(move |c| rows.iter().try_for_each(|row| append(c, row)))
            .await
    }

    async fn erase(
        &self,
        withdrawn_before: Timestamp,
        audited_before: Timestamp,
    ) -> Result<u64, Error> {
        let withdrawn_before = withdrawn_before.as_microsecond();
        let audited_before = audited_before.as_microsecond();
        self.writer
            .run(move |c| {
                c.execute(statements::ERASE_AUDIT, [audited_before])?;
                let count = c.execute(statements::ERASE_USERS, [withdrawn_before])?;
                c.execute(statements::ERASE_FOLLOW_UPS, [])?;
                Ok(count as u64)
            })
            .await
    }
}

fn find(c: &Connection, email: &str) -> rusqlite::Result<Option<User>> {
    let found = c
        .prepare_cached(statements::FIND)?
        .query_row([email], user)
        .optional()?;
    if found.is_none() {
        c.prepare_cached(statements::NOBODY)?.query_row([], user)?;
    }
    Ok(found)
}

fn get(c: &Connection, id: UserId) -> rusqlite::Result<Option<User>> {
    c.prepare_cached(statements::GET)?
        .query_row([id.0.as_bytes()], user)
        .optional()
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let text = |column: usize| row.get::<_, Option<String>>(column);
    Ok(User {
        id: UserId(Uuid::from_bytes(row.get(0)?)),
        email: EmailAddress::from_stored(row.get(1)?, row.get(2)?),
        profile: Profile {
            full_name: row.get(3)?,
            language: text(5)?.and_then(|language| Language::parse(&language)),
            gender: text(6)?.and_then(|gender| Gender::parse(&gender)),
            birth_year: row.get(7)?,
        },
        password: text(4)?.map(PasswordHash),
        // A status that this release does not know lets nobody in.
        status: text(8)?
            .and_then(|status| Status::parse(&status))
            .unwrap_or(Status::Deactivated),
        generation: row.get(9)?,
        created_at: instant(row.get(10)?),
        updated_at: instant(row.get(11)?),
    })
}

fn create(c: &Connection, user: &User, audit: &AuditRow) -> rusqlite::Result<Created> {
    if get(c, user.id)?.is_some() {
        return Ok(Created::AlreadyThere);
    }
    if find(c, user.email.normal())?.is_some() {
        return Ok(Created::AddressTaken);
    }
    insert(c, user)?;
    append(c, audit)?;
    Ok(Created::Written)
}

fn insert(c: &Connection, user: &User) -> rusqlite::Result<()> {
    c.prepare_cached(statements::CREATE)?.execute((
        user.id.0.as_bytes(),
        user.email.normal(),
        user.email.spelling(),
        &user.profile.full_name,
        user.password.as_ref().map(|hash| &hash.0),
        user.profile.language.map(Language::as_str),
        user.profile.gender.map(Gender::as_str),
        user.profile.birth_year,
        user.status.as_str(),
        user.generation,
        user.created_at.as_microsecond(),
        user.updated_at.as_microsecond(),
    ))?;
    Ok(())
}

/// Writes what is said of a change, and what has to follow it.
fn follow(
    c: &Connection,
    user: User,
    task: FollowUpTask,
    audit: &AuditRow,
) -> rusqlite::Result<FollowUp> {
    append(
        c,
        &AuditRow {
            user: Some(user.id),
            ..audit.clone()
        },
    )?;
    c.prepare_cached(statements::FOLLOW)?.execute((
        audit.id.as_bytes(),
        user.id.0.as_bytes(),
        task.as_str(),
        audit.at.as_microsecond(),
    ))?;
    let id = audit.id;
    Ok(FollowUp { id, user, task })
}

fn follow_ups(c: &Connection, before: Timestamp) -> rusqlite::Result<Vec<FollowUp>> {
    let mut select = c.prepare_cached(statements::FOLLOW_UPS)?;
    let rows = select.query_map([before.as_microsecond()], |row| {
        Ok((
            Uuid::from_bytes(row.get(0)?),
            UserId(Uuid::from_bytes(row.get(1)?)),
            row.get::<_, String>(2)?,
        ))
    })?;
    let mut found = Vec::new();
    for row in rows {
        if found.len() == FOLLOW_UPS_MAX {
            break;
        }
        let (id, user_id, task) = row?;
        // A task of a newer release is left for it; a user who is gone has nothing to follow.
        if let (Some(task), Some(user)) = (FollowUpTask::parse(&task), get(c, user_id)?) {
            found.push(FollowUp { id, user, task });
        }
    }
    Ok(found)
}

fn suppression(row: &Row<'_>) -> rusqlite::Result<Suppression> {
    Ok(Suppression {
        // A reason of a newer release is one all the same.
        reason: Reason::parse(&row.get::<_, String>(0)?).unwrap_or(Reason::Bounce),
        detail: row.get(1)?,
        at: instant(row.get(2)?),
    })
}

/// Writes the audit row of what changed, if anything did.
fn told(c: &Connection, changed: usize, audit: &AuditRow) -> rusqlite::Result<bool> {
    if changed > 0 {
        append(c, audit)?;
    }
    Ok(changed > 0)
}

fn append(c: &Connection, row: &AuditRow) -> rusqlite::Result<()> {
    c.prepare_cached(statements::AUDIT)?.execute((
        row.id.as_bytes(),
        row.at.as_microsecond(),
        row.event,
        row.outcome,
        row.user.map(|id| id.0.into_bytes()),
        &row.subject,
        row.client.map(|client| client.to_string()),
        &row.request_id,
    ))?;
    Ok(())
}
