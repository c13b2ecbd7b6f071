//! `Users` on PostgreSQL: each step is one statement of `statements.rs`.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Postgres, statements};
use crate::model::email_address::EmailAddress;
use crate::model::language::Language;
use crate::model::suppression::{Reason, Suppression};
use crate::model::user::{
    FollowUp, FollowUpTask, Gender, PasswordHash, Profile, ProfileChange, Status, User, UserId,
};
use crate::store::{AuditRow, Created, Error, Users, instant};

/// Statements that erase, of one sweep; the next goes on.
const ERASING_STATEMENTS_MAX: u32 = 100;
/// How often an account is written anew because what was in its way is gone: nobody withdraws from
/// one address that often in the same moment.
const WRITES_MAX: u32 = 3;

#[async_trait]
impl Users for Postgres {
    async fn find(&self, email: &EmailAddress) -> Result<Option<User>, Error> {
        let rows = self
            .primary
            .read(statements::FIND, &[&email.normal()])
            .await?;
        found(&rows)
    }

    async fn peek(&self, email: &EmailAddress) -> Result<Option<User>, Error> {
        let rows = self
            .read_anywhere(statements::FIND, &[&email.normal()])
            .await?;
        found(&rows)
    }

    async fn get(&self, id: UserId) -> Result<Option<User>, Error> {
        let rows = self.primary.read(statements::GET, &[&id.0]).await?;
        rows.first().map(user).transpose()
    }

    async fn create(&self, user: &User, audit: &AuditRow) -> Result<Created, Error> {
        for _ in 0..WRITES_MAX {
            if self.write(user, audit).await? {
                return Ok(Created::Written);
            }
            // In a statement of its own: it sees rows that were committed while the first one ran.
            let in_the_way = self
                .primary
                .read(statements::IN_THE_WAY, &[&user.id.0, &user.email.normal()])
                .await?;
            match only(&in_the_way, |row| Ok((row.try_get(0)?, row.try_get(1)?)))? {
                (true, _) => return Ok(Created::AlreadyThere),
                (false, true) => return Ok(Created::AddressTaken),
                (false, false) => {}
            }
        }
        Err(Error::Unavailable(
            "the accounts at one address change too fast".into(),
        ))
    }

    async fn change_profile(
        &self,
        id: UserId,
        change: &ProfileChange,
        audit: &AuditRow,
    ) -> Result<Option<FollowUp>, Error> {
        let task = FollowUpTask::RenewSessions;
        let rows = self
            .primary
            .query(
                statements::CHANGE_PROFILE,
                &[
                    &audit.id,
                    &audit.at.as_microsecond(),
                    &audit.event,
                    &audit.outcome,
                    &audit.subject,
                    &audit.client,
                    &audit.request_id,
                    &task.as_str(),
                    &id.0,
                    &change.full_name,
                    &change.language.is_some(),
                    &change.language.flatten().map(Language::as_str),
                    &change.gender.is_some(),
                    &change.gender.flatten().map(Gender::as_str),
                    &change.birth_year.is_some(),
                    &change.birth_year.flatten(),
                ],
            )
            .await?;
        follow_up(&rows, audit.id, task)
    }

    async fn set_status(
        &self,
        email: &EmailAddress,
        status: Status,
        audit: &AuditRow,
    ) -> Result<Option<FollowUp>, Error> {
        let task = FollowUpTask::EndEverything;
        let rows = self
            .primary
            .query(
                statements::SET_STATUS,
                &[
                    &audit.id,
                    &audit.at.as_microsecond(),
                    &audit.event,
                    &audit.outcome,
                    &audit.subject,
                    &audit.client,
                    &audit.request_id,
                    &task.as_str(),
                    &email.normal(),
                    &status.as_str(),
                ],
            )
            .await?;
        follow_up(&rows, audit.id, task)
    }

    async fn follow_ups(&self, before: Timestamp) -> Result<Vec<FollowUp>, Error> {
        // A task of a newer release is left for it.
        let tasks = FollowUpTask::ALL.map(FollowUpTask::as_str).to_vec();
        let rows = self
            .primary
            .read(statements::FOLLOW_UPS, &[&before.as_microsecond(), &tasks])
            .await?;
        rows.iter().filter_map(left_behind).collect()
    }

    async fn follow_up_done(&self, id: Uuid) -> Result<(), Error> {
        self.primary
            .query(statements::FOLLOW_UP_DONE, &[&id])
            .await
            .map(drop)
    }

    async fn suppress(
        &self,
        email: &EmailAddress,
        because: &Suppression,
        audit: &AuditRow,
    ) -> Result<bool, Error> {
        let rows = self
            .primary
            .query(
                statements::SUPPRESS,
                &[
                    &audit.id,
                    &audit.at.as_microsecond(),
                    &audit.event,
                    &audit.outcome,
                    &audit.user.map(|id| id.0),
                    &audit.subject,
                    &audit.client,
                    &audit.request_id,
                    &email.normal(),
                    &because.reason.as_str(),
                    &because.detail,
                    &because.at.as_microsecond(),
                ],
            )
            .await?;
        only(&rows, |row| row.try_get(0))
    }

    async fn suppression(&self, email: &EmailAddress) -> Result<Option<Suppression>, Error> {
        let rows = self
            .primary
            .read(statements::SUPPRESSION, &[&email.normal()])
            .await?;
        let found = rows.first().map(suppression).transpose();
        found.map_err(unreadable)
    }

    async fn unsuppress(&self, email: &EmailAddress, audit: &AuditRow) -> Result<bool, Error> {
        let rows = self
            .primary
            .query(
                statements::UNSUPPRESS,
                &[
                    &audit.id,
                    &audit.at.as_microsecond(),
                    &audit.event,
                    &audit.outcome,
                    &audit.user.map(|id| id.0),
                    &audit.subject,
                    &audit.client,
                    &audit.request_id,
                    &email.normal(),
                ],
            )
            .await?;
        only(&rows, |row| row.try_get(0))
    }

    async fn audit(&self, rows: &[AuditRow]) -> Result<(), Error> {
        fn column<'a, T>(rows: &'a [AuditRow], value: impl Fn(&'a AuditRow) -> T) -> Vec<T> {
            rows.iter().map(value).collect()
        }
        self.primary
            .query(
                statements::AUDIT,
                &[
                    &column(rows, |row| row.id),
                    &column(rows, |row| row.at.as_microsecond()),
                    &column(rows, |row| row.event),
                    &column(rows, |row| row.outcome),
                    &column(rows, |row| row.user.map(|id| id.0)),
                    &column(rows, |row| row.subject.as_deref()),
                    &column(rows, |row| row.client),
                    &column(rows, |row| row.request_id.as_str()),
                ],
            )
            .await
            .map(drop)
    }

    async fn erase(
        &self,
        withdrawn_before: Timestamp,
        audited_before: Timestamp,
    ) -> Result<u64, Error> {
        self.erase_with(statements::ERASE_AUDIT, audited_before)
            .await?;
        self.erase_with(statements::ERASE_USERS, withdrawn_before)
            .await
    }
}

impl Postgres {
    /// Writes an account and its audit row, unless something is in the way.
    async fn write(&self, user: &User, audit: &AuditRow) -> Result<bool, Error> {
        let profile = &user.profile;
        let rows = self
            .primary
            .query(
                statements::CREATE,
                &[
                    &user.id.0,
                    &user.email.normal(),
                    &user.email.spelling(),
                    &profile.full_name,
                    &user.password.as_ref().map(|hash| hash.0.as_str()),
                    &profile.language.map(Language::as_str),
                    &profile.gender.map(Gender::as_str),
                    &profile.birth_year,
                    &user.status.as_str(),
                    &user.generation,
                    &user.created_at.as_microsecond(),
                    &user.updated_at.as_microsecond(),
                    &audit.id,
                    &audit.at.as_microsecond(),
                    &audit.event,
                    &audit.outcome,
                    &audit.user.map(|id| id.0),
                    &audit.subject,
                    &audit.client,
                    &audit.request_id,
                ],
            )
            .await?;
        only(&rows, |row| row.try_get(0))
    }

    /// Erases what is older, a piece at a time, and counts it.
    async fn erase_with(&self, statement: &'static str, before: Timestamp) -> Result<u64, Error> {
        let mut erased = 0;
        for _ in 0..ERASING_STATEMENTS_MAX {
            let rows = self
                .primary
                .query(statement, &[&before.as_microsecond()])
                .await?;
            let count: i64 = only(&rows, |row| row.try_get(0))?;
            if count == 0 {
                break;
            }
            erased += count.unsigned_abs();
        }
        Ok(erased)
    }
}

/// Reads the one row of a statement that always has one.
fn only<T>(
    rows: &[Row],
    read: impl FnOnce(&Row) -> Result<T, tokio_postgres::Error>,
) -> Result<T, Error> {
    let row = rows
        .first()
        .ok_or_else(|| Error::Broken("PostgreSQL answered without a row".into()))?;
    read(row).map_err(unreadable)
}

fn unreadable(error: tokio_postgres::Error) -> Error {
    Error::Broken(format!("a row of PostgreSQL's cannot be read: {error}"))
}

/// What follows from a change, if there was an account to change.
fn follow_up(rows: &[Row], id: Uuid, task: FollowUpTask) -> Result<Option<FollowUp>, Error> {
    let user = rows.first().map(user).transpose()?;
    Ok(user.map(|user| FollowUp { id, user, task }))
}

fn left_behind(row: &Row) -> Option<Result<FollowUp, Error>> {
    let read = || Ok((row.try_get("follow_up")?, row.try_get("task")?));
    match read().map_err(unreadable) {
        Ok((id, task)) => {
            let task = FollowUpTask::parse(task)?;
            Some(user(row).map(|user| FollowUp { id, user, task }))
        }
        Err(error) => Some(Err(error)),
    }
}

/// The account that a statement looked for, unless it answered with a row of nobody.
fn found(rows: &[Row]) -> Result<Option<User>, Error> {
    let (user, is_there): (User, bool) =
        only(rows, |row| Ok((read_user(row)?, row.try_get("is_there")?)))?;
    Ok(is_there.then_some(user))
}

fn suppression(row: &Row) -> Result<Suppression, tokio_postgres::Error> {
    Ok(Suppression {
        // A reason of a newer release is one all the same.
        reason: Reason::parse(row.try_get(0)?).unwrap_or(Reason::Bounce),
        detail: row.try_get(1)?,
        at: instant(row.try_get(2)?),
    })
}

fn user(row: &Row) -> Result<User, Error> {
    read_user(row).map_err(unreadable)
}

/// Reads what `statements.rs` calls `user!()`. Words of a newer release are read as none.
fn read_user(row: &Row) -> Result<User, tokio_postgres::Error> {
    let word = |column: usize| row.try_get::<_, Option<&str>>(column);
    Ok(User {
        id: UserId(row.try_get(0)?),
        email: EmailAddress::from_stored(row.try_get(1)?, row.try_get(2)?),
        profile: Profile {
            full_name: row.try_get(3)?,
            language: word(5)?.and_then(Language::parse),
            gender: word(6)?.and_then(Gender::parse),
            birth_year: row.try_get(7)?,
        },
        password: row.try_get::<_, Option<String>>(4)?.map(PasswordHash),
        // A status that this release does not know lets nobody in.
        status: word(8)?
            .and_then(Status::parse)
            .unwrap_or(Status::Deactivated),
        generation: row.try_get(9)?,
        created_at: instant(row.try_get(10)?),
        updated_at: instant(row.try_get(11)?),
    })
}
