//! What settings, machine and mail server do to a service.

use std::fs;
use std::net::TcpListener;

use crate::patient::{CANARY, Patient};
use crate::smtp_server::{Script, SmtpServer};

#[tokio::test]
async fn settings() {
    let patient = Patient::new()
        .with("LOG_FORMAT", "xml")
        .with("SECRET_KEYS", format!("k1:{CANARY}"))
        .with("TRUSTED_PROXIES", "10.0.0.0/160")
        .with("IDLE_TIMEOUT_SECONDS", "1h");
    let diagnosis = patient.sees_the_doctor().await;
    for name in [
        "LOG_FORMAT",
        "SECRET_KEYS",
        "TRUSTED_PROXIES",
        "IDLE_TIMEOUT_SECONDS",
    ] {
        diagnosis.says("settings", "failed", &format!("{name} (environment): "));
    }
    assert_eq!(diagnosis.codes("failed"), ["settings"; 4]);
    assert_eq!(diagnosis.ended.code, Some(1));
    // What does not depend on them was looked at all the same, and the rest was not made up.
    diagnosis.says("targets_unhealthy", "ok", "HOST=0.0.0.0");
    diagnosis.says("disk", "ok", "MiB free");
    for code in ["proxy_trust", "bad_gateway_at_deploy"] {
        assert!(!diagnosis.codes("ok").contains(&code), "{code}");
    }
    let nobody = "postgres://auth@127.0.0.1:1/auth";
    let pool = Patient::on_postgres(nobody).with("DATABASE_POOL_SIZE", "many");
    pool.fails("settings", "DATABASE_POOL_SIZE").await;
    for one in ["PUBLIC_URL", "MAIL_FROM", "SECRET_KEYS"] {
        let evidence = format!("{one} (default): is not set");
        Patient::new()
            .with(one, "")
            .fails("settings", &evidence)
            .await;
    }
    // What only the stores read of them.
    let redis = Patient::on_redis("redis://127.0.0.1:6379/first");
    redis.fails("settings", "REDIS_URL ends in something").await;
    let mail = Patient::new()
        .with("MAIL_TRANSPORT", "smtp")
        .with("SMTP_URL", "smtp://127.0.0.1:25")
        .with("SMTP_CA_FILE", "/nowhere/ca.pem");
    mail.fails("settings", "SMTP_CA_FILE cannot be read").await;
    // Said once, though the mail needs it too.
    let mail = Patient::new().with("MAIL_TRANSPORT", "ses");
    let diagnosis = mail.sees_the_doctor().await;
    diagnosis.says("settings", "failed", "AWS_REGION (default): is not set");
    assert_eq!(diagnosis.codes("failed"), ["settings"]);
}

#[tokio::test]
async fn password_in_url() {
    for password in ["a/b", "a?b", "a#b", "a%b"] {
        let url = format!("postgres://auth:{CANARY}{password}@127.0.0.1:5432/auth");
        let patient = Patient::on_postgres(url);
        patient.fails("password_in_url", "write @ as %40").await;
    }
    let mail = Patient::new().with("MAIL_TRANSPORT", "smtp").with(
        "SMTP_URL",
        format!("smtps://ada:{CANARY}/@mail.example.org"),
    );
    mail.fails("password_in_url", "SMTP_URL (environment): ")
        .await;
}

#[tokio::test]
async fn killed_while_starting() {
    let elsewhere = Patient::new().with("PORT", "8080");
    elsewhere.fails("killed_while_starting", "PORT=8080").await;
    // On a machine of one's own it may be meant so.
    let outside = elsewhere.with("ECS_CONTAINER_METADATA_URI_V4", "");
    outside.warns("killed_while_starting", "PORT=8080").await;
}

#[tokio::test]
async fn targets_unhealthy() {
    for host in ["127.0.0.1", "::1", "localhost"] {
        let patient = Patient::new().with("HOST", host);
        patient
            .fails("targets_unhealthy", &format!("HOST={host}"))
            .await;
    }
}

#[tokio::test]
async fn proxy_trust() {
    let patient = Patient::new().with("TRUSTED_PROXIES", "");
    patient
        .fails("proxy_trust", "TRUSTED_PROXIES is not set")
        .await;
}

#[tokio::test]
async fn bad_gateway_at_deploy() {
    let idle = Patient::new().with("IDLE_TIMEOUT_SECONDS", "60");
    idle.fails("bad_gateway_at_deploy", "IDLE_TIMEOUT_SECONDS=60")
        .await;
    let slow = Patient::new().with("DRAIN_TIMEOUT_SECONDS", "105");
    slow.fails("bad_gateway_at_deploy", "stopping takes up to 120 s")
        .await;
}

#[tokio::test]
async fn out_of_memory() {
    let patient = Patient::new()
        .with("PASSWORD_HASH_THREADS", "1024")
        .in_memory_of(8 * 1024 * 1024);
    let sum = "1024 hashing threads × 19 MiB + 128 MiB = 19584 MiB may be needed";
    patient.fails("out_of_memory", sum).await;
}

#[tokio::test]
async fn disk() {
    let patient = Patient::new().with("DATABASE_URL", "sqlite://./file/auth.db");
    fs::write(patient.folder.path().join("file"), "").unwrap();
    patient.fails("disk", "file cannot be written").await;
}

#[tokio::test]
async fn mail_rejected() {
    let server = SmtpServer::start(Script {
        login: Some(("ada", "another")),
        ..Script::default()
    })
    .await;
    let patient = Patient::new().with("MAIL_TRANSPORT", "smtp").with(
        "SMTP_URL",
        format!("smtp://ada:{CANARY}@{}", server.address),
    );
    patient
        .fails("mail_rejected", "answered 535 to the login")
        .await;
}

#[tokio::test]
async fn mail_unreachable() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let patient = Patient::new()
        .with("MAIL_TRANSPORT", "smtp")
        .with("SMTP_URL", format!("smtp://ada:{CANARY}@{nobody}"));
    patient.fails("mail_unreachable", "refused").await;
}
