//! The first start, and the start after the worst end.

use serde_json::{Value, json};

use crate::world::{Folder, REGISTRATION, SIGN_IN, SIMULATED};

#[tokio::test]
async fn an_empty_folder_and_no_settings_are_enough() {
    let folder = Folder::new();
    let mut server = folder.server(&[]).await;

    // The three calls of the README, word for word.
    let form = r#"{"email": "test@example.com", "password": "pass123", "full_name": "Test User"}"#;
    let form: Value = serde_json::from_str(form).unwrap();
    server.post("/api/auth/register", &form).await.is(202);
    let code = server
        .log()
        .mail("test@example.com", REGISTRATION)
        .await
        .code;
    let proof = json!({"email": "test@example.com", "verification_code": code});
    let verified = server.post("/api/auth/verify-registration", &proof).await;
    let first = verified.is(201).text("session_token");
    let asked = server
        .post("/api/auth/login", &json!({"email": "test@example.com"}))
        .await;
    asked.is(202);

    let code = server.log().mail("test@example.com", SIGN_IN).await.code;
    let proof = json!({"email": "test@example.com", "verification_code": code});
    let verified = server.post("/api/auth/verify-login", &proof).await;
    let second = verified.is(200).text("session_token");
    assert!(server.is_live(&second).await);

    server.process.kill();
    let server = folder.server(&[]).await;
    for token in [first, second] {
        let session = server.get("/api/auth/session", Some(&token)).await.is(200);
        assert_eq!(session.body["user"]["email"], "test@example.com");
    }
    // Spent before the end is spent after it.
    let again = server.post("/api/auth/verify-login", &proof).await.is(400);
    assert_eq!(again.text("code"), "code_refused");
}

#[tokio::test]
async fn operators_find_their_lines_in_both_formats() {
    for format in ["text", "json"] {
        let folder = Folder::new();
        let server = folder.server(&[("LOG_FORMAT", format)]).await;
        server.sign_up("ada@example.org").await;
        for phrase in [
            "✅ DB 연결 URL 생성",
            "INFO: Application startup complete",
            SIMULATED,
        ] {
            server.log().says(phrase).await;
        }
        for line in server.log().lines() {
            let is_json = serde_json::from_str::<Value>(&line).is_ok();
            assert_eq!(is_json, format == "json", "{line}");
        }
    }
}

#[tokio::test]
async fn the_database_and_its_key_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let server = folder.server(&[]).await;
    server.sign_up("ada@example.org").await;

    let files = std::fs::read_dir(folder.path().join("data")).unwrap();
    let mut seen = Vec::new();
    for file in files.map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        if name.ends_with(".lock") {
            continue; // It is empty.
        }
        assert_eq!(mode & 0o077, 0, "{name} is {mode:o}");
        seen.push(name);
    }
    for name in ["aidlc-auth.db", "aidlc-auth.db-wal", "secret-key"] {
        assert!(
            seen.iter().any(|it| it == name),
            "{name} is not in {seen:?}"
        );
    }
}

#[tokio::test]
async fn memory_says_loudly_that_it_forgets() {
    let folder = Folder::new();
    let server = folder.server(&[("DATABASE_URL", "memory:")]).await;
    let line = server.log().says("memory: is for emergencies").await;
    assert!(line.contains("WARN") && line.contains("GONE"), "{line}");
    let health = server.get("/health", None).await.is(200);
    assert_eq!(health.body["dependencies"]["users"]["kind"], "memory");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn nonsense_on_the_wire_harms_nobody() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let folder = Folder::new();
    let server = folder.server(&[]).await;
    let mut stream = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    stream
        .write_all(b"\x16\x03\x01 what\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");

    server.get("/health/live", None).await.is(200);
    assert!(!server.log().text().contains("panicked"));
}
