//! The service as a process whose database is named by a secret, as a task on ECS runs it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aidlc_auth::clock::{Clock as _, SystemClock};
use jiff::SignedDuration;
use reqwest::header::RETRY_AFTER;
use serde_json::json;

use super::process::{Folder, Server};
use super::servers::{Postgres, USER};
use super::stand_in::{ARN, Instead, SecretsManager};
use super::task_role::{AUTHORIZATION, TaskRole};

const ROLE: (&str, &str) = ("ASIATASKROLE", "the role's secret key");
const ROLES_TOKEN: &str = "the role's session token";

/// What none of our lines may ever hold.
const SECRETS: [&str; 4] = [PASSWORD, NEW_PASSWORD, ROLE.1, ROLES_TOKEN];
const PASSWORD: &str = "p@ss:/?#%word";
const NEW_PASSWORD: &str = "n€w@:/?#%word";

/// Everything that a task finds around it.
struct Surroundings {
    database: Postgres,
    /// Whose owner we sign in as.
    name: String,
    manager: SecretsManager,
    role: TaskRole,
    folder: Folder,
}

impl Surroundings {
    async fn new() -> Self {
        let database = Postgres::start();
        let url = database.database().await;
        let name = url.rsplit('/').next().unwrap().to_owned();
        let manager = SecretsManager::start(Arc::new(SystemClock), "{}").await;
        manager.know(ROLE.0, ROLE.1, Some(ROLES_TOKEN));
        let role = TaskRole::start(ROLE, ROLES_TOKEN, in_minutes(60)).await;
        let surroundings = Self {
            database,
            name,
            manager,
            role,
            folder: Folder::new(),
        };
        surroundings.rotate(PASSWORD).await;
        surroundings
    }

    /// As a rotation does: the database first, then the secret; and nobody stays signed in.
    async fn rotate(&self, password: &str) {
        let superuser = self.database.superuser("postgres").await;
        let change = format!(
            "ALTER ROLE {USER} PASSWORD $${password}$$;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'"
        );
        superuser.batch_execute(&change).await.unwrap();
        let secret = json!({
            "username": USER, "password": password, "engine": "postgres",
            "host": "127.0.0.1", "port": self.database.port().to_string(), "dbname": self.name,
        });
        self.manager.keep(&secret.to_string());
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let sessions = self.folder.path().join("expiring.db");
        [
            ("DATABASE_URL", "postgres:///?sslmode=disable".into()),
            ("DATABASE_SECRET_ARN", ARN.into()),
            ("REDIS_URL", format!("sqlite://{}", sessions.display())),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.role.url.clone()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", AUTHORIZATION.into()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.manager.url()),
            // What is no secret at `info` is to be none at any level.
            ("LOG_LEVEL", "trace".into()),
            // Nobody is to be asked there, as the more special one is set.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9".into()),
            (
                "SECRET_KEYS",
                "k1:QmVjYXVzZSBhIHRlc3QgbmVlZHMgc29tZSBrZXkgdG9vLg==".into(),
            ),
        ]
        .into()
    }

    async fn server(&self) -> Server {
        let settings = self.settings();
        let settings: Vec<_> = settings
            .iter()
            .map(|(key, value)| (*key, &**value))
            .collect();
        self.folder.server(&settings).await
    }
}

fn in_minutes(minutes: i64) -> jiff::Timestamp {
    SystemClock.now() + SignedDuration::from_mins(minutes)
}

/// Asks until it is 202, and lets nothing pass in between but a 503 that says when to come again.
async fn until_accepted(server: &Server, email: &str) {
    let began = Instant::now();
    loop {
        let answer = server
            .post("/api/auth/login", &json!({"email": email}))
            .await;
        if answer.status == 202 {
            return;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.headers.contains_key(RETRY_AFTER), "{answer:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[track_caller]
fn tells_no_secret(server: &Server) {
    let log = server.log().text();
    assert!(log.contains("TRACE"), "all is written");
    for secret in SECRETS {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_password_needs_no_restart() {
    let around = Surroundings::new().await;
    let server = around.server().await;
    server.sign_up("ada@example.org").await;
    let log = server.log().text();
    assert!(log.contains("✅ DB 연결 URL 생성"), "{log}");

    for password in [NEW_PASSWORD, PASSWORD] {
        let before = around.manager.calls();
        around.rotate(password).await;
        until_accepted(&server, &format!("{before}@example.org")).await;
        server.sign_up(&format!("user{before}@example.org")).await;
        let read = around.manager.calls() - before;
        assert!((1..=10).contains(&read), "{read} readings");
    }

    assert_eq!(around.role.asked(), 1, "a role's key is kept");
    around.manager.was_called_as_aws_is();
    tells_no_secret(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_role_s_key_that_ends_soon_is_asked_for_anew() {
    let around = Surroundings::new().await;
    around.role.lends(ROLE, ROLES_TOKEN, in_minutes(3));
    let server = around.server().await;
    server.sign_up("ada@example.org").await;

    let next = ("ASIANEXT", "the next secret key");
    around.manager.know(next.0, next.1, Some("the next token"));
    around.role.lends(next, "the next token", in_minutes(60));
    around.rotate(NEW_PASSWORD).await;
    until_accepted(&server, "ada@example.org").await;

    assert_eq!(around.manager.callers().last().unwrap(), next.0);
    tells_no_secret(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_may_not_be_read_is_waited_for() {
    let around = Surroundings::new().await;
    around
        .manager
        .instead(&vec![Instead::Refuse(400, "AccessDeniedException"); 3]);
    let settings = around.settings();
    let settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (*key, &**value))
        .collect();

    // It starts, says what is missing, and is there once it is allowed to.
    let process = around.folder.serve(&settings);
    let said = process.log.says("AccessDeniedException").await;
    for words in ["secretsmanager:GetSecretValue", "kms:Decrypt", ARN] {
        assert!(said.contains(words), "{said}");
    }
    process.log.says("INFO: Application startup complete").await;
    assert!(around.manager.calls() >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_cannot_be_read_refuses_to_start() {
    let around = Surroundings::new().await;
    let settings = around.settings();
    let mut settings: Vec<_> = settings
        .iter()
        .map(|(key, value)| (*key, &**value))
        .collect();
    settings.push(("AWS_CA_BUNDLE", "/nowhere/ca.pem"));

    let ended = around.folder.run(&["serve"], &settings).await;

    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    let said = format!("{}{}", ended.err, ended.out);
    assert!(said.contains("AWS_CA_BUNDLE=/nowhere/ca.pem"), "{said}");
}
