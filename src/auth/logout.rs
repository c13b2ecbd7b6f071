//! `POST /api/auth/logout`

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::with_cookie;
use crate::app::App;
use crate::error::Error;
use crate::http::cookie;
use crate::http::describe::{OriginProblem, Outages};
use crate::http::request::{Caller, Presented};
use crate::store::{End, Found};

/// Ends the session. Without one there is nothing to end, and that is well.
#[utoipa::path(
    post, operation_id = "logout", path = "/api/auth/logout", tag = "session", security((), ("bearer" = []), ("cookie" = [])),
    responses((status = 204), OriginProblem, Outages),
)]
pub async fn post(
    State(app): State<Arc<App>>,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Error> {
    let now = app.now();
    if let Some(token) = presented.usable()? {
        let user = token.user_id();
        // A token that was refreshed a moment ago, or long ago, still names the session to end.
        if let Found::Live(session) | Found::Reused(session) =
            app.stores.sessions.find(user, token.digest(), now).await?
        {
            app.stores
                .sessions
                .end(user, End::One(session.id), now)
                .await?;
            app.audit(&caller, ("session", "signed_out"), Some(user), None, now);
        }
    }
    let cookie = presented
        .by_cookie
        .then(|| cookie::clear(app.config.plain_cookies()));
    Ok(with_cookie(StatusCode::NO_CONTENT.into_response(), cookie))
}
