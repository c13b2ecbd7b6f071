//! `POST /api/auth/verify-registration`

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use super::{SessionStarted, Verification, check_transport, start_session};
use crate::app::App;
use crate::error::Error;
use crate::http::describe::{BodyProblems, CodeProblems, Limited, OriginProblem};
use crate::http::request::{Caller, Json, Presented};
use crate::model::challenge::{Admits, Guess, Purpose};
use crate::model::email_address::EmailAddress;
use crate::model::session::Method;
use crate::model::user::{Registration, Status, User, UserId};
use crate::store::{Created, Redeemed, Want};

/// Completes a registration: proves the address, makes the account and signs in.
#[utoipa::path(
    post, operation_id = "verify_registration", path = "/api/auth/verify-registration", tag = "auth", request_body = Verification,
    responses((status = 201, body = SessionStarted), BodyProblems, CodeProblems, OriginProblem, Limited),
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
    let handle = form.handle(&app, Purpose::Registration)?;

    // The account is there already if a process died after writing it; then its own form may go on.
    let account = app.stores.users.find(&form.email).await?;
    let admits = match &account {
        None => Admits::Form { account: None },
        Some(user) if user.may_sign_in() => Admits::Form {
            account: Some(user.id.0),
        },
        Some(_) => Admits::Nobody,
    };
    let guess = Guess {
        yields: !known_client,
        ..form.guess(&app, &caller, Purpose::Registration, handle, admits)
    };
    let redeemed = app
        .stores
        .challenges
        .redeem(&form.email, Purpose::Registration, guess, now)
        .await?;
    let Redeemed::Accepted(challenge) = redeemed else {
        return Err(form.refused(&app, &caller, "register", &redeemed, now));
    };
    let tries = challenge.tries.saturating_add(1);
    let tries_left = app.config.limits.guesses_per_code.saturating_sub(tries);
    let as_wrong = || {
        let wrong = Redeemed::Wrong { tries_left };
        form.refused(&app, &caller, "register", &wrong, now)
    };
    let Some(registration) = challenge.registration else {
        return Err(Error::Internal(
            "a registration was claimed without its form".into(),
        ));
    };

    // Two forms met in this mailbox. Who sends no handle of this very one may be the owner typing
    // a code that a stranger's form is attached to: the stranger's password must not get in.
    let is_own_form = !challenge.contested || handle.is_some_and(|handle| handle.vouched);
    let user = new_user(&form.email, registration, is_own_form, now);
    let audit = app.event(
        &caller,
        ("register", "completed"),
        Some(user.id),
        Some(&user.email),
        now,
    );
    let user = match app.stores.users.create(&user, &audit).await? {
        Created::Written => Some(user),
        Created::AlreadyThere => app
            .stores
            .users
            .get(user.id)
            .await?
            .filter(User::may_sign_in),
        // Another registration of the address was faster: this code is as good as wrong.
        Created::AddressTaken => None,
    };
    let is_finished = app
        .stores
        .challenges
        .finish_claim(&form.email, challenge.id, caller.client, now)
        .await?;
    // Not finished: someone took the claim over because this took so long, and is signed in.
    let Some(user) = user.filter(|_| is_finished) else {
        return Err(as_wrong());
    };
    app.audit.log(&audit);
    let answer = (StatusCode::CREATED, transport);
    let methods = vec![Method::Otp];
    let started = start_session(&app, &caller, &presented, &user, methods, answer, now).await?;
    started.ok_or_else(as_wrong)
}

fn new_user(email: &EmailAddress, form: Registration, is_own_form: bool, now: Timestamp) -> User {
    User {
        id: UserId(form.user_id),
        email: EmailAddress::from_stored(email.normal().to_owned(), form.spelling),
        profile: form.profile,
        password: is_own_form.then_some(form.password),
        status: Status::Active,
        generation: 0,
        created_at: now,
        updated_at: now,
    }
}
