//! `POST /api/auth/verify-login`

use std::time::Duration;

use aidlc_auth::model::user::Status;
use aidlc_auth::store::Error;
use serde_json::json;

use crate::support::world::{PASSWORD, STRANGER, World, address, client, other_than};

const ADA: &str = "ada@example.org";

// One code

#[tokio::test]
async fn a_code_works_once() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let code = world.ask_to_sign_in(ADA).await;

    world.verify_login(ADA, &code).await.is(200).is_signed_in();
    let again = world.verify_login(ADA, &code).await;
    again.is(400).is_refused("code_refused");
}

#[tokio::test]
async fn a_code_ends_after_five_wrong_guesses() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let asked = world.login(ADA).await;
    let mail = world.mail_to(ADA).await;
    let wrong = other_than(&mail.code);

    for tries_left in [4, 3, 2, 1, 0] {
        let guess = world.verify_login(ADA, &wrong);
        let guess = guess.with("challenge_id", asked.challenge_id());
        guess.await.is(400).is_wrong(tries_left);
    }
    let right = world.verify_login(ADA, &mail.code);
    let right = right.with("challenge_id", asked.challenge_id());
    right.await.is(410).is_refused("code_gone");
    let right = world.verify_login(ADA, &mail.code);
    right.await.is(400).is_refused("code_refused");
}

#[tokio::test]
async fn wrong_guesses_never_lock_out_who_reads_the_mail() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    world.ask_to_sign_in(ADA).await;
    let mail = world.mail_to(ADA).await;
    for _ in 0..6 {
        let guess = world.verify_login(ADA, &other_than(&mail.code));
        guess.from(STRANGER).await.is_refused("code_refused");
    }

    let short = world.verify_login(ADA, &mail.code).await;
    short.is_refused("code_refused");
    let long = world.verify_login(ADA, &mail.long_code).await;
    long.is_signed_in();
    let again = world.verify_login(ADA, &mail.long_code).await;
    again.is_refused("code_refused");
}

#[tokio::test]
async fn a_wrong_long_code_costs_no_guess() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let asked = world.login(ADA).await;
    for _ in 0..7 {
        let guess = world.verify_login(ADA, &"b".repeat(28));
        let guess = guess.with("challenge_id", asked.challenge_id());
        guess.await.is_wrong(5);
    }
}

#[tokio::test]
async fn codes_are_taken_as_people_type_them() {
    let long = |code: &str| {
        let fours: Vec<_> = (0..7).map(|i| &code[4 * i..4 * i + 4]).collect();
        [
            code.to_owned(),
            code.to_uppercase(),
            fours.join(" "),
            format!("  {}-{} ", &code[..14], &code[14..]),
        ]
    };
    let world = World::new().await;
    world.sign_up(ADA).await;
    for form in 0..4 {
        world.login(ADA).await.is_accepted();
        let code = world.mail_to(ADA).await.long_code;
        world
            .verify_login(ADA, &long(&code)[form])
            .await
            .is_signed_in();
    }
    for separator in [" ", "-"] {
        let code = world.ask_to_sign_in(ADA).await;
        let typed = format!(" {}{separator}{} ", &code[..3], &code[3..]);
        world.verify_login(ADA, &typed).await.is_signed_in();
    }
}

#[tokio::test]
async fn what_has_not_the_shape_of_a_code_costs_no_guess() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let asked = world.login(ADA).await;
    let mail = world.mail_to(ADA).await;
    let malformed = [
        "",
        "12345",
        "1234567",
        "12a456",
        "１２３４５６",
        "-123456",
        "12-34-56",
        "123\t456",
        &mail.long_code[1..],
        &format!("{}b", mail.long_code),
    ];
    for code in malformed {
        let guess = world.verify_login(ADA, code).await;
        guess.is_invalid(&[("verification_code", "not_a_code")]);
    }
    let guess = world
        .verify_login(ADA, "")
        .with("verification_code", 123_456);
    guess.await.is_invalid(&[("verification_code", "not_text")]);

    let guess = world.verify_login(ADA, &other_than(&mail.code));
    let guess = guess.with("challenge_id", asked.challenge_id());
    guess.await.is_wrong(4);
}

// Its time

#[tokio::test]
async fn a_code_is_good_for_fifteen_minutes() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let early = world.ask_to_sign_in(ADA).await;
    world.clock.advance(Duration::from_secs(15 * 60 - 1));
    world.verify_login(ADA, &early).await.is_signed_in();

    world.clock.advance(Duration::from_mins(1));
    let asked = world.login(ADA).await;
    assert_eq!(asked["expires_in"], 900);
    let late = world.mail_to(ADA).await;
    world.clock.advance(Duration::from_mins(15));
    for code in [&late.code, &late.long_code] {
        let verify = world.verify_login(ADA, code);
        let verify = verify.with("challenge_id", asked.challenge_id());
        verify.await.is_refused("code_gone");
        let verify = world.verify_login(ADA, code).await;
        verify.is_refused("code_refused");
    }
}

#[tokio::test]
async fn asking_again_sends_the_same_code_with_its_end_and_its_count() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let code = world.ask_to_sign_in(ADA).await;
    let wrong = other_than(&code);
    world.verify_login(ADA, &wrong).await;
    world.verify_login(ADA, &wrong).await;

    world.clock.advance(Duration::from_mins(12));
    let again = world.login(ADA).await;
    assert_eq!(again.is_accepted()["expires_in"], 180);
    assert_eq!(world.mail_to(ADA).await.code, code);
    let guess = world.verify_login(ADA, &wrong);
    let guess = guess.with("challenge_id", again.challenge_id());
    guess.await.is_wrong(2);
    world.verify_login(ADA, &code).await.is_signed_in();
}

#[tokio::test]
async fn a_code_near_its_end_is_replaced() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let first = world.login(ADA).await;
    let code = world.mail_to(ADA).await.code;
    world.clock.advance(Duration::from_secs(12 * 60 + 1));
    let second = world.login(ADA).await;
    assert_eq!(second["expires_in"], 900);
    let newer = world.mail_to(ADA).await.code;
    assert_ne!(newer, code);

    let old = world.verify_login(ADA, &code);
    let old = old.with("challenge_id", first.challenge_id());
    old.await.is_refused("code_gone");
    let old = world.verify_login(ADA, &code).await;
    old.is_refused("code_refused");
    world.verify_login(ADA, &newer).await.is_signed_in();
}

#[tokio::test]
async fn after_use_a_new_code_lives_in_the_old_frame() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let first = world.ask_to_sign_in(ADA).await;
    world.verify_login(ADA, &other_than(&first)).await;
    world.verify_login(ADA, &first).await.is_signed_in();

    world.clock.advance(Duration::from_mins(5));
    let asked = world.login(ADA).await;
    assert_eq!(asked.is_accepted()["expires_in"], 600);
    let second = world.mail_to(ADA).await.code;
    assert_ne!(second, first);
    let guess = world.verify_login(ADA, &first);
    let guess = guess.with("challenge_id", asked.challenge_id());
    guess.await.is_wrong(3);
    world.verify_login(ADA, &second).await.is_signed_in();
}

#[tokio::test]
async fn guesses_spent_means_that_asking_makes_a_new_code() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let first = world.ask_to_sign_in(ADA).await;
    for _ in 0..5 {
        world.verify_login(ADA, &other_than(&first)).await;
    }
    world.clock.advance(Duration::from_mins(1));
    let second = world.ask_to_sign_in(ADA).await;
    assert_ne!(second, first);
    world.verify_login(ADA, &second).await.is_signed_in();
}

// The handle

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

// Budgets and limits

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

// Who may

#[tokio::test]
async fn a_right_code_of_another_purpose_or_address_is_refused() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let registration = world.ask_to_register("bob@example.org").await;
    let adas = world.ask_to_sign_in(ADA).await;
    let verify = world.verify_login("bob@example.org", &registration).await;
    verify.is_refused("code_refused");
    world.login("bob@example.org").await.is_accepted();
    let verify = world.verify_login("bob@example.org", &adas).await;
    verify.is_refused("code_refused");
}

#[tokio::test]
async fn deactivation_ends_the_code_that_is_under_way() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let asked = world.login(ADA).await;
    let code = world.mail_to(ADA).await.code;
    world.set_status(ADA, Status::Deactivated).await;
    let verify = world.verify_login(ADA, &code);
    let verify = verify.with("challenge_id", asked.challenge_id());
    verify.await.is_refused("code_gone");
}

#[tokio::test]
async fn a_right_code_is_a_wrong_one_when_the_account_may_not_sign_in() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let asked = world.login(ADA).await;
    let mail = world.mail_to(ADA).await;
    // The row only: whoever wrote it died before anything followed.
    let (ada, operator) = (address(ADA), world.operator());
    let users = &world.stores.users;
    let written = users.set_status(&ada, Status::Deactivated, &operator);
    written.await.unwrap().unwrap();

    for (code, tries_left) in [(&mail.code, 4), (&mail.long_code, 4)] {
        let verify = world.verify_login(ADA, code);
        let verify = verify.with("challenge_id", asked.challenge_id());
        verify.await.is_wrong(tries_left);
    }
}

#[tokio::test]
async fn an_account_that_moved_on_gets_no_session_from_an_earlier_reading() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let code = world.ask_to_sign_in(ADA).await;
    // The store of sessions has heard of the change; this node has read the row before it.
    let user = world.user(ADA).await.unwrap();
    let end = aidlc_auth::store::End::Below(user.generation + 1);
    let now = aidlc_auth::clock::Clock::now(&world.clock);
    world.stores.sessions.end(user.id, end, now).await.unwrap();

    let verify = world.verify_login(ADA, &code).await;
    verify.is(400).is_refused("code_refused");
}

// What goes wrong on our side

#[tokio::test]
async fn a_database_that_is_away_costs_nobody_a_code() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let code = world.ask_to_sign_in(ADA).await;
    let away = Error::Unavailable("away".into());
    world.steps.fail("users.find", away);
    let verify = world.verify_login(ADA, &code).await;
    verify.is(503).is_refused("unavailable");
    world.steps.mend();
    world.verify_login(ADA, &code).await.is_signed_in();
}

#[tokio::test]
async fn a_death_after_the_code_costs_one_more_code_and_no_more() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    let code = world.ask_to_sign_in(ADA).await;
    let away = Error::Unavailable("away".into());
    world.steps.fail("sessions.create", away);
    world
        .verify_login(ADA, &code)
        .await
        .is_refused("unavailable");
    world.steps.mend();
    let again = world.verify_login(ADA, &code).await;
    again.is_refused("code_refused");
    world.sign_in(ADA).await;
}
