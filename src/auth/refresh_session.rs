//! `POST /api/auth/refresh-session`

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::with_cookie;
use crate::app::App;
use crate::error::Error;
use crate::http::cookie;
use crate::http::describe::{OriginProblem, Outages, SessionProblem};
use crate::http::request::{Caller, Json, Presented};
use crate::model::session::Digest;
use crate::model::user::User;
use crate::secret::Token;
use crate::store::{Refresh, Refreshed};

/// The session goes on under a new token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "session_token": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA.AZjFoH2cfz6KWy1MboPwKg",
    "token_type": "Bearer", "expires_at": "2026-11-23T09:00:00Z",
}))]
pub struct SessionRefreshed {
    /// The new token, unless the old one came in a cookie. The old one works for ten more seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session_token: Option<String>,
    /// `Bearer`, with the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Bearer")]
    token_type: Option<&'static str>,
    /// When the session ends, unless it is used before.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Replaces a session's token. Calls that do so side by side all get the same new one.
///
/// A token that was replaced longer ago ends its session: somebody has a copy of it.
#[utoipa::path(
    post, operation_id = "refresh_session", path = "/api/auth/refresh-session", tag = "session", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = SessionRefreshed), SessionProblem, OriginProblem, Outages),
)]
pub async fn post(
    State(app): State<Arc<App>>,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Error> {
    let now = app.now();
    let token = presented.usable()?.ok_or(Error::SessionRequired)?;
    let user = app
        .stores
        .users
        .get(token.user_id())
        .await?
        .filter(User::may_sign_in);
    let user = user.ok_or(Error::SessionRequired)?;

    let successors = app.keys.successors(token);
    let refresh = Refresh {
        old: token.digest(),
        successors: successors
            .iter()
            .map(Token::digest)
            .collect::<Vec<Digest>>(),
        generation: user.generation,
    };
    let (session, token) = match app.stores.sessions.refresh(user.id, refresh, now).await? {
        Refreshed::Done { session, index } => (session, &successors[index]),
        Refreshed::Reused(session) => {
            app.audit(
                &caller,
                ("session", "reused"),
                Some(session.user_id()),
                None,
                now,
            );
            return Err(Error::SessionRequired);
        }
        Refreshed::Nothing | Refreshed::Fenced => return Err(Error::SessionRequired),
    };
    let cookie = presented
        .by_cookie
        .then(|| cookie::write(token, session.expires_at, now, app.config.plain_cookies()));
    let in_body = cookie.is_none();
    let body = SessionRefreshed {
        session_token: in_body.then(|| token.reveal().to_owned()),
        token_type: in_body.then_some("Bearer"),
        expires_at: session.expires_at,
    };
    Ok(with_cookie(Json(body).into_response(), cookie))
}
