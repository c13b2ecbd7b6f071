//! What can go wrong, in the caller's words. Knows no HTTP: `http/error.rs` turns it into answers.

use std::time::Duration;

use crate::messages::Messages;
use crate::store;

/// Why a request was not done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.code())]
pub enum Error {
    /// The body is no JSON.
    NotJson,
    /// The body is not declared as JSON.
    NotDeclaredJson,
    /// The body is larger than any of ours.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// These fields cannot be taken. All of them are named.
    Invalid(Vec<Invalid>),
    /// There is nothing at this path.
    NotFound,
    /// There is something at this path, but not with this method.
    MethodNotAllowed,
    /// The code was refused; the caller did not say which challenge it was for, so nothing more is said.
    CodeRefused,
    /// The code is wrong; the challenge goes on.
    CodeWrong {
        /// How many guesses are left.
        tries_left: u8,
    },
    /// The challenge is over, used or replaced: a new code has to be asked for.
    CodeGone,
    /// The address has met too many wrong codes or passwords.
    TooManyGuesses {
        /// How long to wait.
        wait: Duration,
    },
    /// Too many codes were asked for, or too many calls made.
    TooManyRequests {
        /// How long to wait.
        wait: Duration,
    },
    /// The password is wrong, or there is no account: nobody can tell which.
    CredentialsRefused,
    /// The call needs a session, and there is no live one.
    SessionRequired,
    /// There is no such session in this account.
    NoSuchSession,
    /// A cookie must not be used from where this call came from.
    OriginRefused,
    /// What was reported about mail is not the mail service's own word.
    NotificationRefused,
    /// More work waits than can be done soon.
    Busy,
    /// A store or the mail is away. What we were doing.
    Unavailable(String),
    /// The record was made under a key that this process does not have.
    KeyUnknown,
    /// The `challenge_id` names such a key. Anyone can write that into one.
    HandleKeyUnknown,
    /// Unforeseen. What we were doing.
    Internal(String),
}

/// A field that cannot be taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Its name in the body.
    pub field: &'static str,
    /// Why.
    pub why: Why,
}

/// Why a field cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the codes and messages say it")]
pub enum Why {
    Required,
    NotText,
    NotWholeNumber,
    Blank,
    TooLong { max: usize },
    TooShort { min: usize },
    TooManyBytes { max: usize },
    AddressTooLong,
    NotAnAddress,
    CommonPassword,
    NotACode,
    NotAChallenge,
    OneOf(&'static str),
    OutOfRange { min: i64, max: i64 },
    BadCharacter,
}

impl Error {
    /// The stable machine code.
    pub fn code(&self) -> &'static str {
        match self {
            Error::NotJson => "malformed_json",
            Error::NotDeclaredJson => "unsupported_media_type",
            Error::TooLarge => "body_too_large",
            Error::TooSlow => "body_too_slow",
            Error::Invalid(_) => "invalid_fields",
            Error::NotFound => "not_found",
            Error::MethodNotAllowed => "method_not_allowed",
            Error::CodeRefused => "code_refused",
            Error::CodeWrong { .. } => "code_wrong",
            Error::CodeGone => "code_gone",
            Error::TooManyGuesses { .. } => "too_many_guesses",
            Error::TooManyRequests { .. } => "too_many_requests",
            Error::CredentialsRefused => "credentials_refused",
            Error::SessionRequired => "session_required",
            Error::NoSuchSession => "session_not_found",
            Error::OriginRefused => "origin_refused",
            Error::NotificationRefused => "notification_refused",
            Error::Busy => "busy",
            Error::Unavailable(_) => "unavailable",
            Error::KeyUnknown | Error::HandleKeyUnknown => "key_unknown",
            Error::Internal(_) => "internal",
        }
    }

    /// What happened and what to do next, for a person.
    pub fn detail(&self, words: &'static Messages) -> String {
        let words = &words.error;
        let text = match self {
            Error::NotJson => words.malformed_json,
            Error::NotDeclaredJson => words.unsupported_media_type,
            Error::TooLarge => words.body_too_large,
            Error::TooSlow => words.body_too_slow,
            Error::Invalid(_) => words.invalid_fields,
            Error::NotFound => words.not_found,
            Error::MethodNotAllowed => words.method_not_allowed,
            Error::CodeRefused => words.code_refused,
            Error::CodeWrong { tries_left } => return fill(words.code_wrong, *tries_left),
            Error::CodeGone => words.code_gone,
            Error::TooManyGuesses { .. } => words.too_many_guesses,
            Error::TooManyRequests { .. } => words.too_many_requests,
            Error::CredentialsRefused => words.credentials_refused,
            Error::SessionRequired => words.session_required,
            Error::NoSuchSession => words.session_not_found,
            Error::OriginRefused => words.origin_refused,
            Error::NotificationRefused => words.notification_refused,
            Error::Busy => words.busy,
            Error::Unavailable(_) | Error::KeyUnknown | Error::HandleKeyUnknown => {
                words.unavailable
            }
            Error::Internal(_) => words.internal,
        };
        text.to_owned()
    }

    /// How long the caller should wait before trying again, where waiting helps.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Error::TooManyGuesses { wait } | Error::TooManyRequests { wait } => Some(*wait),
            Error::Busy => Some(Duration::from_secs(1)),
            Error::Unavailable(_) | Error::KeyUnknown | Error::HandleKeyUnknown => {
                Some(Duration::from_secs(5))
            }
            _ => None,
        }
    }
}

impl Why {
    /// The stable machine code.
    pub fn code(self) -> &'static str {
        match self {
            Why::Required => "required",
            Why::NotText => "not_text",
            Why::NotWholeNumber => "not_whole_number",
            Why::Blank => "blank",
            Why::TooLong { .. } => "too_long",
            Why::TooManyBytes { .. } => "too_many_bytes",
            Why::AddressTooLong => "address_too_long",
            Why::TooShort { .. } => "too_short",
            Why::NotAnAddress => "not_an_address",
            Why::CommonPassword => "common_password",
            Why::NotACode => "not_a_code",
            Why::NotAChallenge => "not_a_challenge",
            Why::OneOf(_) => "not_one_of",
            Why::OutOfRange { .. } => "out_of_range",
            Why::BadCharacter => "bad_character",
        }
    }

    /// What to write instead, for a person.
    pub fn detail(self, words: &'static Messages) -> String {
        let words = &words.field;
        match self {
            Why::Required => words.required.into(),
            Why::NotText => words.not_text.into(),
            Why::NotWholeNumber => words.not_whole_number.into(),
            Why::Blank => words.blank.into(),
            Why::TooLong { max } => fill(words.too_long, max),
            Why::TooShort { min } => fill(words.too_short, min),
            Why::TooManyBytes { max } => fill(words.too_many_bytes, max),
            Why::AddressTooLong => words.address_too_long.into(),
            Why::NotAnAddress => words.not_an_address.into(),
            Why::CommonPassword => words.common_password.into(),
            Why::NotACode => words.not_a_code.into(),
            Why::NotAChallenge => words.not_a_challenge.into(),
            Why::OneOf(values) => fill(words.not_one_of, values),
            Why::OutOfRange { min, max } => fill(words.out_of_range, format!("{min}–{max}")),
            Why::BadCharacter => words.bad_character.into(),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(context) => Error::Unavailable(context),
            store::Error::Broken(context) => Error::Internal(context),
        }
    }
}

/// Puts a value in a message's `{}`.
fn fill(text: &str, value: impl std::fmt::Display) -> String {
    text.replace("{}", &value.to_string())
}
