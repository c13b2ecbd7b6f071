//! `POST /api/auth/login`

use std::time::Duration;

use aidlc_auth::mail::NotSent;
use aidlc_auth::model::language::Language;
use aidlc_auth::model::user::Status;

use crate::backend::Backend;
use crate::support::inbox::Kind;
use crate::support::world::{PASSWORD, STRANGER, World, client};

const ADA: &str = "ada@example.org";

// Who gets which mail

#[tokio::test]
async fn nobody_without_an_account_that_may_sign_in_gets_a_mail() {
    let world = World::new().await;
    world.sign_up("off@example.org").await;
    world
        .set_status("off@example.org", Status::Deactivated)
        .await;
    world.ask_to_register("pending@example.org").await;
    let before = world.mails().await.len();

    for email in [
        "nobody@example.org",
        "off@example.org",
        "pending@example.org",
    ] {
        world.login(email).await.is_accepted();
    }
    assert_eq!(world.mails().await.len(), before);
}

#[tokio::test]
async fn the_mail_speaks_the_accounts_language_before_the_callers() {
    let world = World::new().await;
    let code = {
        let register = world.register(ADA).with("language", "ko");
        register.await.is_accepted();
        world.mail_to(ADA).await.code
    };
    world.verify_registration(ADA, &code).await.is_signed_in();
    world.login(ADA).speaking("en").await.is_accepted();
    assert_eq!(world.mail_to(ADA).await.language, Language::Ko);

    world.sign_up("bob@example.org").await;
    let login = world.login("bob@example.org").speaking("ko-KR,ko;q=0.9");
    login.await.is_accepted();
    assert_eq!(
        world.mail_to("bob@example.org").await.language,
        Language::Ko
    );
}

#[tokio::test]
async fn the_mail_goes_to_the_stored_spelling_and_the_answer_has_the_typed_one() {
    let world = World::new().await;
    let code = world.ask_to_register("Ada.Lovelace@example.org").await;
    let verified = world.verify_registration("ada.lovelace@example.org", &code);
    verified.await.is_signed_in();

    let asked = world.login(" ADA.lovelace@EXAMPLE.org ").await;
    assert_eq!(asked.is_accepted()["email"], "ada.lovelace@example.org");
    let mail = world.mail_to("Ada.Lovelace@example.org").await;
    assert_eq!(mail.kind, Kind::LoginCode);
}

// How often

#[tokio::test]
async fn two_mails_are_a_minute_apart_and_a_refusal_changes_nothing() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let asked = world.login(ADA).await;
    assert_eq!(asked["resend_after"], 60);
    let code = world.mail_to(ADA).await.code;
    let before = world.mails().await.len();

    for (waited, retry_after) in [(0, 60), (59, 1)] {
        world.clock.advance(Duration::from_secs(waited));
        let early = world.login(ADA).await;
        early.is(429).is_refused("too_many_requests");
        assert_eq!(early["retry_after"], retry_after);
    }
    assert_eq!(world.mails().await.len(), before);
    let verify = world.verify_login(ADA, &code);
    let verify = verify.with("challenge_id", asked.challenge_id());
    verify.await.is_signed_in();
}

#[tokio::test]
async fn a_minute_later_it_is_sent_again() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let code = world.ask_to_sign_in(ADA).await;
    world.clock.advance(Duration::from_mins(1));
    assert_eq!(world.ask_to_sign_in(ADA).await, code);
}

#[tokio::test]
async fn only_the_client_that_used_the_code_need_not_wait() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    world.sign_in(ADA).await;
    let elsewhere = world.login(ADA).from(STRANGER).await;
    elsewhere.is(429).is_refused("too_many_requests");
    world.login(ADA).await.is_accepted();
    // That code has not been used.
    world.login(ADA).await.is_refused("too_many_requests");
}

#[tokio::test]
async fn ten_mails_an_hour_for_one_purpose() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    for n in 0..10 {
        world.login(ADA).from(&client(n)).await.is_accepted();
        world.clock.advance(Duration::from_mins(1));
    }
    let eleventh = world.login(ADA).from(STRANGER).await;
    eleventh.is(429).is_refused("too_many_requests");
    assert_eq!(eleventh["retry_after"], 50 * 60);
    world.clock.advance(Duration::from_mins(50));
    world.login(ADA).await.is_accepted();
}

#[tokio::test]
async fn a_mailbox_has_one_budget_for_all_its_spellings_and_purposes() {
    let world = World::new().await;
    for n in 0..10 {
        let login = world.login(&format!("a.da+{n}@example.org"));
        login.from(&client(n)).await.is_accepted();
        let register = world.register(&format!("ada+r{n}@example.org"));
        register.from(&client(n)).await.is_accepted();
    }
    let next = world.login("a.d.a@example.org").await;
    next.is(429).is_refused("too_many_requests");
    assert_eq!(next["retry_after"], 60 * 60);
    let next = world.register("ada+more@example.org").await;
    next.is(429).is_refused("too_many_requests");
    world.login("bob@example.org").await.is_accepted();
}

#[tokio::test]
async fn a_mailbox_gets_sixty_mails_a_day() {
    let world = World::new().await;
    for n in 0..60 {
        let login = world.login(&format!("ada+{n}@example.org"));
        login.await.is_accepted();
        world.clock.advance(Duration::from_mins(5));
    }
    let next = world.login(ADA).await;
    next.is(429).is_refused("too_many_requests");
    assert_eq!(next["retry_after"], (24 - 5) * 60 * 60);
}

#[tokio::test]
async fn a_client_asks_thirty_times_in_five_minutes() {
    let world = World::new().await;
    let login = |n: u32| world.login(&format!("u{n}@example.org"));
    for n in 0..30 {
        login(n).await.is_accepted();
    }
    let next = login(30).await;
    next.is(429).is_refused("too_many_requests");
    assert_eq!(next["retry_after"], 10);
    login(31).from(STRANGER).await.is_accepted();
    world.clock.advance(Duration::from_secs(10));
    login(32).await.is_accepted();
}

#[tokio::test]
async fn at_the_services_ceiling_newcomers_and_registrations_are_refused_first() {
    // Servers keep the ceiling in parts, and one mailbox's requests all count in one of them.
    let ceiling = 5 * Backend::chosen().map_or(1, Backend::parts);
    let world = World::with(&[("SERVICE_CODE_REQUESTS", &ceiling.to_string())]).await;
    let login = |n: u32| world.login(&format!("ada+{n}@example.org"));
    for n in 0..4 {
        login(n).from(&client(n)).await.is_accepted();
    }
    let newcomer = login(4).from(STRANGER).await;
    newcomer.is(429).is_refused("too_many_requests");
    let register = world.register(ADA).from(&client(0)).await;
    register.is(429).is_refused("too_many_requests");
    login(5).from(&client(0)).await.is_accepted();
    login(6)
        .from(&client(0))
        .await
        .is_refused("too_many_requests");
}

#[tokio::test]
async fn with_limits_off_nobody_waits() {
    let world = World::with(&[("LIMITS_ENABLED", "false")]).await;
    for _ in 0..40 {
        let asked = world.login(ADA).await;
        assert_eq!(asked.is_accepted()["resend_after"], 0);
    }
}

// With a password

#[tokio::test]
async fn a_password_has_to_be_right() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let before = world.mails().await.len();
    let wrong = world.login(ADA).with("password", "not this one").await;
    wrong.is(401).is_refused("credentials_refused");
    assert_eq!(wrong.header("www-authenticate"), "Bearer");
    let nobody = world.login("nobody@example.org");
    let nobody = nobody.with("password", PASSWORD).await;
    nobody.is(401).is_refused("credentials_refused");
    assert_eq!(world.mails().await.len(), before);

    let right = world.login(ADA).with("password", PASSWORD).await;
    right.is_accepted();
    assert_eq!(world.mail_to(ADA).await.kind, Kind::LoginCode);
}

#[tokio::test]
async fn twenty_wrong_passwords_a_day_whatever_client() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    for n in 0..20 {
        let login = world.login(ADA).with("password", format!("wrong {n}"));
        let login = login.from(&client(n)).await;
        login.is_refused("credentials_refused");
    }
    let right = world.login(ADA).with("password", PASSWORD).await;
    right.is(429).is_refused("too_many_guesses");
    assert_eq!(right["retry_after"], 24 * 60 * 60);
    // The code alone still does.
    world.sign_in(ADA).await;
    world.clock.advance(Duration::from_hours(24));
    let right = world.login(ADA).with("password", PASSWORD).await;
    right.is_accepted();
}

#[tokio::test]
async fn right_passwords_are_given_back() {
    let world = World::with(&[("PASSWORD_TRIES_PER_DAY", "2")]).await;
    world.sign_up(ADA).await;
    for n in 0..4 {
        let right = world.login(ADA).with("password", PASSWORD).await;
        assert_eq!(right.status, if n == 0 { 202 } else { 429 });
        assert_ne!(right["code"], "too_many_guesses");
    }
    let wrong = world.login(ADA).with("password", "wrong").await;
    wrong.is_refused("credentials_refused");
}

#[tokio::test]
async fn a_password_is_the_same_however_a_keyboard_composes_it() {
    let world = World::new().await;
    let register = world.register(ADA).with("password", "caf\u{e9} 가나");
    register.await.is_accepted();
    let code = world.mail_to(ADA).await.code;
    world.verify_registration(ADA, &code).await.is_signed_in();
    let apart = "cafe\u{301} \u{1100}\u{1161}\u{1102}\u{1161}";
    world.login(ADA).with("password", apart).await.is_accepted();
}

// The mail that would not leave

#[tokio::test]
async fn a_mail_that_failed_is_sent_again_under_the_same_name() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let why = NotSent::Temporary("the server is away".into());
    world.inbox.refuse(Some(why));
    world.login(ADA).await.is_accepted();
    assert_eq!(world.mails_to(ADA).await.len(), 1);
    assert_eq!(world.steps.count_of("challenges.letter_failed"), 1);

    world.inbox.refuse(None);
    world.clock.advance(Duration::from_secs(5));
    world.send_what_is_due().await;
    let code = world.mail_to(ADA).await.code;
    let attempts = world.inbox.attempts();
    assert_eq!(attempts[1], attempts[2]);
    world.verify_login(ADA, &code).await.is_signed_in();
}

#[tokio::test]
async fn a_mail_that_waited_too_long_is_not_sent() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let why = NotSent::Temporary("the server is away".into());
    world.inbox.refuse(Some(why));
    world.login(ADA).await.is_accepted();
    let before = world.mails_to(ADA).await.len();
    world.inbox.refuse(None);
    world.clock.advance(Duration::from_mins(15));
    world.send_what_is_due().await;
    assert_eq!(world.mails_to(ADA).await.len(), before);
}
