//! `POST /api/auth/resend`

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa::ToSchema;

use super::{CodeRequest, CodeSent, Vouching, open_handle, send_code};
use crate::app::App;
use crate::error::Error;
use crate::http::describe::{BodyProblems, Limited};
use crate::http::form::{self, Context, Form, FromForm};
use crate::http::request::{Caller, Json};
use crate::model::challenge::Purpose;
use crate::model::email_address::EmailAddress;
use crate::model::outbox::LetterKind;
use crate::store::Want;

/// Which mail to send again.
#[derive(ToSchema)]
#[schema(example = json!({"email": "test@example.com", "purpose": "login"}))]
pub struct Resend {
    #[schema(value_type = String, format = "email", max_length = 254, example = "test@example.com")]
    email: EmailAddress,
    #[schema(inline, value_type = ResendPurpose)]
    purpose: Purpose,
    /// From the answer to the first request; the new answer's then is as good as that one.
    #[schema(required = false, max_length = 128)]
    challenge_id: Option<String>,
}

/// What a mail that can be sent again is for.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(
    dead_code,
    reason = "it only describes the values in the API description"
)]
enum ResendPurpose {
    Registration,
    Login,
}

impl FromForm for Resend {
    fn read(form: &mut Form, _: Context) -> Option<Self> {
        let email = form.required("email", form::email);
        let purpose = form.required("purpose", form::resendable);
        let challenge_id = form.optional("challenge_id", form::challenge_id);
        Some(Self {
            email: email?,
            purpose: purpose?,
            challenge_id: challenge_id?,
        })
    }
}

/// Mails a code again: the same one, while it is good.
#[utoipa::path(
    post, operation_id = "resend", path = "/api/auth/resend", tag = "auth", request_body = Resend,
    responses((status = 202, body = CodeSent), BodyProblems, Limited),
)]
pub async fn post(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(form): Json<Resend>,
) -> Result<(StatusCode, Json<CodeSent>), Error> {
    let now = app.now();
    let known_client = app.admit(&caller, Want::Code, now).await?;
    let handle = match &form.challenge_id {
        Some(text) => Some(open_handle(&app, text, form.purpose, &form.email)?),
        None => None,
    };

    // As for the first mail: only what reaches the mailbox differs. A registration that nobody
    // waits for leaves a record like any other; the store lets no letter of it go out.
    let account = app.stores.users.find(&form.email).await?;
    let may_sign_in = account.as_ref().is_some_and(|user| user.may_sign_in());
    let (kind, deliver) = match form.purpose {
        Purpose::Registration if account.is_some() => (LetterKind::AccountExists, may_sign_in),
        Purpose::Registration => (LetterKind::RegistrationCode, true),
        _ => (LetterKind::LoginCode, may_sign_in),
    };
    let event = match form.purpose {
        Purpose::Registration => ("register", "asked_again"),
        _ => ("sign_in", "asked_again"),
    };
    let request = CodeRequest {
        email: &form.email,
        purpose: form.purpose,
        kind,
        deliver,
        account: account.as_ref().filter(|_| may_sign_in),
        registration: None,
        yields: form.purpose == Purpose::Registration || !known_client,
        right_password_at: None,
        vouching: Vouching::Earlier(handle),
        event,
    };
    Ok((
        StatusCode::ACCEPTED,
        Json(send_code(&app, &caller, request, now).await?),
    ))
}
