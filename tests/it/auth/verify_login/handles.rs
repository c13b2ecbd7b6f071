//! `challenge_id`: what it names, and what it says of how someone signed in.

use std::time::Duration;

use serde_json::json;

use crate::support::world::{PASSWORD, World, other_than};

const ADA: &str = "ada@example.org";

#[tokio::test]
async fn a_handle_that_belongs_elsewhere_meets_nothing_and_costs_nothing() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    world.sign_up("bob@example.org").await;
    let bobs = world.login("bob@example.org").await.challenge_id();
    world.clock.advance(Duration::from_mins(2));
    let registrations = world.register(ADA).await.challenge_id();
    let own = world.login(ADA).await.challenge_id();
    let code = world.mail_to(ADA).await.code;
    for foreign in [bobs, registrations] {
        let verify = world.verify_login(ADA, &code).with("challenge_id", foreign);
        verify.await.is(410).is_refused("code_gone");
    }
    let guess = world.verify_login(ADA, &other_than(&code));
    guess.with("challenge_id", own).await.is_wrong(4);
}

#[tokio::test]
async fn every_answer_has_another_handle_of_the_same_challenge() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let first = world.login(ADA).await.challenge_id();
    world.clock.advance(Duration::from_mins(1));
    let second = world.login(ADA).await.challenge_id();
    assert_ne!(first, second);
    let code = world.mail_to(ADA).await.code;
    let verify = world.verify_login(ADA, &code).with("challenge_id", first);
    verify.await.is_signed_in();
}

#[tokio::test]
async fn what_never_was_a_handle_is_an_invalid_field() {
    let world = World::new().await;
    let sealed = world.login(ADA).await.challenge_id();
    for bad in [
        "",
        "k1",
        "k1.",
        "k1.AAAA",
        "k1.!!",
        &sealed[3..],
        &"x".repeat(129),
    ] {
        let verify = world.verify_login(ADA, "123456").with("challenge_id", bad);
        let verify = verify.await;
        verify.is_invalid(&[("challenge_id", "not_a_challenge")]);
    }
    // Of our shape, but nothing that we sealed.
    let forged = format!("{}{}", &sealed[..sealed.len() - 8], "AAAAAAAA");
    let verify = world
        .verify_login(ADA, "123456")
        .with("challenge_id", forged);
    verify.await.is_refused("code_gone");
}

#[tokio::test]
async fn an_unknown_key_is_an_outage_and_never_wrong() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let asked = world.login(ADA).await;
    let code = world.mail_to(ADA).await.code;
    let rotated = "k2:U29tZSBvdGhlciBrZXkgdGhhdCBpcyByYW5kb20gdG9vIQ==";
    let other = world.beside(&[("SECRET_KEYS", rotated)]).await;

    let verify = other.verify_login(ADA, &code).await;
    verify.is(503).is_refused("key_unknown");
    let verify = other.verify_login(ADA, &code);
    let verify = verify.with("challenge_id", asked.challenge_id());
    verify.await.is(503).is_refused("key_unknown");

    let both = format!("{rotated},k1:QmVjYXVzZSBhIHRlc3QgbmVlZHMgc29tZSBrZXkgdG9vLg==");
    let both = world.beside(&[("SECRET_KEYS", &both)]).await;
    let verify = both.verify_login(ADA, &code);
    let verify = verify.with("challenge_id", asked.challenge_id());
    verify.await.is_signed_in();
}

// How they signed in

#[tokio::test]
async fn the_password_counts_only_with_the_handle_of_the_very_request_that_had_it() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    for (with_password, handle_sent, amr) in [
        (true, true, json!(["otp", "pwd"])),
        (true, false, json!(["otp"])),
        (false, true, json!(["otp"])),
    ] {
        let mut login = world.login(ADA);
        if with_password {
            login = login.with("password", PASSWORD);
        }
        let asked = login.await;
        asked.is_accepted();
        let code = world.mail_to(ADA).await.code;
        let mut verify = world.verify_login(ADA, &code);
        if handle_sent {
            verify = verify.with("challenge_id", asked.challenge_id());
        }
        let token = verify.await.is_signed_in().token();
        assert_eq!(world.session(&token).await["session"]["amr"], amr);
    }
}

#[tokio::test]
async fn another_requests_handle_does_not_carry_the_password_along() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    world
        .login(ADA)
        .with("password", PASSWORD)
        .await
        .is_accepted();
    world.clock.advance(Duration::from_mins(1));
    let without = world.login(ADA).await;
    let code = world.mail_to(ADA).await.code;
    let verify = world.verify_login(ADA, &code);
    let verify = verify.with("challenge_id", without.challenge_id());
    let token = verify.await.is_signed_in().token();
    assert_eq!(
        world.session(&token).await["session"]["amr"],
        json!(["otp"])
    );
}
