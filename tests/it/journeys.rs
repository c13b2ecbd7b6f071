//! The main journeys as a whole: each answer, head and body, and the mail that went out.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::inbox::Received;
use crate::support::world::World;

const ADA: &str = "ada@example.org";

#[tokio::test]
async fn registering() {
    let world = World::new().await;
    let register = world.register(ADA).with("birth_year", 1990);
    let asked = register.with("gender", "female").await;
    insta::assert_snapshot!("register", shown(&asked));
    let mail = world.mail_to(ADA).await;
    insta::assert_snapshot!("register_mail", written(&mail));
    let verify = world.verify_registration(ADA, &mail.code);
    let verified = verify.with("challenge_id", asked.challenge_id()).await;
    insta::assert_snapshot!("verify_registration", shown(&verified));

    world.clock.advance(Duration::from_mins(1));
    let again = world.register(ADA).speaking("ko").await;
    insta::assert_snapshot!("register_again", shown(&again));
    let mail = world.mail_to(ADA).await;
    insta::assert_snapshot!("register_again_mail", written(&mail));
}

#[tokio::test]
async fn signing_in() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    world.clock.advance(Duration::from_mins(1));
    let asked = world.login(ADA).speaking("ko").await;
    insta::assert_snapshot!("login", shown(&asked));
    let mail = world.mail_to(ADA).await;
    insta::assert_snapshot!("login_mail", written(&mail));
    let verified = world.verify_login(ADA, &mail.code).await;
    insta::assert_snapshot!("verify_login", shown(&verified));

    let token = verified.token();
    insta::assert_snapshot!("session", shown(&world.session(&token).await));
    insta::assert_snapshot!("sessions", shown(&world.sessions(&token).await));
    insta::assert_snapshot!("profile", shown(&world.profile(&token).await));
    insta::assert_snapshot!("refresh_session", shown(&world.refresh(&token).await));
    insta::assert_snapshot!("logout", shown(&world.logout(&token).await));
}

#[tokio::test]
async fn being_refused() {
    let world = World::new().await;
    let asked = world.login(ADA).await;
    let guess = world.verify_login(ADA, "000000");
    let guess = guess.with("challenge_id", asked.challenge_id()).await;
    insta::assert_snapshot!("code_wrong", shown(&guess));
    let early = world.login(ADA).speaking("ko").await;
    insta::assert_snapshot!("too_many_requests", shown(&early));
    let fields = world
        .post("/api/auth/register", json!({"email": "ada"}))
        .speaking("ko");
    insta::assert_snapshot!("invalid_fields", shown(&fields.await));
    let session = world.get("/api/auth/session").await;
    insta::assert_snapshot!("session_required", shown(&session));
}

/// An answer without what is different each time.
fn shown(answer: &Answer) -> String {
    let headers = answer.headers.iter();
    let mut headers: Vec<_> = headers
        .map(|(name, value)| match name.as_str() {
            "x-request-id" | "date" | "content-length" => format!("{name}: …"),
            _ => format!("{name}: {}", value.to_str().unwrap()),
        })
        .collect();
    headers.sort();
    let mut body = answer.body.clone();
    mask(&mut body);
    let body = match body {
        Value::Null => String::new(),
        body => serde_json::to_string_pretty(&body).unwrap(),
    };
    format!("{}\n{}\n\n{body}", answer.status, headers.join("\n"))
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "id" | "request_id" | "challenge_id" | "session_token" => *value = "…".into(),
                    _ => mask(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

/// A mail without its codes and its name.
fn written(mail: &Received) -> String {
    let mut text = mail.text.clone();
    if !mail.code.is_empty() {
        text = text.replace(&mail.code, "123456");
        let long = &mail.long_code;
        let fours: Vec<_> = (0..7).map(|i| &long[4 * i..4 * i + 4]).collect();
        text = text.replace(&fours.join(" "), "bcdf bcdf bcdf bcdf bcdf bcdf bcdf");
        assert!(!text.contains(&long[..9]), "{text}");
    }
    let lines = text.lines().map(|line| match line.split_once(": ") {
        Some(("Message-ID", _)) => "Message-ID: …",
        _ => line.trim_end(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
