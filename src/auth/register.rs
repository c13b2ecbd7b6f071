//! `POST /api/auth/register`

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use utoipa::ToSchema;

use super::{CodeRequest, CodeSent, Vouching, send_code};
use crate::app::App;
use crate::entropy;
use crate::error::Error;
use crate::http::describe::{BodyProblems, Limited};
use crate::http::form::{self, Context, Form, FromForm};
use crate::http::request::{Caller, Json};
use crate::model::challenge::Purpose;
use crate::model::email_address::EmailAddress;
use crate::model::language::Language;
use crate::model::outbox::LetterKind;
use crate::model::password::Password;
use crate::model::user::{Gender, Profile, Registration};
use crate::store::Want;

/// A form that becomes an account once its address is proved.
#[derive(ToSchema)]
#[schema(example = json!({
    "email": "test@example.com", "password": "pass123", "full_name": "Test User",
}))]
pub struct Register {
    #[schema(value_type = String, format = "email", max_length = 254, example = "test@example.com")]
    email: EmailAddress,
    /// At least 8 characters and no common one in production, at least 6 elsewhere; at most 512 bytes.
    #[schema(value_type = String, format = "password", example = "pass123")]
    password: Password,
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, example = "Test User")]
    full_name: String,
    /// What to write to them in; missing: as their browser asks.
    language: Option<Language>,
    gender: Option<Gender>,
    /// From 1900 to now.
    #[schema(minimum = 1900, example = 1990)]
    birth_year: Option<i16>,
}

impl FromForm for Register {
    fn read(form: &mut Form, context: Context) -> Option<Self> {
        let email = form.required("email", form::email);
        let password = form.required("password", form::new_password(context.passwords));
        let full_name = form.required("full_name", form::full_name);
        let language = form.optional("language", form::language);
        let gender = form.optional("gender", form::gender);
        let birth_year = form.optional("birth_year", form::birth_year(context.this_year));
        Some(Self {
            email: email?,
            password: password?,
            full_name: full_name?,
            language: language?,
            gender: gender?,
            birth_year: birth_year?,
        })
    }
}

/// Starts a registration: mails a code to the address.
///
/// No account is made until the code comes back. An address that has an account gets the same
/// answer, and a mail that says so. A later registration of the address replaces this one and its code.
#[utoipa::path(
    post, operation_id = "register", path = "/api/auth/register", tag = "auth", request_body = Register,
    responses((status = 202, body = CodeSent), BodyProblems, Limited),
)]
pub async fn post(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(form): Json<Register>,
) -> Result<(StatusCode, Json<CodeSent>), Error> {
    let now = app.now();
    if let Err(refused) = app.admit(&caller, Want::Code, now).await {
        return Err(contested(&app, &form.email, refused, now).await);
    }
    // Asked before the hash, so that what will be refused costs none.
    let challenges = &app.stores.challenges;
    if let Some(wait) = challenges
        .would_wait(&form.email, Purpose::Registration, true, caller.client, now)
        .await?
    {
        return Err(Error::TooManyRequests { wait });
    }
    let room = match app.hasher.room() {
        Ok(room) => room,
        Err(refused) => return Err(contested(&app, &form.email, refused, now).await),
    };
    let password = app.hasher.hash(room, form.password).await?;
    let now = app.now();

    // A stranger must not learn who has an account: only what reaches the mailbox differs. An
    // account that was switched off gets no mail, as for signing in.
    let account = app.stores.users.find(&form.email).await?;
    let (kind, deliver) = match &account {
        None => (LetterKind::RegistrationCode, true),
        Some(user) => (LetterKind::AccountExists, user.may_sign_in()),
    };
    let registration = Registration {
        user_id: entropy::row_id(now),
        spelling: form.email.spelling().to_owned(),
        profile: Profile {
            full_name: form.full_name,
            language: form.language,
            gender: form.gender,
            birth_year: form.birth_year,
        },
        password,
    };
    let request = CodeRequest {
        email: &form.email,
        purpose: Purpose::Registration,
        kind,
        deliver,
        account: account.as_ref(),
        registration: Some(registration),
        // At the service's ceiling those who have accounts come first.
        yields: true,
        right_password_at: None,
        vouching: Vouching::Fresh(true),
        event: ("register", "asked"),
    };
    Ok((
        StatusCode::ACCEPTED,
        Json(send_code(&app, &caller, request, now).await?),
    ))
}

/// Refuses a form that never got as far as the one that may be pending. Whoever sent it may be the
/// owner, who then finds the code of a stranger's form in the mailbox.
async fn contested(app: &App, email: &EmailAddress, refused: Error, now: Timestamp) -> Error {
    match app.stores.challenges.contest(email, now).await {
        Ok(()) => refused,
        Err(away) => away.into(),
    }
}
