//! `POST /api/auth/verify-registration`, and whose password works when two forms meet in one mailbox.

use std::time::Duration;

use aidlc_auth::clock::Clock;
use aidlc_auth::entropy;
use aidlc_auth::model::user::{Profile, Status, User, UserId};
use aidlc_auth::store::Error;

use crate::support::answer::Answer;
use crate::support::world::{PASSWORD, STRANGER, World, address, client, other_than};

const ADA: &str = "ada@example.org";
const EVIL: &str = "evil password";

#[tokio::test]
async fn a_code_opens_one_account() {
    let world = World::new().await;
    let code = world.ask_to_register(ADA).await;
    let verified = world.verify_registration(ADA, &code).await;
    verified.is(201).is_signed_in();
    assert_eq!(verified["user"]["password_set"], true);
    let again = world.verify_registration(ADA, &code).await;
    again.is(400).is_refused("code_refused");

    let session = world.session(&verified.token()).await;
    assert_eq!(session.is(200)["user"]["email"], ADA);
    assert_eq!(session["session"]["amr"], serde_json::json!(["otp"]));
    assert!(works(&world, PASSWORD).await);
    assert!(!works(&world, EVIL).await);
}

#[tokio::test]
async fn wrong_guesses_are_counted() {
    let world = World::new().await;
    let asked = world.register(ADA).await;
    let mail = world.mail_to(ADA).await;
    for tries_left in [4, 3, 2, 1, 0] {
        let guess = world.verify_registration(ADA, &other_than(&mail.code));
        let guess = guess.with("challenge_id", asked.challenge_id());
        guess.await.is(400).is_wrong(tries_left);
    }
    let right = world.verify_registration(ADA, &mail.code);
    let right = right.with("challenge_id", asked.challenge_id());
    right.await.is(410).is_refused("code_gone");
    let long = world.verify_registration(ADA, &mail.long_code);
    let long = long.with("challenge_id", asked.challenge_id());
    long.await.is_signed_in();
}

#[tokio::test]
async fn a_code_is_good_for_fifteen_minutes() {
    let world = World::new().await;
    let asked = world.register(ADA).await;
    let code = world.mail_to(ADA).await.code;
    world.clock.advance(Duration::from_mins(15));
    let late = world.verify_registration(ADA, &code);
    let late = late.with("challenge_id", asked.challenge_id());
    late.await.is(410).is_refused("code_gone");
    assert!(world.user(ADA).await.is_none());
}

#[tokio::test]
async fn a_code_to_sign_in_opens_no_account() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    world.clock.advance(Duration::from_mins(1));
    world.register(ADA).await.is_accepted();
    let code = world.ask_to_sign_in(ADA).await;
    let verify = world.verify_registration(ADA, &code).await;
    verify.is_refused("code_refused");
}

#[tokio::test]
async fn an_address_that_got_an_account_meanwhile_is_as_a_wrong_code() {
    let world = World::new().await;
    let asked = world.register(ADA).await;
    let code = world.mail_to(ADA).await.code;
    let now = world.clock.now();
    let other = User {
        id: UserId(entropy::row_id(now)),
        email: address(ADA),
        profile: Profile {
            full_name: "Somebody Faster".into(),
            language: None,
            gender: None,
            birth_year: None,
        },
        password: None,
        status: Status::Active,
        generation: 0,
        created_at: now,
        updated_at: now,
    };
    let users = &world.stores.users;
    users.create(&other, &world.operator()).await.unwrap();
    let verify = world.verify_registration(ADA, &code);
    let verify = verify.with("challenge_id", asked.challenge_id());
    verify.await.is(400).is_wrong(4);
    assert_eq!(world.user(ADA).await, Some(other));
}

#[tokio::test]
async fn a_database_that_is_away_keeps_the_form() {
    let world = World::new().await;
    let code = world.ask_to_register(ADA).await;
    for step in ["users.find", "users.create", "challenges.finish_claim"] {
        let away = Error::Unavailable("away".into());
        world.steps.fail(step, away);
        let verify = world.verify_registration(ADA, &code).await;
        verify.is(503).is_refused("unavailable");
        world.steps.mend();
        // Whoever held the code has ten seconds for it.
        world.clock.advance(Duration::from_secs(10));
    }
    // The row was written before the last failure: it is found again, not written twice.
    let id = world.user(ADA).await.unwrap().id;
    let verified = world.verify_registration(ADA, &code).await;
    assert_eq!(verified.is(201)["user"]["id"], id.to_string());
}

#[tokio::test]
async fn a_code_that_another_process_holds_is_refused_for_ten_seconds() {
    let world = World::new().await;
    let code = world.ask_to_register(ADA).await;
    let away = Error::Unavailable("away".into());
    world.steps.fail("users.create", away);
    world.verify_registration(ADA, &code).await.is(503);
    world.steps.mend();
    let early = world.verify_registration(ADA, &code).await;
    early.is_refused("code_refused");
    world.clock.advance(Duration::from_secs(10));
    world.verify_registration(ADA, &code).await.is_signed_in();
}

// Two forms in one mailbox: the owner's, and a stranger's with a password that must not get in

#[tokio::test]
async fn the_strangers_first_and_the_owner_sends_the_handle() {
    let world = World::new().await;
    register_evil(&world).await.is_accepted();
    world.clock.advance(Duration::from_mins(1));
    let own = world.register(ADA).await;
    let code = world.mail_to(ADA).await.code;
    let verify = world.verify_registration(ADA, &code);
    let verify = verify.with("challenge_id", own.challenge_id()).await;
    assert_opened(&world, &verify, Some(PASSWORD)).await;
}

#[tokio::test]
async fn the_strangers_first_and_the_owner_sends_no_handle() {
    let world = World::new().await;
    register_evil(&world).await.is_accepted();
    world.clock.advance(Duration::from_mins(1));
    let code = world.ask_to_register(ADA).await;
    let verify = world.verify_registration(ADA, &code).await;
    assert_opened(&world, &verify, None).await;
}

#[tokio::test]
async fn the_owners_refused_because_the_strangers_is_pending() {
    let world = World::new().await;
    register_evil(&world).await.is_accepted();
    let code = world.mail_to(ADA).await.code;
    world.register(ADA).await.is_refused("too_many_requests");
    let verify = world.verify_registration(ADA, &code).await;
    assert_opened(&world, &verify, None).await;
}

#[tokio::test]
async fn the_owners_first_and_the_strangers_replaces_it() {
    let world = World::new().await;
    let own = world.register(ADA).await;
    let first = world.mail_to(ADA).await.code;
    world.clock.advance(Duration::from_mins(1));
    register_evil(&world).await.is_accepted();
    let second = world.mail_to(ADA).await.code;

    for code in [&first, &second] {
        let verify = world.verify_registration(ADA, code);
        let verify = verify.with("challenge_id", own.challenge_id());
        verify.await.is_refused("code_gone");
    }
    let verify = world.verify_registration(ADA, &first).await;
    verify.is_refused("code_refused");
    let verify = world.verify_registration(ADA, &second).await;
    assert_opened(&world, &verify, None).await;
}

#[tokio::test]
async fn the_owners_first_and_the_strangers_refused() {
    let with_handle = World::new().await;
    let own = with_handle.register(ADA).await;
    let code = with_handle.mail_to(ADA).await.code;
    register_evil(&with_handle)
        .await
        .is_refused("too_many_requests");
    let verify = with_handle.verify_registration(ADA, &code);
    let verify = verify.with("challenge_id", own.challenge_id()).await;
    assert_opened(&with_handle, &verify, Some(PASSWORD)).await;

    let without = World::new().await;
    let code = without.ask_to_register(ADA).await;
    register_evil(&without)
        .await
        .is_refused("too_many_requests");
    let verify = without.verify_registration(ADA, &code).await;
    assert_opened(&without, &verify, None).await;
}

#[tokio::test]
async fn a_form_that_ran_out_contests_nothing() {
    let world = World::new().await;
    register_evil(&world).await.is_accepted();
    world.clock.advance(Duration::from_mins(15));
    let code = world.ask_to_register(ADA).await;
    let verify = world.verify_registration(ADA, &code).await;
    assert_opened(&world, &verify, Some(PASSWORD)).await;
}

#[tokio::test]
async fn the_owner_refused_by_the_clients_limit_contests_too() {
    let world = World::with(&[("CLIENT_CODE_REQUESTS", "1")]).await;
    register_evil(&world).await.is_accepted();
    let code = world.mail_to(ADA).await.code;
    world.login("someone@example.org").await.is_accepted();
    world.register(ADA).await.is_refused("too_many_requests");
    let verify = world.verify_registration(ADA, &code).await;
    assert_opened(&world, &verify, None).await;
}

#[tokio::test]
async fn a_resend_brings_no_strangers_form_under_the_earlier_pages_handle() {
    let world = World::new().await;
    let own = world.register(ADA).await;
    world.clock.advance(Duration::from_mins(1));
    register_evil(&world).await.is_accepted();
    world.clock.advance(Duration::from_mins(1));
    let resend = world.resend(ADA, "registration");
    let resent = resend.with("challenge_id", own.challenge_id()).await;
    resent.is_accepted();
    let code = world.mail_to(ADA).await.code;
    let verify = world.verify_registration(ADA, &code);
    let verify = verify.with("challenge_id", resent.challenge_id());
    verify.await.is_refused("code_gone");
    assert!(world.user(ADA).await.is_none());
}

#[tokio::test]
async fn a_resend_without_a_handle_vouches_for_no_form() {
    let world = World::new().await;
    world.register(ADA).await.is_accepted();
    register_evil(&world).await.is_refused("too_many_requests");
    world.clock.advance(Duration::from_mins(1));
    let resent = world.resend(ADA, "registration").await;
    let code = world.mail_to(ADA).await.code;
    let verify = world.verify_registration(ADA, &code);
    let verify = verify.with("challenge_id", resent.challenge_id()).await;
    assert_opened(&world, &verify, None).await;
}

async fn register_evil(world: &World) -> Answer {
    let register = world.register(ADA).from(STRANGER);
    register.with("password", EVIL).await
}

/// The account is there, and this password gets in, and no other.
async fn assert_opened(world: &World, verified: &Answer, password: Option<&str>) {
    verified.is(201).is_signed_in();
    assert_eq!(verified["user"]["password_set"], password.is_some());
    for any in [PASSWORD, EVIL] {
        assert_eq!(works(world, any).await, password == Some(any), "{any}");
    }
}

async fn works(world: &World, password: &str) -> bool {
    // From elsewhere each time: it is no client's limit that this is about.
    let elsewhere = client(password.len() as u32);
    let login = world.login(ADA).from(&elsewhere);
    let login = login.with("password", password).await;
    match login.status {
        202 => true,
        429 => {
            // Right, but asked for a moment ago.
            login.is_refused("too_many_requests");
            true
        }
        _ => {
            login.is(401).is_refused("credentials_refused");
            false
        }
    }
}
