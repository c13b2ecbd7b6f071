//! `GET` and `DELETE /api/auth/sessions`, `DELETE /api/auth/sessions/{id}`

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::Error;
use crate::http::describe::{NoSuchSessionProblem, OriginProblem, Outages, SessionProblem};
use crate::http::request::{Caller, Json, SignedIn};
use crate::model::session::SessionId;
use crate::store::End;
use crate::view::DeviceSession;

/// The devices that are signed in to an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "sessions": [{
        "id": "ses_Ym9vdHN0cmFwcGluZyEhIQ", "amr": ["otp"], "current": true,
        "signed_in_at": "2026-11-22T09:00:00Z", "expires_at": "2026-11-23T09:00:00Z",
        "used_at": "2026-11-22T09:00:00Z", "device": "Chrome (Windows)", "client": "203.0.113.7",
    }],
}))]
pub struct DeviceSessions {
    /// Latest use first.
    sessions: Vec<DeviceSession>,
}

/// Lists the account's live sessions.
#[utoipa::path(
    get, operation_id = "list_sessions", path = "/api/auth/sessions", tag = "session", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = DeviceSessions), SessionProblem, OriginProblem, Outages),
)]
pub async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    signed_in: SignedIn,
) -> Result<Json<DeviceSessions>, Error> {
    let sessions = app
        .stores
        .sessions
        .list(signed_in.user_id(), app.now())
        .await?;
    let view = |session| DeviceSession::new(session, &signed_in.session, caller.language);
    Ok(Json(DeviceSessions {
        sessions: sessions.iter().map(view).collect(),
    }))
}

/// Ends one of the account's sessions, be it this one.
#[utoipa::path(
    delete, operation_id = "end_session", path = "/api/auth/sessions/{id}", tag = "session", security(("bearer" = []), ("cookie" = [])),
    params(("id" = String, Path, description = "From the list.", example = "ses_Ym9vdHN0cmFwcGluZyEhIQ")),
    responses((status = 204), SessionProblem, OriginProblem, NoSuchSessionProblem, Outages),
)]
pub async fn delete_one(
    State(app): State<Arc<App>>,
    caller: Caller,
    signed_in: SignedIn,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Error> {
    let (now, user) = (app.now(), signed_in.user_id());
    // A path that is no text names no session either.
    let id = id
        .ok()
        .and_then(|Path(id)| SessionId::parse(&id))
        .ok_or(Error::NoSuchSession)?;
    if app.stores.sessions.end(user, End::One(id), now).await? == 0 {
        return Err(Error::NoSuchSession);
    }
    app.audit(&caller, ("session", "ended"), Some(user), None, now);
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all of the account's sessions but this one.
#[utoipa::path(
    delete, operation_id = "end_other_sessions", path = "/api/auth/sessions", tag = "session", security(("bearer" = []), ("cookie" = [])),
    responses((status = 204), SessionProblem, OriginProblem, Outages),
)]
pub async fn delete_others(
    State(app): State<Arc<App>>,
    caller: Caller,
    signed_in: SignedIn,
) -> Result<StatusCode, Error> {
    let (now, user) = (app.now(), signed_in.user_id());
    app.stores
        .sessions
        .end(user, End::AllBut(signed_in.session.id), now)
        .await?;
    app.audit(&caller, ("session", "others_ended"), Some(user), None, now);
    Ok(StatusCode::NO_CONTENT)
}
