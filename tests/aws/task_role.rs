//! The endpoint at which the container agent of ECS lends a task its role's credentials.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What a task shows the agent.
pub const AUTHORIZATION: &str = "Basic dGFzaw==";

/// The agent, listening.
#[derive(Clone)]
pub struct TaskRole {
    pub url: String,
    lent: Arc<Mutex<Value>>,
    asked: Arc<AtomicUsize>,
}

impl TaskRole {
    /// Lends this key for so many seconds.
    pub async fn start(key: (&str, &str), token: &str, until: jiff::Timestamp) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/role", listener.local_addr().unwrap());
        let role = Self {
            url,
            lent: Arc::default(),
            asked: Arc::default(),
        };
        role.lends(key, token, until);
        let app = Router::new().route("/role", get(lend));
        let app = app.with_state(role.clone());
        tokio::spawn(async { axum::serve(listener, app).await });
        role
    }

    /// Lends another from now on.
    pub fn lends(
        &self,
        (access_key, secret_key): (&str, &str),
        token: &str,
        until: jiff::Timestamp,
    ) {
        *self.lent.lock().unwrap() = json!({
            "AccessKeyId": access_key,
            "SecretAccessKey": secret_key,
            "Token": token,
            "Expiration": until.to_string(),
            "RoleArn": "arn:aws:iam::123456789012:role/task",
        });
    }

    /// How often it lent.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn lend(State(role): State<TaskRole>, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    let shown = headers.get("authorization");
    if shown.is_none_or(|shown| shown != AUTHORIZATION) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    role.asked.fetch_add(1, Ordering::Relaxed);
    Ok(Json(role.lent.lock().unwrap().clone()))
}
