//! The doctor as a whole: of a service that is well, of one whose world is silent, and of wrong calls.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::patient::{CANARY, Patient};
use crate::servers::{Access, Authority, Postgres, Redis, USER, Wanted};

/// As RDS and ElastiCache are: TLS alone, and passwords.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_well_is_told_so_and_nothing_is_written() {
    let authority = Authority::new();
    let certificate = authority.server(&["localhost"]);
    let database = Postgres::with(Wanted {
        access: Access::TlsOnly,
        certificate: Some(&certificate),
        ..Wanted::default()
    });
    let cache = Redis::with_tls(
        &certificate,
        &[("requirepass", CANARY), ("appendonly", "yes")],
    );
    let patient = Patient::new();
    let file = patient.folder.path().join("ca.pem");
    fs::write(&file, authority.pem()).unwrap();
    let superuser = database.superuser("postgres").await;
    let password = format!("ALTER ROLE {USER} PASSWORD '{CANARY}'");
    superuser.batch_execute(&password).await.unwrap();
    let name = database.database().await;
    let (_, name) = name.rsplit_once('/').unwrap();
    let patient = patient
        .with(
            "DATABASE_URL",
            format!(
                "postgres://{USER}:{CANARY}@localhost:{}/{name}?sslmode=verify-full&sslrootcert={}",
                database.port(),
                file.display()
            ),
        )
        .with("REDIS_URL", format!("rediss://localhost:{}", cache.port()))
        .with("REDIS_CA_FILE", file.display().to_string())
        .with("REDIS_PASSWORD", CANARY)
        .with("MIGRATE_AT_START", "false");

    let tables = "SELECT count(*) FROM pg_stat_user_tables";
    let inside = database.superuser(name).await;
    let unmigrated = patient.sees_the_doctor().await;
    assert_eq!(unmigrated.codes("failed"), ["tables_missing"]);
    assert_eq!(
        inside
            .query_one(tables, &[])
            .await
            .unwrap()
            .get::<_, i64>(0),
        0
    );

    patient.run(&["migrate"]).await.succeeded();
    let diagnosis = patient.sees_the_doctor().await;
    diagnosis.ended.succeeded();
    assert_eq!(diagnosis.codes("warning"), [""; 0]);
    assert_eq!(
        diagnosis.codes("ok"),
        [
            "settings",
            "targets_unhealthy",
            "killed_while_starting",
            "proxy_trust",
            "bad_gateway_at_deploy",
            "out_of_memory",
            "password_in_url",
            "database_version",
            "too_many_connections",
            "tables_missing",
            "clock",
            "redis_unreachable",
            "redis_eviction",
            "clock",
            "mail_unreachable",
        ]
    );
    diagnosis.says("database_version", "ok", "with TLS");
    assert_eq!(cache.command::<u32>("DBSIZE").await, 0);
    let left: Vec<_> = fs::read_dir(patient.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "the authority's file alone: {left:?}");
}

/// A laptop without settings is well, and finds that out without making anything.
#[tokio::test]
async fn an_empty_folder_and_no_settings_are_well() {
    let folder = crate::process::Folder::new();
    let ended = folder.run(&["doctor"], &[]).await;
    assert!(!ended.succeeded().contains("FAILED"), "{ended:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_answers_the_doctor_ends_in_time() {
    let silent: Vec<_> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let at: Vec<_> = silent.iter().map(|it| it.local_addr().unwrap()).collect();
    let patient = Patient::new()
        // The most patient that settings can be.
        .with("DATABASE_CONNECT_TIMEOUT_SECONDS", "10")
        .with("DATABASE_QUERY_TIMEOUT_SECONDS", "10")
        .with("REDIS_TIMEOUT_SECONDS", "5")
        .with(
            "DATABASE_URL",
            format!("postgres://auth:{CANARY}@{}/auth", at[0]),
        )
        .with("REDIS_URL", format!("redis://:{CANARY}@{}", at[1]))
        .with("MAIL_TRANSPORT", "smtp")
        .with("SMTP_URL", format!("smtp://ada:{CANARY}@{}", at[2]));
    let start = Instant::now();
    let diagnosis = patient.sees_the_doctor().await;
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(diagnosis.ended.code, Some(1));
    let unreachable = [
        "database_unreachable",
        "redis_unreachable",
        "mail_unreachable",
    ];
    assert_eq!(diagnosis.codes("failed"), unreachable);
}

/// A log cuts long lines, and programs read its lines one by one.
#[tokio::test]
async fn each_finding_has_a_line_of_its_own_in_json() {
    let ended = Patient::new().run(&["doctor", "--json"]).await;
    let lines: Vec<_> = ended.succeeded().lines().collect();
    let (first, last) = (lines[0], lines[lines.len() - 1]);
    assert_eq!((first, last), ("[", "]"));
    for line in &lines[1..lines.len() - 1] {
        assert!(line.len() < 8 * 1024, "{line}");
        let finding: Value = serde_json::from_str(line.trim_end_matches(',')).unwrap();
        assert!(finding["code"].is_string());
    }
}

#[tokio::test]
async fn the_language_is_the_terminals_unless_it_is_named() {
    let korean = |text: &str| text.contains("TRUSTED_PROXIES를");
    let patient = Patient::new().with("TRUSTED_PROXIES", "");
    for (lang, arguments, is_korean) in [
        ("ko_KR.UTF-8", &["doctor"][..], true),
        ("en_US.UTF-8", &["doctor"], false),
        ("", &["doctor"], false),
        ("ko_KR.UTF-8", &["doctor", "--language", "en"], false),
        ("C", &["doctor", "--language", "ko"], true),
    ] {
        let settings = [("ENVIRONMENT", "staging"), ("LANG", lang)];
        let ended = patient.folder.run(arguments, &settings).await;
        assert_eq!(
            korean(&ended.out),
            is_korean,
            "{lang} {arguments:?}: {ended:?}"
        );
    }
    let usage = patient.run(&["doctor", "--language", "fr"]).await;
    assert_eq!(usage.code, Some(2));
}
