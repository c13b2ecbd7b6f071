//! Starts that must not succeed: each says in one line what is wrong and what to do.

use std::net::TcpListener;

use crate::world::{Ended, Folder, Settings};

async fn start(folder: &Folder, settings: Settings<'_>) -> Ended {
    folder.serve(settings).ended().await
}

#[tokio::test]
async fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let settings = [("HOST", "127.0.0.1"), ("PORT", port.as_str())];
    let ended = start(&Folder::new(), &settings).await;
    let line = ended.refused_in_lines(1);
    assert!(
        line.contains(&format!("127.0.0.1:{port}: the port is in use")),
        "{line}"
    );
    assert!(line.contains("PORT="), "{line}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written() {
    // Permissions do not bind root, under which tests may run; these two places refuse even root.
    let folder = Folder::new();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for place in [
        "sqlite://./file/auth.db",
        "sqlite:///proc/aidlc-auth/auth.db",
    ] {
        let ended = start(&folder, &[("DATABASE_URL", place)]).await;
        let line = ended.refused_in_lines(1);
        assert!(line.contains("cannot write to "), "{line}");
        assert!(line.contains("DATABASE_URL=sqlite://"), "{line}");
    }
}

#[tokio::test]
async fn a_database_of_a_release_that_left_this_one_behind() {
    let folder = Folder::new();
    drop(folder.server(&[]).await);
    let change = |sql| {
        let database = rusqlite::Connection::open(folder.database()).unwrap();
        assert_eq!(database.execute(sql, []).unwrap(), 1);
    };
    change("UPDATE schema SET version = 1001, oldest_compatible = 1000");

    let ended = start(&folder, &[]).await;
    let line = ended.refused_in_lines(1);
    assert!(line.contains("schema 1000 or later"), "{line}");
    assert!(
        line.contains("start the newer release, or restore the backup"),
        "{line}"
    );

    // Newer alone is no reason: old and new run side by side.
    change("UPDATE schema SET oldest_compatible = 1");
    folder.server(&[]).await;
}

#[tokio::test]
async fn a_second_service_on_the_same_database() {
    let folder = Folder::new();
    let first = folder.server(&[]).await;
    let ended = start(&folder, &[]).await;
    let line = ended.refused_in_lines(1);
    assert!(
        line.contains("another aidlc-auth is serving data/aidlc-auth.db"),
        "{line}"
    );
    assert!(line.contains("Stop it first"), "{line}");
    first.get("/health", None).await.is(200);
}

#[tokio::test]
async fn wrong_settings_are_all_named_and_no_secret_is_shown() {
    let secret = "hunter2-hunter2";
    let smtp_url = format!("smtp://ada:{secret}@mail example");
    let settings = [
        ("PORT", "eighty"),
        ("ENVIRONMENT", "prod"),
        ("LOG_FORMAT", "xml"),
        ("SECRET_KEYS", secret),
        ("SMTP_URL", smtp_url.as_str()),
    ];
    let ended = start(&Folder::new(), &settings).await;
    let lines = ended.refused_in_lines(settings.len());
    for (name, _) in settings {
        let line = lines.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not named:\n{lines}"));
        assert!(line.contains(" (environment): "), "{line}");
    }
    assert!(!lines.contains("hunter2"), "{lines}");
}

#[tokio::test]
async fn staging_that_names_nothing() {
    let folder = Folder::new();
    let ended = start(&folder, &[("ENVIRONMENT", "staging")]).await;
    let named = [
        "DATABASE_URL",
        "SECRET_KEYS",
        "MAIL_TRANSPORT",
        "MAIL_FROM",
        "PUBLIC_URL",
    ];
    let lines = ended.refused_in_lines(named.len());
    for name in named {
        assert!(
            lines.lines().any(|line| line.starts_with(name)),
            "{name} is not in:\n{lines}"
        );
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn a_key_that_cannot_be_read() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/secret-key"), "dev:hunter2").unwrap();
    let ended = start(&folder, &[]).await;
    let line = ended.refused_in_lines(1);
    assert!(line.contains("data/secret-key"), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
}
