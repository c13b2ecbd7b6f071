//! `GET /api/auth/session`

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::describe::{OriginProblem, Outages, SessionProblem};
use crate::http::request::{Json, SignedIn};
use crate::view::{SessionDetails, SessionUser};

/// Who is signed in, and by which session.
#[derive(Debug, Serialize, ToSchema)]
pub struct CurrentSession {
    user: SessionUser,
    session: SessionDetails,
}

/// Checks a session: what other services call for every request of theirs.
#[utoipa::path(
    get, path = "/api/auth/session", tag = "session", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = CurrentSession), SessionProblem, OriginProblem, Outages),
)]
pub async fn get(signed_in: SignedIn) -> Json<CurrentSession> {
    Json(CurrentSession {
        user: (&signed_in.session.user).into(),
        session: (&signed_in.session).into(),
    })
}
