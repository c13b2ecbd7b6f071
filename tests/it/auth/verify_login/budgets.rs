//! How often anyone may guess.

use std::time::Duration;

use aidlc_auth::store::Error;

use crate::support::world::{STRANGER, World, client, other_than};

const ADA: &str = "ada@example.org";

#[tokio::test]
async fn twenty_wrong_guesses_a_day_over_all_codes_purposes_and_clients() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    world.clock.advance(Duration::from_hours(1));
    world.register(ADA).await.is_accepted();
    for n in 0..5 {
        let guess = world.verify_registration(ADA, "000000").from(&client(n));
        guess.await.is_refused("code_refused");
    }
    for round in 1..4 {
        let code = world.ask_to_sign_in(ADA).await;
        for n in 0..5 {
            let guess = world.verify_login(ADA, &other_than(&code));
            let guess = guess.from(&client(10 * round + n)).await;
            guess.is_refused("code_refused");
        }
        world.clock.advance(Duration::from_mins(1));
    }

    // Asking goes on, and resets nothing.
    let code = world.ask_to_sign_in(ADA).await;
    let right = world.verify_login(ADA, &code).await;
    right.is(429).is_refused("too_many_guesses");
    assert_eq!(right["retry_after"], 24 * 60 * 60 - 3 * 60);
    let long = world.mail_to(ADA).await.long_code;
    world.verify_login(ADA, &long).await.is_signed_in();

    world.clock.advance(Duration::from_hours(24));
    let code = world.ask_to_sign_in(ADA).await;
    world.verify_login(ADA, &code).await.is_signed_in();
}

#[tokio::test]
async fn guesses_that_meet_nothing_spend_no_budget() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    for n in 0..25 {
        let guess = world.verify_login(ADA, "123456").from(&client(n));
        guess.await.is_refused("code_refused");
    }
    let code = world.ask_to_sign_in(ADA).await;
    world.verify_login(ADA, &code).await.is_signed_in();
}

#[tokio::test]
async fn a_client_guesses_sixty_times_in_five_minutes() {
    let world = World::new().await;
    let guess = |n: u32| world.verify_login(&format!("u{n}@example.org"), "123456");
    for n in 0..60 {
        guess(n).await.is_refused("code_refused");
    }
    guess(60).await.is(429).is_refused("too_many_requests");
    guess(60).from(STRANGER).await.is_refused("code_refused");
    world.clock.advance(Duration::from_secs(5));
    guess(60).await.is_refused("code_refused");
}

#[tokio::test]
async fn an_ipv6_client_counts_as_its_network() {
    let world = World::with(&[("CLIENT_GUESSES", "2")]).await;
    let guess = async |client: &str| {
        let guess = world.verify_login(ADA, "123456").from(client);
        guess.await["code"].as_str().unwrap().to_owned()
    };
    // Two for a /64, eight for its /56.
    for client in ["2001:db8::1", "2001:db8::2"] {
        assert_eq!(guess(client).await, "code_refused");
    }
    assert_eq!(guess("2001:db8::3").await, "too_many_requests");
    for subnet in 1..4 {
        for host in 1..3 {
            let client = format!("2001:db8:0:{subnet}::{host}");
            assert_eq!(guess(&client).await, "code_refused");
        }
    }
    assert_eq!(guess("2001:db8:0:4::1").await, "too_many_requests");
    assert_eq!(guess("2001:db8:0:100::1").await, "code_refused");
}

#[tokio::test]
async fn a_limit_that_cannot_be_read_refuses() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let code = world.ask_to_sign_in(ADA).await;
    let away = Error::Unavailable("away".into());
    world.steps.fail("challenges.admit", away);
    let verify = world.verify_login(ADA, &code).await;
    verify.is(503).is_refused("unavailable");
}
