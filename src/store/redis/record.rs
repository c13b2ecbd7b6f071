//! The record of a challenge, as the hash that the steps keep it in.

use std::collections::HashMap;

use serde::de::DeserializeOwned;

use super::instant;
use crate::model::challenge::{Challenge, Secret, State};
use crate::store::Error;

/// The fields of a hash.
pub(super) type Fields = HashMap<String, String>;

/// Reads a record that is there.
pub(super) fn challenge(fields: &Fields) -> Result<Challenge, Error> {
    Ok(Challenge {
        id: word(fields, "id")?,
        version: number(fields, "version")?,
        secret: Secret {
            seed: word(fields, "seed")?,
            key_id: text(fields, "key_id")?.to_owned(),
            check: word(fields, "check")?,
            long_check: word(fields, "long_check")?,
        },
        expires_at: instant(number(fields, "expires_at")?),
        tries: number(fields, "tries")?,
        state: state(fields)?,
        contested: text(fields, "contested")? == "1",
        registration: fields
            .get("form")
            .map(|form| serde_json::from_str(form).map_err(|_| unreadable("form")))
            .transpose()?,
    })
}

fn state(fields: &Fields) -> Result<State, Error> {
    match text(fields, "state")? {
        "open" => Ok(State::Open),
        "claimed" => Ok(State::Claimed {
            until: instant(number(fields, "claimed_until")?),
        }),
        "spent" => Ok(State::Spent {
            by: number(fields, "spent_by")?,
        }),
        _ => Err(unreadable("state")),
    }
}

fn text<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, Error> {
    let text = fields.get(name).ok_or_else(|| unreadable(name))?;
    Ok(text)
}

/// Reads what has a text of its own.
fn number<T: std::str::FromStr>(fields: &Fields, name: &str) -> Result<T, Error> {
    text(fields, name)?.parse().map_err(|_| unreadable(name))
}

/// Reads what is written as in JSON.
fn word<T: DeserializeOwned>(fields: &Fields, name: &str) -> Result<T, Error> {
    read(text(fields, name)?).ok_or_else(|| unreadable(name))
}

/// Reads a word that is written as in JSON.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
}

/// What stands there is not repeated: it may be secret.
fn unreadable(name: &str) -> Error {
    Error::Broken(format!("a challenge's `{name}` in Redis cannot be read"))
}
