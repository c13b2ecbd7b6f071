//! The service as a process that mails by SES, as a task on ECS runs it.

use std::sync::Arc;

use aidlc_auth::clock::{Clock as _, SystemClock};
use jiff::SignedDuration;
use serde_json::json;

use super::email_stand_in::{Email, Instead, account};
use super::process::{Folder, Server, registration};
use super::task_role::{AUTHORIZATION, TaskRole};

const ROLE: (&str, &str) = ("ASIATASKROLE", "the role's secret key");
const TOKEN: &str = "the role's session token";
const ADA: &str = "ada@example.org";

struct Task {
    email: Email,
    role: TaskRole,
    folder: Folder,
}

impl Task {
    async fn new(key_lives_minutes: i64) -> Self {
        let email = Email::start(Arc::new(SystemClock)).await;
        email.know(ROLE, Some(TOKEN));
        let role = TaskRole::start(ROLE, TOKEN, in_minutes(key_lives_minutes)).await;
        Self {
            email,
            role,
            folder: Folder::new(),
        }
    }

    async fn server(&self) -> Server {
        self.server_with(&[]).await
    }

    async fn server_with(&self, more: &[(&str, &str)]) -> Server {
        let mut settings = vec![
            ("MAIL_TRANSPORT", "ses"),
            ("MAIL_FROM", "Example <no-reply@example.org>"),
            ("AWS_DEFAULT_REGION", "ap-northeast-2"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &self.role.url),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", AUTHORIZATION),
            ("AWS_ENDPOINT_URL_SESV2", &self.email.url),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("RESEND_AFTER_SECONDS", "0"),
            ("LOG_LEVEL", "trace"),
        ];
        settings.extend(more);
        self.folder.server(&settings).await
    }
}

fn in_minutes(minutes: i64) -> jiff::Timestamp {
    SystemClock.now() + SignedDuration::from_mins(minutes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_comes_by_ses_and_stands_in_no_log() {
    let task = Task::new(60).await;
    let server = task.server().await;
    server
        .post("/api/auth/register", &registration(ADA))
        .await
        .is(202);
    let code = task.email.mail_to(ADA, 1).await.code();
    let proof = json!({"email": ADA, "verification_code": code});
    server
        .post("/api/auth/verify-registration", &proof)
        .await
        .is(201);

    let health = server.get("/health", None).await.is(200);
    assert_eq!(
        health.body["dependencies"]["mail"],
        json!({"kind": "ses", "status": "ok"})
    );
    task.email.was_called_as_aws_is();
    let log = server.log().text();
    assert!(log.contains("TRACE"), "all is written");
    for secret in [ROLE.1, TOKEN, &code, ADA] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_role_s_key_that_ends_soon_is_renewed_while_mails_leave() {
    let task = Task::new(3).await;
    let server = task.server().await;
    server
        .post("/api/auth/register", &registration(ADA))
        .await
        .is(202);
    let first = task.email.mail_to(ADA, 1).await;

    let next = ("ASIANEXT", "the next secret key");
    task.email.know(next, Some("the next token"));
    task.role.lends(next, "the next token", in_minutes(60));
    let again = json!({"email": ADA, "purpose": "registration"});
    server.post("/api/auth/resend", &again).await.is(202);
    let second = task.email.mail_to(ADA, 2).await;

    assert_eq!((&*first.access_key, &*second.access_key), (ROLE.0, next.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_says_how_the_account_stands() {
    let task = Task::new(60).await;
    task.email.account(account("HEALTHY", true, false));
    let server = task.server().await;
    let said = server.log().says("SES is in its sandbox").await;
    assert!(said.contains("production access"), "{said}");

    let task = Task::new(60).await;
    let denied = Instead::Refuse(403, "AccessDeniedException", "no");
    task.email.instead(&[denied]);
    let server = task.server().await;
    server.log().says("ses:GetAccount").await;

    let task = Task::new(60).await;
    task.email.account(account("SHUTDOWN", true, true));
    let server = task.server().await;
    let said = server.log().says("mails cannot leave yet").await;
    assert!(said.contains("shut this account down"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_opens_the_path_for_its_reports() {
    let path = "/api/mail/notifications";
    let task = Task::new(60).await;
    let server = task.server().await;
    server.post(path, &json!({})).await.is(404);

    let arn = "arn:aws:sns:ap-northeast-2:123456789012:mail";
    let task = Task::new(60).await;
    let server = task.server_with(&[("SES_TOPIC_ARN", arn)]).await;
    let refused = server.post(path, &json!({})).await.is(403);
    assert_eq!(refused.text("code"), "notification_refused");
    let said = server
        .log()
        .says("a notification about mail was refused")
        .await;
    assert!(
        said.contains("lacks what SNS puts around a message"),
        "{said}"
    );
}
