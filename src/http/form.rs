//! Reads a JSON body field by field, so that an answer can name everything that is wrong at once.

use serde_json::{Map, Value};

use crate::error::{Error, Invalid, Why};
use crate::model::challenge::Purpose;
use crate::model::email_address::{EmailAddress, NotAnAddress};
use crate::model::language::Language;
use crate::model::password::{BadPassword, Password, PasswordRules};
use crate::model::user::Gender;
use crate::secret::TypedCode;

/// A body, while it is read. Fields that nobody asks for are ignored and have no effect.
pub struct Form {
    fields: Map<String, Value>,
    wrong: Vec<Invalid>,
}

/// What is right depends on this.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// What a new password must be.
    pub passwords: PasswordRules,
    /// The latest year anyone was born in.
    pub this_year: i16,
}

/// A body's shape after reading: no raw strings.
pub trait FromForm: Sized {
    /// Reads every field, also after a wrong one; `None` if any was.
    fn read(form: &mut Form, context: Context) -> Option<Self>;
}

impl Form {
    /// Reads a body.
    pub fn parse<T: FromForm>(body: &[u8], context: Context) -> Result<T, Error> {
        let fields = serde_json::from_slice(body).map_err(|_| Error::NotJson)?;
        let mut form = Self {
            fields,
            wrong: Vec::new(),
        };
        match T::read(&mut form, context) {
            Some(read) if form.wrong.is_empty() => Ok(read),
            _ => Err(Error::Invalid(form.wrong)),
        }
    }

    /// A field that has to be there.
    pub fn required<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&Value) -> Result<T, Why>,
    ) -> Option<T> {
        match self.optional(field, read) {
            Some(Some(value)) => Some(value),
            Some(None) => {
                self.wrong.push(Invalid {
                    field,
                    why: Why::Required,
                });
                None
            }
            None => None,
        }
    }

    /// A field that may be missing or null: `Some(None)` then, `None` if it is wrong.
    pub fn optional<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&Value) -> Result<T, Why>,
    ) -> Option<Option<T>> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Some(None),
            Some(value) => match read(value) {
                Ok(value) => Some(Some(value)),
                Err(why) => {
                    self.wrong.push(Invalid { field, why });
                    None
                }
            },
        }
    }

    /// A field of a merge: `Some(None)` if it is missing, `Some(Some(None))` if it is null.
    pub fn clearable<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&Value) -> Result<T, Why>,
    ) -> Option<Option<Option<T>>> {
        if !self.fields.contains_key(field) {
            return Some(None);
        }
        self.optional(field, read).map(Some)
    }

    /// Notes a field as wrong.
    pub fn refuse(&mut self, invalid: Invalid) {
        self.wrong.push(invalid);
    }
}

fn text(value: &Value) -> Result<&str, Why> {
    value.as_str().ok_or(Why::NotText)
}

/// An e-mail address.
pub fn email(value: &Value) -> Result<EmailAddress, Why> {
    EmailAddress::parse(text(value)?).map_err(|not| match not {
        NotAnAddress::TooLong => Why::AddressTooLong,
        NotAnAddress::Malformed => Why::NotAnAddress,
    })
}

/// A new password, by the rules of this environment.
pub fn new_password(rules: PasswordRules) -> impl FnOnce(&Value) -> Result<Password, Why> {
    move |value| {
        let password = Password::typed(text(value)?).map_err(bad_password)?;
        password.check(rules).map_err(bad_password)?;
        Ok(password)
    }
}

/// A password as it was typed to sign in; whatever it is, it is right or wrong.
pub fn password(value: &Value) -> Result<Password, Why> {
    Password::typed(text(value)?).map_err(bad_password)
}

fn bad_password(bad: BadPassword) -> Why {
    match bad {
        BadPassword::TooShort { length_min } => Why::TooShort { min: length_min },
        BadPassword::TooLong => Why::TooManyBytes { max: 512 },
        BadPassword::Common => Why::CommonPassword,
    }
}

/// A person's name: 1 to 100 characters, on one line.
pub fn full_name(value: &Value) -> Result<String, Why> {
    let name = text(value)?.trim();
    if name.is_empty() {
        return Err(Why::Blank);
    }
    if name.chars().count() > 100 {
        return Err(Why::TooLong { max: 100 });
    }
    // Also what turns text around: a name is shown beside other people's.
    let breaks = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if name.contains(breaks) {
        Err(Why::BadCharacter)
    } else {
        Ok(name.to_owned())
    }
}

/// A language.
pub fn language(value: &Value) -> Result<Language, Why> {
    Language::parse(text(value)?).ok_or(Why::OneOf("ko, en"))
}

/// A gender, as people state it.
pub fn gender(value: &Value) -> Result<Gender, Why> {
    Gender::parse(text(value)?).ok_or(Why::OneOf("male, female, not_specified"))
}

/// A year of birth, from 1900 to this one.
pub fn birth_year(this_year: i16) -> impl FnOnce(&Value) -> Result<i16, Why> {
    move |value| {
        let year = value.as_i64().ok_or(Why::NotWholeNumber)?;
        let range = 1900..=i64::from(this_year);
        let year = Some(year)
            .filter(|year| range.contains(year))
            .and_then(|year| i16::try_from(year).ok());
        year.ok_or(Why::OutOfRange {
            min: 1900,
            max: i64::from(this_year),
        })
    }
}

/// A code from a mail.
pub fn code(value: &Value) -> Result<TypedCode, Why> {
    TypedCode::parse(text(value)?).ok_or(Why::NotACode)
}

/// A `challenge_id`; what it says is found out with its address.
pub fn challenge_id(value: &Value) -> Result<String, Why> {
    let text = text(value)?;
    if text.len() <= 128 {
        Ok(text.to_owned())
    } else {
        Err(Why::NotAChallenge)
    }
}

/// What a mail to be sent again is for.
pub fn resendable(value: &Value) -> Result<Purpose, Why> {
    match text(value)? {
        "registration" => Ok(Purpose::Registration),
        "login" => Ok(Purpose::Login),
        _ => Err(Why::OneOf("registration, login")),
    }
}
