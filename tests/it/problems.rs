//! Everything that can be refused: each code over HTTP, in both languages, in one shape.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aidlc_auth::error::{Error, Why};
use aidlc_auth::mail::{NotTaken, Notice, Notices};
use aidlc_auth::messages::Messages;
use aidlc_auth::model::language::Language;
use aidlc_auth::store;
use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::answer::Answer;
use crate::support::call::at_once;
use crate::support::world::{STRANGER, World, client, other_than};

const ADA: &str = "ada@example.org";
const KIB: usize = 1024;

// Each code

/// One of each. A new one does not compile until it is named here, and then has to be seen.
fn every_error() -> Vec<Error> {
    let wait = Duration::from_secs(1);
    let all = vec![
        Error::NotJson,
        Error::NotDeclaredJson,
        Error::TooLarge,
        Error::TooSlow,
        Error::Invalid(Vec::new()),
        Error::NotFound,
        Error::MethodNotAllowed,
        Error::CodeRefused,
        Error::CodeWrong { tries_left: 1 },
        Error::CodeGone,
        Error::TooManyGuesses { wait },
        Error::TooManyRequests { wait },
        Error::CredentialsRefused,
        Error::SessionRequired,
        Error::NoSuchSession,
        Error::OriginRefused,
        Error::NotificationRefused,
        Error::Busy,
        Error::Unavailable(String::new()),
        Error::KeyUnknown,
        Error::HandleKeyUnknown,
        Error::Internal(String::new()),
    ];
    for error in &all {
        match error {
            Error::NotJson | Error::NotDeclaredJson | Error::TooLarge | Error::TooSlow => {}
            Error::Invalid(_) | Error::NotFound | Error::MethodNotAllowed => {}
            Error::CodeRefused | Error::CodeWrong { .. } | Error::CodeGone => {}
            Error::TooManyGuesses { .. } | Error::TooManyRequests { .. } => {}
            Error::CredentialsRefused | Error::SessionRequired | Error::NoSuchSession => {}
            Error::OriginRefused | Error::NotificationRefused => {}
            Error::Busy | Error::Unavailable(_) => {}
            Error::KeyUnknown | Error::HandleKeyUnknown | Error::Internal(_) => {}
        }
    }
    all
}

#[tokio::test]
async fn every_code_is_seen_over_http_in_both_languages() {
    let mut seen = BTreeSet::new();
    for language in [Language::Ko, Language::En] {
        seen.clear();
        for (answer, error) in every_refusal(language.as_str()).await {
            let code = error.code();
            answer.is_refused(code);
            assert_eq!(answer.header("content-language"), language.as_str());
            assert_eq!(answer["detail"], error.detail(Messages::of(language)));
            seen.insert(code);
        }
        let all: BTreeSet<_> = every_error().iter().map(Error::code).collect();
        assert_eq!(seen, all);
    }
}

async fn every_refusal(language: &str) -> Vec<(Answer, Error)> {
    let wait = Duration::ZERO;
    let mut seen = of_bodies(language).await;
    seen.extend(of_codes(language).await);
    seen.extend(of_outages(language).await);
    let world = World::with(&[("CLIENT_CODE_REQUESTS", "1")]).await;
    let nowhere = world.get("/nowhere").speaking(language).await;
    seen.push((nowhere, Error::NotFound));
    let method = world.get("/api/auth/login").speaking(language).await;
    seen.push((method, Error::MethodNotAllowed));
    world.login(ADA).await.is_accepted();
    let often = world.login(ADA).speaking(language).await;
    seen.push((often, Error::TooManyRequests { wait }));
    let wrong = world.login(ADA).from(STRANGER).with("password", "wrong");
    seen.push((wrong.speaking(language).await, Error::CredentialsRefused));
    let none = world.get("/api/auth/session").speaking(language).await;
    seen.push((none, Error::SessionRequired));
    world.clock.advance(Duration::from_mins(5));
    let token = world.sign_up("bob@example.org").await.token();
    let end = world.call(Method::DELETE, "/api/auth/sessions/ses_x");
    seen.push((
        end.bearer(&token).speaking(language).await,
        Error::NoSuchSession,
    ));
    let cookie = world
        .get("/api/auth/session")
        .header("cookie", "aidlc_session=x");
    seen.push((cookie.speaking(language).await, Error::OriginRefused));
    let world = World::told_by(Arc::new(Unbelieving), &[]).await;
    let forged = world.post("/api/mail/notifications", json!({}));
    seen.push((forged.speaking(language).await, Error::NotificationRefused));
    seen
}

/// Takes nothing for the mail service's own word.
struct Unbelieving;

#[async_trait]
impl Notices for Unbelieving {
    async fn take(&self, _: &[u8], _: Timestamp) -> Result<Notice, NotTaken> {
        Err(NotTaken::Refused)
    }
}

async fn of_bodies(language: &str) -> Vec<(Answer, Error)> {
    let world = World::new().await;
    let login = || {
        world
            .call(Method::POST, "/api/auth/login")
            .speaking(language)
    };
    vec![
        (login().send_bytes("{").await, Error::NotJson),
        (login().await, Error::NotDeclaredJson),
        (
            login().send_bytes(vec![b' '; 64 * KIB + 1]).await,
            Error::TooLarge,
        ),
        (login().json(json!({})).await, Error::Invalid(Vec::new())),
        (too_slow(language).await, Error::TooSlow),
    ]
}

async fn of_codes(language: &str) -> Vec<(Answer, Error)> {
    let wait = Duration::ZERO;
    let world = World::with(&[("GUESSES_PER_DAY", "2")]).await;
    let asked = world.register(ADA).await;
    let wrong = other_than(&world.mail_to(ADA).await.code);
    let guess = || world.verify_registration(ADA, &wrong).speaking(language);
    let own = || guess().with("challenge_id", asked.challenge_id());
    let mut seen = vec![
        (guess().await, Error::CodeRefused),
        (own().await, Error::CodeWrong { tries_left: 3 }),
        (own().await, Error::TooManyGuesses { wait }),
    ];
    world.clock.advance(Duration::from_hours(25));
    seen.push((own().await, Error::CodeGone));
    seen
}

async fn of_outages(language: &str) -> Vec<(Answer, Error)> {
    let world = World::with(&[("PASSWORD_HASH_THREADS", "1"), ("PASSWORD_QUEUE", "1")]).await;
    let asked = world.login(ADA).await;
    let mut busy = at_once((0..12).map(|n| {
        let register = world.register(&format!("u{n}@example.org"));
        register.from(&client(n)).speaking(language)
    }))
    .await;
    busy.retain(|answer| answer.status == 503);
    let login = || world.login("cyd@example.org").speaking(language);
    world
        .steps
        .fail("users.find", store::Error::Unavailable("away".into()));
    let away = login().await;
    world
        .steps
        .fail("users.find", store::Error::Broken("nonsense".into()));
    let broken = login().await;
    assert!(!broken.text.contains("nonsense"));
    world.steps.mend();
    let other = "k2:U29tZSBvdGhlciBrZXkgdGhhdCBpcyByYW5kb20gdG9vIQ==";
    let rotated = world.beside(&[("SECRET_KEYS", other)]).await;
    let verify = rotated.verify_login(ADA, "123456").speaking(language);
    let verify = verify.with("challenge_id", asked.challenge_id());
    vec![
        (busy.remove(0), Error::Busy),
        (away, Error::Unavailable(String::new())),
        (broken, Error::Internal(String::new())),
        (verify.await, Error::KeyUnknown),
    ]
}

/// A body that is announced and does not come.
async fn too_slow(language: &str) -> Answer {
    let world = World::impatient().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Accept-Language: {language}\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let status = status.parse().unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (
            reqwest::header::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            reqwest::header::HeaderValue::from_str(value).unwrap(),
        )
    });
    let answer = Answer {
        status,
        headers: headers.collect(),
        text: body.to_owned(),
        body: serde_json::from_str(body).unwrap(),
    };
    answer.is(408);
    answer
}

// Each code of a field

/// As [`every_error`].
fn every_why() -> Vec<Why> {
    let all = vec![
        Why::Required,
        Why::NotText,
        Why::NotWholeNumber,
        Why::Blank,
        Why::TooLong { max: 100 },
        Why::TooShort { min: 8 },
        Why::NotAnAddress,
        Why::CommonPassword,
        Why::NotACode,
        Why::NotAChallenge,
        Why::OneOf("ko, en"),
        Why::OutOfRange {
            min: 1900,
            max: 2026,
        },
        Why::BadCharacter,
        Why::TooManyBytes { max: 512 },
        Why::AddressTooLong,
    ];
    for why in &all {
        match why {
            Why::Required | Why::NotText | Why::NotWholeNumber | Why::Blank => {}
            Why::TooLong { .. } | Why::TooManyBytes { .. } | Why::TooShort { .. } => {}
            Why::AddressTooLong | Why::NotAnAddress => {}
            Why::CommonPassword | Why::NotACode | Why::NotAChallenge => {}
            Why::OneOf(_) | Why::OutOfRange { .. } | Why::BadCharacter => {}
        }
    }
    all
}

#[tokio::test]
async fn every_fields_code_is_seen_in_both_languages() {
    let world = World::with(&crate::cookies::PRODUCTION).await;
    for language in [Language::Ko, Language::En] {
        let register = || world.register(ADA).speaking(language.as_str());
        let answers = [
            register().json(json!({"password": 1})).await,
            register().with("email", "x").with("full_name", " ").await,
            register().with("full_name", "x".repeat(101)).await,
            register()
                .with("full_name", "a\tb")
                .with("birth_year", 1.5)
                .await,
            register()
                .with("password", "password1")
                .with("birth_year", 1)
                .await,
            register().with("language", "fr").await,
            register()
                .with("password", "가".repeat(171))
                .with("email", format!("{}@example.org", "a".repeat(65)))
                .await,
            world
                .verify_login(ADA, "1")
                .speaking(language.as_str())
                .await,
            {
                let verify = world.verify_login(ADA, "123456").with("challenge_id", "x");
                verify.speaking(language.as_str()).await
            },
        ];
        let mut seen = BTreeSet::new();
        let words = Messages::of(language);
        for answer in &answers {
            answer.is(422).is_refused("invalid_fields");
            for error in answer["errors"].as_array().unwrap() {
                let code = error["code"].as_str().unwrap();
                let why = every_why()
                    .into_iter()
                    .find(|why| why.code() == code)
                    .unwrap();
                assert_eq!(error["detail"], why.detail(words), "{code}");
                seen.insert(why.code());
            }
        }
        let all: BTreeSet<_> = every_why().into_iter().map(Why::code).collect();
        assert_eq!(seen, all);
    }
}

// Bodies

#[tokio::test]
async fn only_what_is_declared_as_json_is_read() {
    let world = World::new().await;
    for declared in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
        "json",
    ] {
        let call = world.login(ADA).header("content-type", declared).await;
        call.is(415).is_refused("unsupported_media_type");
    }
    for declared in ["application/json; charset=utf-8", "Application/JSON"] {
        let call = world.login("eve").header("content-type", declared).await;
        call.is(422);
    }
}

#[tokio::test]
async fn a_body_is_one_json_object() {
    let world = World::new().await;
    let deep = "[".repeat(10_000);
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{} {}",
        "{\"a\":}",
        "\u{feff}{}",
        &deep,
    ] {
        let call = world.call(Method::POST, "/api/auth/login");
        let answer = call.send_bytes(body.to_owned()).await;
        answer.is(400).is_refused("malformed_json");
    }
    let call = world.call(Method::POST, "/api/auth/login");
    let answer = call
        .send_bytes(&b"{\"email\":\"\xff@example.org\"}"[..])
        .await;
    answer.is(400).is_refused("malformed_json");
}

#[tokio::test]
async fn sixty_four_kib_are_read_and_not_a_byte_more() {
    let world = World::new().await;
    let body = |bytes: usize| {
        let json = format!("{{\"email\":\"{ADA}\"}}");
        format!("{json}{}", " ".repeat(bytes - json.len()))
    };
    let call = || world.call(Method::POST, "/api/auth/login");
    call().send_bytes(body(64 * KIB)).await.is_accepted();
    let answer = call().send_bytes(body(64 * KIB + 1)).await;
    answer.is(413).is_refused("body_too_large");
}

// Paths and methods

#[tokio::test]
async fn what_is_not_there_is_said_in_the_same_shape() {
    let world = World::new().await;
    for path in [
        "/",
        "/api",
        "/api/auth",
        "/api/auth/login/",
        "/API/auth/login",
        "/api/auth/sessions/a/b",
        "/%00",
        "/docs/%ff",
    ] {
        world.get(path).await.is(404).is_refused("not_found");
    }
}

#[tokio::test]
async fn a_method_that_is_not_taken_is_told_which_are() {
    let world = World::new().await;
    for (method, path, allowed) in [
        (Method::GET, "/api/auth/login", "POST"),
        (Method::POST, "/api/auth/session", "GET,HEAD"),
        (Method::POST, "/api/auth/sessions", "DELETE,GET,HEAD"),
        (Method::GET, "/api/auth/sessions/ses_x", "DELETE"),
        (Method::DELETE, "/api/profile", "GET,HEAD,PATCH,PUT"),
    ] {
        let answer = world.call(method, path).await;
        answer.is(405).is_refused("method_not_allowed");
        let mut named: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        named.sort_unstable();
        assert_eq!(named.join(","), allowed, "{path}");
    }
}

#[tokio::test]
async fn nothing_under_api_is_kept_by_anyone() {
    let world = World::new().await;
    for path in ["/api/auth/session", "/api/nowhere", "/api/auth/login"] {
        assert_eq!(world.get(path).await.header("cache-control"), "no-store");
    }
}
