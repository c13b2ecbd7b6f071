//! `GET /health/live`, `/health/ready` and `/health`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::request::Json;
use crate::model::limit::after;

/// How long an answer is good for. Anyone may ask, and each look costs the stores a write.
const FRESH: Duration = Duration::from_secs(2);
/// How long a dependency has to answer. Alarms and people ask with time-outs of their own.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the service can do its work.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({"status": "ok"}))]
pub struct Health {
    /// `failing` if any dependency is.
    status: Status,
    /// By what it is for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    dependencies: BTreeMap<&'static str, Dependency>,
}

/// A store, or the mail.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Dependency {
    /// What it is.
    #[schema(example = "sqlite")]
    kind: &'static str,
    status: Status,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = HealthStatus)]
pub enum Status {
    /// It works.
    Ok,
    /// It does not.
    Failing,
}

/// The last answer of `/health`, for a moment.
#[derive(Default)]
pub struct LastLook(Mutex<Option<(Timestamp, Health)>>);

/// The process answers.
#[utoipa::path(
    get, operation_id = "live", path = "/health/live", tag = "health", responses((status = 200, body = Health)),
)]
pub async fn live() -> Json<Health> {
    Json(Health {
        status: Status::Ok,
        dependencies: BTreeMap::new(),
    })
}

/// New requests should come here: started, migrated, clock sane, not draining.
///
/// Dependencies do not turn it: a load balancer that takes every task away because a store is down
/// makes an outage worse.
#[utoipa::path(
    get, operation_id = "ready", path = "/health/ready", tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Health)),
)]
pub async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Health>) {
    let status = if app.is_ready() {
        Status::Ok
    } else {
        Status::Failing
    };
    (
        status.code(),
        Json(Health {
            status,
            dependencies: BTreeMap::new(),
        }),
    )
}

/// Every dependency works: for people and alarms.
#[utoipa::path(
    get, operation_id = "health", path = "/health", tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Health)),
)]
pub async fn all(State(app): State<Arc<App>>) -> (StatusCode, Json<Health>) {
    // Held while looking: whoever comes meanwhile waits for this look instead of starting another.
    let mut last = app.last_look.0.lock().await;
    // Only now, and for the stamp after the look: both may take longer than an answer is good for.
    let now = app.now();
    let health = match &*last {
        Some((at, health)) if now < after(*at, FRESH) && now >= *at => health.clone(),
        _ => {
            let health = look(&app).await;
            last.insert((app.now(), health)).1.clone()
        }
    };
    (health.status.code(), Json(health))
}

async fn look(app: &App) -> Health {
    let stores = &app.stores;
    let (users, challenges, sessions, mail) = tokio::join!(
        within(PATIENCE, stores.users.check()),
        within(PATIENCE, stores.challenges.check()),
        within(PATIENCE, stores.sessions.check()),
        within(PATIENCE, app.transport.check()),
    );
    let dependencies = BTreeMap::from([
        (
            "users",
            Dependency::new("users", stores.users.kind(), users),
        ),
        (
            "challenges",
            Dependency::new("challenges", stores.challenges.kind(), challenges),
        ),
        (
            "sessions",
            Dependency::new("sessions", stores.sessions.kind(), sessions),
        ),
        ("mail", Dependency::new("mail", app.transport.name(), mail)),
    ]);
    let is_well = dependencies
        .values()
        .all(|dependency| dependency.status == Status::Ok);
    Health {
        status: if is_well { Status::Ok } else { Status::Failing },
        dependencies,
    }
}

/// What does not answer in time fails.
async fn within<T, E: std::fmt::Display>(
    patience: Duration,
    check: impl Future<Output = Result<T, E>>,
) -> Result<(), String> {
    match tokio::time::timeout(patience, check).await {
        Ok(checked) => checked.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}

impl Dependency {
    fn new(what: &'static str, kind: &'static str, checked: Result<(), String>) -> Self {
        let status = match checked {
            Ok(()) => Status::Ok,
            Err(error) => {
                // The answer says only that it fails; why is for those who may read the log.
                tracing::warn!(dependency = what, kind, %error, "a dependency fails");
                Status::Failing
            }
        };
        Self { kind, status }
    }
}

impl Status {
    fn code(self) -> StatusCode {
        match self {
            Status::Ok => StatusCode::OK,
            Status::Failing => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_answer_in_time_fails() {
        let never = std::future::pending::<Result<(), String>>();
        let error = within(Duration::ZERO, never).await.unwrap_err();
        assert!(error.contains("no answer"), "{error}");
        let away = std::future::ready(Err::<(), _>("away"));
        assert_eq!(within(PATIENCE, away).await, Err("away".into()));
        let well = std::future::ready(Ok::<_, String>(()));
        assert_eq!(within(PATIENCE, well).await, Ok(()));
    }
}
