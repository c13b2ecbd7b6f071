//! No secret in any log, at any level, in either format.

use serde_json::{Value, json};

use crate::smtp_server::{Received, Script, SmtpServer};
use crate::world::{Answer, Folder, Server};

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const PASSWORD: &str = "correct-horse-battery";
const WRONG_PASSWORD: &str = "incorrect-horse-battery";
const MAIL_PASSWORD: &str = "mail-server-hunter2";
const ADA: &str = "ada.lovelace@example.org";
/// Ten digits and a point in the middle could come up by chance; six digits alone do too, so they
/// count only where nothing that could be a larger number or an id goes on around them.
const SHORT: usize = 6;

#[tokio::test]
async fn a_full_tour_at_trace_leaves_no_secret_in_the_log() {
    for format in ["text", "json"] {
        let (secrets, log) = tour(format).await;
        assert!(log.contains("request answered"), "debug was not on");
        assert!(log.contains("sign_in accepted"), "the tour was not logged");
        let found: Vec<_> = secrets
            .iter()
            .filter(|secret| is_in(secret, &log))
            .collect();
        assert!(found.is_empty(), "{format}: {found:?} in the log");

        // The search itself: each of them would have been found.
        for secret in &secrets {
            let planted = format!("{log}\n2026-01-01T00:00:00Z INFO: a fact value={secret}\n");
            assert!(is_in(secret, &planted), "{secret} is not found where it is");
        }
    }
}

fn is_in(secret: &str, log: &str) -> bool {
    let is_part_of_more = |c: char| c.is_ascii_alphanumeric() || c == '.';
    log.match_indices(secret).any(|(at, _)| {
        let before = log[..at].chars().next_back();
        let after = log[at + secret.len()..].chars().next();
        secret.len() > SHORT
            || !(before.is_some_and(is_part_of_more) || after.is_some_and(is_part_of_more))
    })
}

/// Every path with everything that must not be logged. Answers that and the log.
async fn tour(format: &str) -> (Vec<String>, String) {
    let script = Script {
        login: Some(("ada", MAIL_PASSWORD)),
        ..Script::default()
    };
    let mut mailbox = SmtpServer::start(script).await;
    let smtp_url = format!("smtp://ada:{MAIL_PASSWORD}@{}", mailbox.address);
    let keys = format!("k1:{KEY}");
    let folder = Folder::new();
    let server = folder
        .server(&[
            ("LOG_LEVEL", "trace"),
            ("LOG_FORMAT", format),
            ("MAIL_TRANSPORT", "smtp"),
            ("SMTP_URL", &smtp_url),
            ("SECRET_KEYS", &keys),
            ("PUBLIC_URL", "http://localhost:8001"),
            ("RESEND_AFTER_SECONDS", "0"),
        ])
        .await;
    let mut secrets = vec![
        KEY.to_owned(),
        "0123456789abcdef0123456789abcdef".to_owned(),
        PASSWORD.to_owned(),
        WRONG_PASSWORD.to_owned(),
        MAIL_PASSWORD.to_owned(),
        // Addresses are pseudonyms in logs.
        ADA.to_owned(),
        "$argon2".to_owned(),
    ];
    let mut codes = async |server: &Server, path: &str, body: &Value| {
        server.post(path, body).await.is(202);
        Codes::in_mail(&mailbox.mail().await)
    };

    let form = json!({"email": ADA, "password": PASSWORD, "full_name": "Ada"});
    let first = codes(&server, "/api/auth/register", &form).await;
    let token = verify(
        &server,
        "/api/auth/verify-registration",
        &first.short,
        "token",
    )
    .await;
    let token = token.text("session_token");
    keep_stored(&folder, &mut secrets);

    let with_password = json!({"email": ADA, "password": PASSWORD});
    let second = codes(&server, "/api/auth/login", &with_password).await;
    let wrong = json!({"email": ADA, "password": WRONG_PASSWORD});
    server.post("/api/auth/login", &wrong).await.is(401);
    keep_stored(&folder, &mut secrets);
    let cookie = verify(&server, "/api/auth/verify-login", &second.long, "cookie").await;
    let cookie = cookie.headers["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(['=', ';']).nth(1).unwrap().to_owned();

    let refreshed = server
        .try_post("/api/auth/refresh-session", Some(&token), None)
        .await;
    let refreshed = refreshed.unwrap().is(200).text("session_token");
    wander(&server, &first, &token, &cookie).await;
    let ended = server
        .try_post("/api/auth/logout", Some(&refreshed), None)
        .await;
    ended.unwrap().is(204);
    keep_stored(&folder, &mut secrets);

    for codes in [first, second] {
        secrets.extend([codes.long.replace([' ', '-'], ""), codes.long, codes.short]);
    }
    for token in [token, cookie, refreshed] {
        secrets.push(token.split('.').next().unwrap().to_owned());
        secrets.push(token);
    }
    secrets.retain(|secret| !secret.is_empty());
    server.process.signal("TERM");
    let log = std::sync::Arc::clone(&server.process.log);
    server.process.ended().await.succeeded();
    (secrets, log.text())
}

struct Codes {
    short: String,
    long: String,
}

impl Codes {
    fn in_mail(mail: &Received) -> Self {
        let is_long = |line: &&str| {
            let letters = line.replace([' ', '-'], "");
            letters.len() == 28 && letters.bytes().all(|b| b.is_ascii_lowercase())
        };
        let text = mail.text();
        let long = text.lines().map(str::trim).find(is_long);
        Self {
            short: mail.code(),
            long: long.expect("a line with the long code").to_owned(),
        }
    }
}

async fn verify(server: &Server, path: &str, code: &str, transport: &str) -> Answer {
    let body = json!({"email": ADA, "verification_code": code, "session_transport": transport});
    let request = server.request("POST", path).json(&body);
    let request = request.header("Origin", "http://localhost:8001");
    let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    answer
}

/// Secrets in all the wrong places: paths, queries, fields, broken bodies, headers.
async fn wander(server: &Server, codes: &Codes, token: &str, cookie: &str) {
    let send = async |request: reqwest::RequestBuilder, status: u16| {
        let answer = Answer::read(request.send().await.unwrap()).await.unwrap();
        answer.is(status);
    };
    let own_page = |request: reqwest::RequestBuilder| {
        request
            .header("Cookie", format!("aidlc_session={cookie}"))
            .header("Sec-Fetch-Site", "same-origin")
    };
    let json = |request: reqwest::RequestBuilder, body: String| {
        request
            .header("Content-Type", "application/json")
            .body(body)
    };
    let (code, path) = (&codes.short, "/api/auth/verify-login");
    send(own_page(server.request("GET", "/api/auth/session")), 200).await;
    send(own_page(server.request("GET", "/api/auth/sessions")), 200).await;
    let changed = own_page(server.request("PATCH", "/api/profile"));
    send(json(changed, r#"{"full_name": "Ada King"}"#.into()), 200).await;
    send(
        server.request("GET", &format!("/api/{token}?token={token}&code={code}")),
        404,
    )
    .await;
    send(server.request("PUT", &format!("{path}?code={code}")), 405).await;
    send(
        json(
            server.request("POST", path),
            format!(r#"{{"verification_code": "{code}"#),
        ),
        400,
    )
    .await;
    let misplaced =
        json!({"email": PASSWORD, "verification_code": token, "challenge_id": codes.long});
    send(server.request("POST", path).json(&misplaced), 422).await;
    let spent = json!({"email": ADA, "verification_code": code});
    send(server.request("POST", path).json(&spent), 400).await;
    send(
        server
            .request("GET", "/api/auth/session")
            .header("Authorization", format!("Bearer {token}x")),
        401,
    )
    .await;
    send(
        server
            .request("GET", "/health")
            .header("X-Request-Id", token),
        200,
    )
    .await;
}

/// What the store holds that must not be logged either: seeds, checks, digests, hashes.
fn keep_stored(folder: &Folder, secrets: &mut Vec<String>) {
    let database = rusqlite::Connection::open(folder.database()).unwrap();
    let column = |sql| {
        let mut rows = database.prepare(sql).unwrap();
        let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let rows: Vec<String> = rows.map(Result::unwrap).collect();
        rows
    };
    secrets.extend(column("SELECT lower(hex(digest)) FROM sessions"));
    secrets.extend(column("SELECT password_hash FROM users"));
    for record in column("SELECT record FROM challenges") {
        let record: Value = serde_json::from_str(&record).unwrap();
        let secret = &record["secret"];
        for name in ["seed", "check", "long_check"] {
            let value = secret[name].as_str();
            secrets.push(
                value
                    .unwrap_or_else(|| panic!("no {name} in {record}"))
                    .to_owned(),
            );
        }
    }
}
