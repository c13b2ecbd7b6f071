//! `POST /api/auth/login`

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa::ToSchema;

use super::{CodeRequest, CodeSent, Vouching, send_code};
use crate::app::App;
use crate::error::Error;
use crate::http::describe::{BodyProblems, CredentialsProblem, Limited};
use crate::http::form::{self, Context, Form, FromForm};
use crate::http::request::{Caller, Json};
use crate::model::challenge::Purpose;
use crate::model::email_address::EmailAddress;
use crate::model::outbox::LetterKind;
use crate::model::password::Password;
use crate::model::user::User;
use crate::store::Want;

/// Who wants to sign in.
#[derive(ToSchema)]
#[schema(example = json!({"email": "test@example.com"}))]
pub struct Login {
    #[schema(value_type = String, format = "email", max_length = 254, example = "test@example.com")]
    email: EmailAddress,
    /// Not needed. If it is given it has to be right, and the code is still asked for.
    #[schema(value_type = Option<String>, format = "password")]
    password: Option<Password>,
}

impl FromForm for Login {
    fn read(form: &mut Form, _: Context) -> Option<Self> {
        let email = form.required("email", form::email);
        let password = form.optional("password", form::password);
        Some(Self {
            email: email?,
            password: password?,
        })
    }
}

/// Starts a sign-in: mails a code to the address.
///
/// An address without an account gets the same answer, and no mail.
#[utoipa::path(
    post, operation_id = "login", path = "/api/auth/login", tag = "auth", request_body = Login,
    responses((status = 202, body = CodeSent), BodyProblems, CredentialsProblem, Limited),
)]
pub async fn post(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(form): Json<Login>,
) -> Result<(StatusCode, Json<CodeSent>), Error> {
    let mut now = app.now();
    let known_client = app.admit(&caller, Want::Code, now).await?;
    let account = app
        .stores
        .users
        .find(&form.email)
        .await?
        .filter(User::may_sign_in);

    let mut right_password_at = None;
    if let Some(password) = form.password {
        // Room to hash first: a try that was never made must not count.
        let room = app.hasher.room()?;
        // Counted before it is hashed and given back if right, so that volleys cannot outrun the count.
        let tried_at = now;
        if let Some(wait) = app
            .stores
            .challenges
            .reserve_password_try(&form.email, tried_at)
            .await?
        {
            return Err(Error::TooManyGuesses { wait });
        }
        let hash = account.as_ref().and_then(|user| user.password.clone());
        let is_right = app.hasher.verify(room, password, hash).await?;
        now = app.now();
        if !is_right {
            app.audit(
                &caller,
                ("sign_in", "password_refused"),
                None,
                Some(&form.email),
                now,
            );
            return Err(Error::CredentialsRefused);
        }
        right_password_at = Some(tried_at);
    }

    // A stranger must not learn who has an account, so known and unknown take the same steps; only
    // what reaches the mailbox differs.
    let request = CodeRequest {
        email: &form.email,
        purpose: Purpose::Login,
        kind: LetterKind::LoginCode,
        deliver: account.is_some(),
        account: account.as_ref(),
        registration: None,
        yields: !known_client,
        right_password_at,
        vouching: Vouching::Fresh(right_password_at.is_some()),
        event: ("sign_in", "asked"),
    };
    Ok((
        StatusCode::ACCEPTED,
        Json(send_code(&app, &caller, request, now).await?),
    ))
}
