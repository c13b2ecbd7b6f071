//! `POST /api/auth/verify-login`

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::{SessionStarted, Verification, check_transport, start_session};
use crate::app::App;
use crate::error::Error;
use crate::http::describe::{BodyProblems, CodeProblems, Limited, OriginProblem};
use crate::http::request::{Caller, Json, Presented};
use crate::model::challenge::{Admits, Guess, Purpose};
use crate::model::session::Method;
use crate::model::user::User;
use crate::store::{Redeemed, Want};

/// Completes a sign-in with the mailed code.
#[utoipa::path(
    post, operation_id = "verify_login", path = "/api/auth/verify-login", tag = "auth", request_body = Verification,
    responses((status = 200, body = SessionStarted), BodyProblems, CodeProblems, OriginProblem, Limited),
)]
pub async fn post(
    State(app): State<Arc<App>>,
    caller: Caller,
    presented: Presented,
    Json(form): Json<Verification>,
) -> Result<Response, Error> {
    let now = app.now();
    let transport = check_transport(form.session_transport, &presented)?;
    let known_client = app.admit(&caller, Want::Guess, now).await?;
    let handle = form.handle(&app, Purpose::Login)?;

    // Before the code is spent: a database that is away costs nobody a code.
    let account = app
        .stores
        .users
        .find(&form.email)
        .await?
        .filter(User::may_sign_in);
    let admits = if account.is_some() {
        Admits::Owner
    } else {
        Admits::Nobody
    };
    let guess = Guess {
        yields: !known_client,
        ..form.guess(&app, &caller, Purpose::Login, handle, admits)
    };
    let redeemed = app
        .stores
        .challenges
        .redeem(&form.email, Purpose::Login, guess, now)
        .await?;
    let (Redeemed::Accepted(challenge), Some(user)) = (&redeemed, account) else {
        return Err(form.refused(&app, &caller, "sign_in", &redeemed, now));
    };

    // The password counts only for who sends back the handle of the very request that had it.
    let mut methods = vec![Method::Otp];
    if handle.is_some_and(|it| it.vouches_for(challenge.id, challenge.version)) {
        methods.push(Method::Pwd);
    }
    let answer = (StatusCode::OK, transport);
    let started = start_session(&app, &caller, &presented, &user, methods, answer, now).await?;
    started.ok_or_else(|| form.refused(&app, &caller, "sign_in", &Redeemed::Gone, now))
}
