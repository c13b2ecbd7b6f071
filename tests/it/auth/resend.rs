//! `POST /api/auth/resend`

use std::time::Duration;

use aidlc_auth::model::language::Language;
use serde_json::json;

use crate::support::inbox::Kind;
use crate::support::world::{PASSWORD, STRANGER, World};

const ADA: &str = "ada@example.org";

#[tokio::test]
async fn only_two_purposes_can_be_asked_for() {
    let world = World::new().await;
    for purpose in ["reset_password", "withdraw", "LOGIN", ""] {
        let resend = world.resend(ADA, purpose).await;
        resend.is_invalid(&[("purpose", "not_one_of")]);
    }
    let all = world.resend("ada", "login").with("purpose", 7);
    all.with("challenge_id", "x".repeat(129))
        .await
        .is_invalid(&[
            ("email", "not_an_address"),
            ("purpose", "not_text"),
            ("challenge_id", "not_a_challenge"),
        ]);
}

#[tokio::test]
async fn it_counts_as_asking() {
    let world = World::new().await;
    world.register(ADA).await.is_accepted();
    let early = world.resend(ADA, "registration").await;
    early.is(429).is_refused("too_many_requests");
    assert_eq!(early["retry_after"], 60);
    assert_eq!(world.mails().await.len(), 1);
}

#[tokio::test]
async fn a_registrations_mail_comes_again_with_its_code_and_its_end() {
    let world = World::new().await;
    let asked = world.register(ADA).await;
    let code = world.mail_to(ADA).await.code;
    world.clock.advance(Duration::from_mins(2));
    let resend = world.resend(ADA, "registration");
    let resent = resend.with("challenge_id", asked.challenge_id()).await;
    assert_eq!(resent.is_accepted()["expires_in"], 900 - 120);
    let mail = world.mail_to(ADA).await;
    assert_eq!((mail.kind, &mail.code), (Kind::RegistrationCode, &code));
    assert_eq!(world.mails().await.len(), 2);

    assert_ne!(resent.challenge_id(), asked.challenge_id());
    let verify = world.verify_registration(ADA, &code);
    let verify = verify.with("challenge_id", resent.challenge_id()).await;
    assert_eq!(verify.is_signed_in()["user"]["password_set"], true);
}

#[tokio::test]
async fn it_is_the_first_mail_again_whoever_asks_for_it() {
    let world = World::new().await;
    let register = world.register("Ada.Lovelace@example.org");
    register.with("language", "ko").await.is_accepted();
    world.clock.advance(Duration::from_mins(1));
    let resend = world.resend("ada.lovelace@EXAMPLE.org", "registration");
    resend.from(STRANGER).speaking("en").await.is_accepted();
    let mails = world.mails().await;
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[1].to, "Ada.Lovelace@example.org");
    assert_eq!(mails[1].language, Language::Ko);
}

#[tokio::test]
async fn a_registration_that_nobody_waits_for_is_accepted_and_mails_nothing() {
    let world = World::new().await;
    let resent = world.resend(ADA, "registration").await;
    resent.is_accepted();
    assert!(world.mails().await.is_empty());
    // Nor is there anything that a code could open.
    let guess = world.verify_registration(ADA, "123456");
    let guess = guess.with("challenge_id", resent.challenge_id());
    guess.await.is_wrong(4);
}

#[tokio::test]
async fn who_has_an_account_is_told_again() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    world.clock.advance(Duration::from_mins(1));
    world.resend(ADA, "registration").await.is_accepted();
    assert_eq!(world.mail_to(ADA).await.kind, Kind::AccountExists);
}

#[tokio::test]
async fn a_sign_in_is_asked_for_again_as_at_login() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let code = world.ask_to_sign_in(ADA).await;
    world.clock.advance(Duration::from_mins(1));
    world.resend(ADA, "login").await.is_accepted();
    let mail = world.mail_to(ADA).await;
    assert_eq!((mail.kind, &mail.code), (Kind::LoginCode, &code));
    let before = world.mails().await.len();
    world
        .resend("nobody@example.org", "login")
        .await
        .is_accepted();
    assert_eq!(world.mails().await.len(), before);
}

#[tokio::test]
async fn the_new_handle_is_as_good_as_the_one_it_was_asked_with() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    for (handle_sent, amr) in [(true, json!(["otp", "pwd"])), (false, json!(["otp"]))] {
        let asked = world.login(ADA).with("password", PASSWORD).await;
        world.clock.advance(Duration::from_mins(1));
        let mut resend = world.resend(ADA, "login");
        if handle_sent {
            resend = resend.with("challenge_id", asked.challenge_id());
        }
        let resent = resend.await;
        let code = world.mail_to(ADA).await.code;
        let verify = world.verify_login(ADA, &code);
        let verify = verify.with("challenge_id", resent.challenge_id());
        let token = verify.await.is_signed_in().token();
        assert_eq!(world.session(&token).await["session"]["amr"], amr);
    }
}

#[tokio::test]
async fn a_handle_of_a_code_that_is_over_vouches_for_nothing() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let asked = world.login(ADA).with("password", PASSWORD).await;
    world.clock.advance(Duration::from_mins(15));
    let resend = world.resend(ADA, "login");
    let resent = resend.with("challenge_id", asked.challenge_id()).await;
    let code = world.mail_to(ADA).await.code;
    let verify = world.verify_login(ADA, &code);
    let verify = verify.with("challenge_id", resent.challenge_id());
    let token = verify.await.is_signed_in().token();
    assert_eq!(
        world.session(&token).await["session"]["amr"],
        json!(["otp"])
    );
}
