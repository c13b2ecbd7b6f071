//! `POST /api/auth/register`

use std::time::Duration;

use aidlc_auth::model::language::Language;
use aidlc_auth::model::user::Status;

use crate::support::call::at_once;
use crate::support::inbox::Kind;
use crate::support::smtp_server::body_of;
use crate::support::world::{STRANGER, World, client};

const ADA: &str = "ada@example.org";

// What is refused

#[tokio::test]
async fn every_field_that_is_wrong_is_named_at_once() {
    let world = World::new().await;
    let empty = world.register(ADA).json(serde_json::json!({})).await;
    empty.is_invalid(&[
        ("email", "required"),
        ("password", "required"),
        ("full_name", "required"),
    ]);
    let all = world.register("ada@localhost").with("password", "12345");
    let all = all.with("full_name", " ").with("language", "fr");
    let all = all.with("gender", 1).with("birth_year", 1899).await;
    all.is_invalid(&[
        ("email", "not_an_address"),
        ("password", "too_short"),
        ("full_name", "blank"),
        ("language", "not_one_of"),
        ("gender", "not_text"),
        ("birth_year", "out_of_range"),
    ]);
}

#[tokio::test]
async fn addresses_that_are_none_are_refused() {
    let world = World::new().await;
    let long = format!("{}@example.org", "a".repeat(250));
    for (email, code) in [
        ("", "not_an_address"),
        ("ada", "not_an_address"),
        ("ada@", "not_an_address"),
        ("@example.org", "not_an_address"),
        ("a@b@example.org", "not_an_address"),
        ("\"ada\"@example.org", "not_an_address"),
        ("ada@[127.0.0.1]", "not_an_address"),
        ("ada@example.org, eve@example.org", "not_an_address"),
        ("ada@exam ple.org", "not_an_address"),
        ("ada\r\nBcc:eve@example.org", "not_an_address"),
        (&long, "address_too_long"),
    ] {
        world.register(email).await.is_invalid(&[("email", code)]);
    }
}

#[tokio::test]
async fn production_asks_for_longer_and_rarer_passwords() {
    let world = World::new().await;
    world
        .register(ADA)
        .with("password", "123456")
        .await
        .is_accepted();
    let long = world.register(ADA).with("password", "x".repeat(513)).await;
    long.is_invalid(&[("password", "too_many_bytes")]);

    let production = World::with(&crate::cookies::PRODUCTION).await;
    for (password, code) in [("pass123", "too_short"), ("password1", "common_password")] {
        let register = production.register(ADA).with("password", password);
        register.await.is_invalid(&[("password", code)]);
    }
    let register = production.register(ADA);
    let register = register.with("password", "correct horse battery");
    register.await.is_accepted();
}

#[tokio::test]
async fn a_second_registration_within_a_minute_is_refused_and_the_first_goes_on() {
    let world = World::new().await;
    let first = world.register(ADA).await;
    let code = world.mail_to(ADA).await.code;
    let second = world.register(ADA).from(STRANGER).await;
    second.is(429).is_refused("too_many_requests");
    assert_eq!(second["retry_after"], 60);
    assert_eq!(world.mails().await.len(), 1);
    let verify = world.verify_registration(ADA, &code);
    let verify = verify.with("challenge_id", first.challenge_id());
    verify.await.is_signed_in();
}

#[tokio::test]
async fn a_refused_registration_takes_one_step_more_than_none() {
    let world = World::new().await;
    world.register(ADA).await.is_accepted();
    world.steps.settled().await;
    let before = world.steps.count();
    world.register(ADA).await.is_refused("too_many_requests");
    // No account was looked for and, between these two steps, nothing hashed.
    let steps = world.steps.since(before);
    assert_eq!(steps, ["challenges.admit", "challenges.would_wait"]);
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_refused() {
    let world = World::with(&[("CLIENT_CODE_REQUESTS", "2")]).await;
    for n in 0..2 {
        let register = world.register(&format!("u{n}@example.org"));
        register.await.is_accepted();
    }
    let third = world.register("u2@example.org").await;
    third.is(429).is_refused("too_many_requests");
    let third = world.register("u2@example.org").from(STRANGER).await;
    third.is_accepted();
}

// What is done

#[tokio::test]
async fn nothing_is_an_account_until_the_address_is_proved() {
    let world = World::new().await;
    let code = world.ask_to_register(ADA).await;
    assert!(world.user(ADA).await.is_none());
    world.verify_registration(ADA, &code).await.is_signed_in();
    assert!(world.user(ADA).await.is_some());
}

#[tokio::test]
async fn who_has_an_account_learns_it_by_mail_only() {
    let world = World::new().await;
    let fresh = world.register(ADA).with("language", "ko").await;
    let code = world.mail_to(ADA).await.code;
    world.verify_registration(ADA, &code).await.is_signed_in();

    world.clock.advance(Duration::from_mins(1));
    let again = world.register(ADA).with("language", "en").await;
    again.is_accepted();
    for field in ["message", "email", "expires_in", "resend_after"] {
        assert_eq!(again[field], fresh[field]);
    }
    let mail = world.mail_to(ADA).await;
    assert_eq!(
        (mail.kind, mail.language),
        (Kind::AccountExists, Language::Ko)
    );
    assert_eq!(
        world.user(ADA).await.unwrap().profile.language,
        Some(Language::Ko)
    );
}

#[tokio::test]
async fn an_account_that_is_switched_off_gets_no_mail() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    world.set_status(ADA, Status::Deactivated).await;
    let before = world.mails().await.len();
    world.clock.advance(Duration::from_mins(1));
    world.register(ADA).await.is_accepted();
    assert_eq!(world.mails().await.len(), before);
}

#[tokio::test]
async fn the_mail_speaks_the_forms_language_before_the_browsers() {
    let world = World::new().await;
    let register = world.register(ADA).with("language", "ko");
    register.speaking("en").await.is_accepted();
    assert_eq!(world.mail_to(ADA).await.language, Language::Ko);
    let register = world.register("bob@example.org").speaking("ko");
    register.await.is_accepted();
    assert_eq!(
        world.mail_to("bob@example.org").await.language,
        Language::Ko
    );
    world.register("cyd@example.org").await.is_accepted();
    assert_eq!(
        world.mail_to("cyd@example.org").await.language,
        Language::En
    );
}

#[tokio::test]
async fn nothing_that_was_typed_is_in_a_mail_to_an_unproved_address() {
    let world = World::new().await;
    let register = world
        .register(ADA)
        .with("full_name", "Visit evil.example now");
    let register = register.with("password", "evil.example pass");
    let register = register.with_browser("evil.example/1.0 (Windows NT 10.0) Chrome/1");
    let register = register.header("x-request-id", "evil-example");
    register
        .header("referer", "https://evil.example")
        .await
        .is_accepted();
    let mail = world.mail_to(ADA).await;
    let html = body_of(&mail.raw, "text/html");
    for text in [&mail.raw, &mail.text, &html] {
        assert!(!text.contains("evil"), "{text}");
        assert!(!text.contains("Visit"), "{text}");
    }
    assert!(mail.text.contains("Chrome (Windows)"), "{}", mail.text);
}

#[tokio::test]
async fn a_later_registration_replaces_the_form_and_its_code() {
    let world = World::new().await;
    let first = world.ask_to_register(ADA).await;
    world.clock.advance(Duration::from_mins(1));
    let second = world.register(ADA).with("full_name", "Augusta Ada King");
    let second = second.await;
    assert_eq!(second.is_accepted()["expires_in"], 900);
    let newer = world.mail_to(ADA).await.code;
    assert_ne!(first, newer);
    let old = world.verify_registration(ADA, &first).await;
    old.is_refused("code_refused");
    let verify = world.verify_registration(ADA, &newer);
    let verify = verify.with("challenge_id", second.challenge_id()).await;
    assert_eq!(
        verify.is_signed_in()["user"]["full_name"],
        "Augusta Ada King"
    );
}

#[tokio::test]
async fn fields_that_nobody_asks_for_have_no_effect() {
    let world = World::new().await;
    let id = "usr_00000000000000000000000000000000";
    let register = world.register(ADA).with("id", id).with("status", "admin");
    let register = register.with("user_id", id).with("generation", 77);
    let register = register
        .with("password_set", false)
        .with("created_at", "1970-01-01");
    register
        .with("contested", true)
        .with("role", "admin")
        .await
        .is_accepted();
    let code = world.mail_to(ADA).await.code;
    let verify = world
        .verify_registration(ADA, &code)
        .with("status", "admin");
    let verify = verify.with("id", id).await;
    assert_ne!(verify.is_signed_in()["user"]["id"], id);
    assert_eq!(verify["user"]["password_set"], true);
    let user = world.user(ADA).await.unwrap();
    assert_eq!((user.status, user.generation), (Status::Active, 0));
}

#[tokio::test]
async fn a_full_queue_of_hashes_refuses_instead_of_waiting() {
    let world = World::with(&[("PASSWORD_HASH_THREADS", "1"), ("PASSWORD_QUEUE", "1")]).await;
    let answers = at_once((0..12).map(|n| {
        let register = world.register(&format!("u{n}@example.org"));
        register.from(&client(n))
    }));
    let answers = answers.await;
    let busy = answers.iter().filter(|answer| answer.status == 503);
    let busy: Vec<_> = busy.collect();
    assert!(!busy.is_empty());
    for answer in busy {
        answer.is_refused("busy");
        assert_eq!(answer["retry_after"], 1);
    }
    assert!(answers.iter().any(|answer| answer.status == 202));
}
