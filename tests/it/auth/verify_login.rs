//! `POST /api/auth/verify-login`: one code, its time, and who may use it.

mod budgets;
mod handles;

use std::time::Duration;

use aidlc_auth::model::user::Status;
use aidlc_auth::store::Error;

use crate::support::world::{STRANGER, World, address, other_than};

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
