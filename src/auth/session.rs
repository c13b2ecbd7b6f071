//! `GET /api/auth/session`

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::describe::{OriginProblem, Outages, SessionProblem};
use crate::http::request::{Json, SignedIn};
use crate::view::{SessionDetails, SessionUser};

/// Who is signed in, and by which session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "user": {
        "id": "usr_0198c5a07d9c7f3e8a5b2d4c6e8f0a1b", "email": "test@example.com", "full_name": "Test User",
        "language": null, "updated_at": "2026-11-22T09:00:00Z",
    },
    "session": {
        "id": "ses_Ym9vdHN0cmFwcGluZyEhIQ", "amr": ["otp"],
        "signed_in_at": "2026-11-22T09:00:00Z", "expires_at": "2026-11-23T09:00:00Z",
    },
}))]
pub struct CurrentSession {
    user: SessionUser,
    session: SessionDetails,
}

/// Checks a session: what other services call for every request of theirs.
#[utoipa::path(
    get, operation_id = "session", path = "/api/auth/session", tag = "session", security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, body = CurrentSession), SessionProblem, OriginProblem, Outages),
)]
pub async fn get(signed_in: SignedIn) -> Json<CurrentSession> {
    Json(CurrentSession {
        user: (&signed_in.session.user).into(),
        session: (&signed_in.session).into(),
    })
}
