//! Codes: who gets one, what it opens, and for how long.

use std::time::Duration;

use aidlc_auth::model::challenge::{Admits, ChallengeId, Check, Guess, Purpose};
use aidlc_auth::store::Redeemed;

use super::world::{
    MICROSECOND, MINUTE, World, ada, address, again, at, guess, later, login, long, registration,
    wrong,
};
use super::{Backend, on_every_backend};

on_every_backend!(
    a_code_that_was_never_sent_is_gone,
    a_code_of_another_purpose_is_refused,
    a_code_of_another_address_is_refused,
    a_code_is_refused_from_its_end_on,
    a_code_works_once,
    wrong_guesses_close_the_short_code_and_not_the_long_one,
    a_guess_for_another_record_is_gone_and_spends_nothing,
    a_record_under_an_unknown_key_spends_nothing,
    a_right_code_that_nobody_may_use_is_a_wrong_one,
    asking_again_sends_the_same_code_with_its_end_and_count,
    asking_near_the_end_makes_a_new_record,
    asking_after_five_wrong_guesses_makes_a_new_record,
    asking_after_use_keeps_the_record_and_changes_the_code,
    a_form_replaces_the_pending_one_and_its_code,
    ending_an_address_ends_every_purpose_and_no_other_address,
    sweeping_changes_no_answer,
);

async fn a_code_that_was_never_sent_is_gone(on: Backend) {
    let world = World::new(on).await;
    assert_eq!(world.login(&ada(), guess(1), at(0)).await, Redeemed::Gone);
    assert_eq!(world.login(&ada(), long(1), at(0)).await, Redeemed::Gone);
}

async fn a_code_of_another_purpose_is_refused(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    for purpose in Purpose::ALL {
        if purpose != Purpose::Login {
            let redeemed = world.redeem(&ada(), purpose, guess(1), at(1)).await;
            assert_eq!(redeemed, Redeemed::Gone, "{purpose:?}");
        }
    }
    world
        .accepted(&ada(), Purpose::Login, guess(1), at(1))
        .await;
}

async fn a_code_of_another_address_is_refused(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    // An alias shares the mailbox's budget, and nothing else.
    let alias = address("ada+shop@example.org");
    assert_eq!(world.login(&alias, guess(1), at(1)).await, Redeemed::Gone);
    let shouted = address("ADA@Example.ORG");
    world
        .accepted(&shouted, Purpose::Login, guess(1), at(1))
        .await;
}

async fn a_code_is_refused_from_its_end_on(on: Backend) {
    let world = World::new(on).await;
    let eve = address("eve@example.org");
    let sent = world.sent(login(&ada(), 1), at(0)).await;
    assert_eq!(sent.expires_at, at(15 * MINUTE));
    world.sent(login(&eve, 2), at(0)).await;
    let just = at(15 * MINUTE - 1);
    world.accepted(&eve, Purpose::Login, guess(2), just).await;
    for late in [at(15 * MINUTE), at(16 * MINUTE)] {
        assert_eq!(world.login(&ada(), guess(1), late).await, Redeemed::Gone);
        assert_eq!(world.login(&ada(), long(1), late).await, Redeemed::Gone);
    }
}

async fn a_code_works_once(on: Backend) {
    let world = World::new(on).await;
    let sent = world.sent(login(&ada(), 1), at(0)).await;
    let challenge = world
        .accepted(&ada(), Purpose::Login, guess(1), at(1))
        .await;
    assert_eq!(challenge.id, sent.id);
    // And answers from then on as one that never was right.
    assert_eq!(world.login(&ada(), guess(1), at(2)).await, wrong(4));
    assert_eq!(world.login(&ada(), long(1), at(2)).await, wrong(4));
    assert_eq!(world.login(&ada(), guess(9), at(2)).await, wrong(3));
}

async fn wrong_guesses_close_the_short_code_and_not_the_long_one(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    for tries_left in (0..5).rev() {
        let redeemed = world.login(&ada(), guess(9), at(1)).await;
        assert_eq!(redeemed, wrong(tries_left));
    }
    assert_eq!(world.login(&ada(), guess(1), at(2)).await, Redeemed::Gone);
    for _ in 0..30 {
        assert_eq!(world.login(&ada(), long(9), at(2)).await, wrong(0));
    }
    world.accepted(&ada(), Purpose::Login, long(1), at(3)).await;
    assert_eq!(world.login(&ada(), long(1), at(3)).await, wrong(0));
}

async fn a_guess_for_another_record_is_gone_and_spends_nothing(on: Backend) {
    let world = World::new(on).await;
    let sent = world.sent(login(&ada(), 1), at(0)).await;
    let of = |id| Guess {
        challenge: Some(id),
        ..guess(1)
    };
    for _ in 0..30 {
        let other = of(ChallengeId([7; 16]));
        assert_eq!(world.login(&ada(), other, at(1)).await, Redeemed::Gone);
    }
    assert_eq!(world.login(&ada(), guess(9), at(1)).await, wrong(4));
    world
        .accepted(&ada(), Purpose::Login, of(sent.id), at(1))
        .await;
}

async fn a_record_under_an_unknown_key_spends_nothing(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    for _ in 0..30 {
        let foreign = Guess {
            checks: vec![("k9".into(), Check([1; 32]))],
            ..guess(1)
        };
        let redeemed = world.login(&ada(), foreign, at(1)).await;
        assert_eq!(redeemed, Redeemed::KeyUnknown);
    }
    assert_eq!(world.login(&ada(), guess(9), at(1)).await, wrong(4));
}

async fn a_right_code_that_nobody_may_use_is_a_wrong_one(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    let refused = |guess| Guess {
        admits: Admits::Nobody,
        ..guess
    };
    let redeemed = world.login(&ada(), refused(guess(1)), at(1)).await;
    assert_eq!(redeemed, wrong(4));
    let redeemed = world.login(&ada(), refused(long(1)), at(1)).await;
    assert_eq!(redeemed, wrong(4));
    // It was not spent by that.
    world
        .accepted(&ada(), Purpose::Login, guess(1), at(1))
        .await;
}

async fn asking_again_sends_the_same_code_with_its_end_and_count(on: Backend) {
    let world = World::new(on).await;
    let first = world.sent(login(&ada(), 1), at(0)).await;
    assert_eq!(world.login(&ada(), guess(9), at(1)).await, wrong(4));
    let second = world.sent(login(&ada(), 2), at(12 * MINUTE)).await;
    assert_eq!(second.id, first.id);
    assert_eq!(second.expires_at, first.expires_at);
    assert_eq!(second.letter.version, first.letter.version);
    assert_eq!(second.letter.code, first.letter.code);
    let now = at(12 * MINUTE + 1);
    assert_eq!(world.login(&ada(), guess(2), now).await, wrong(3));
    world.accepted(&ada(), Purpose::Login, guess(1), now).await;
}

async fn asking_near_the_end_makes_a_new_record(on: Backend) {
    let world = World::new(on).await;
    let first = world.sent(login(&ada(), 1), at(0)).await;
    let now = later(at(12 * MINUTE), MICROSECOND);
    let second = world.sent(login(&ada(), 2), now).await;
    assert_ne!(second.id, first.id);
    assert_eq!(second.expires_at, later(now, Duration::from_secs(900)));
    assert_eq!(world.login(&ada(), guess(1), now).await, wrong(4));
    world.accepted(&ada(), Purpose::Login, guess(2), now).await;
}

async fn asking_after_five_wrong_guesses_makes_a_new_record(on: Backend) {
    let world = World::new(on).await;
    let first = world.sent(login(&ada(), 1), at(0)).await;
    for _ in 0..5 {
        world.login(&ada(), guess(9), at(1)).await;
    }
    let second = world.sent(login(&ada(), 2), at(MINUTE)).await;
    assert_ne!(second.id, first.id);
    assert_eq!(world.login(&ada(), long(1), at(MINUTE)).await, wrong(5));
    world
        .accepted(&ada(), Purpose::Login, guess(2), at(MINUTE))
        .await;
}

async fn asking_after_use_keeps_the_record_and_changes_the_code(on: Backend) {
    let world = World::new(on).await;
    let first = world.sent(login(&ada(), 1), at(0)).await;
    world
        .accepted(&ada(), Purpose::Login, guess(1), at(1))
        .await;
    let second = world.sent(login(&ada(), 2), at(MINUTE)).await;
    assert_eq!(second.id, first.id);
    assert_eq!(second.expires_at, first.expires_at);
    assert_eq!(second.letter.version, first.letter.version + 1);
    assert_eq!(world.login(&ada(), guess(1), at(MINUTE)).await, wrong(4));
    world
        .accepted(&ada(), Purpose::Login, guess(2), at(MINUTE))
        .await;
}

async fn a_form_replaces_the_pending_one_and_its_code(on: Backend) {
    let world = World::new(on).await;
    let purpose = Purpose::Registration;
    world.sent(registration(&ada(), 1), at(0)).await;
    let second = world.sent(registration(&ada(), 2), at(MINUTE)).await;
    let now = at(MINUTE + 1);
    assert_eq!(
        world.redeem(&ada(), purpose, guess(1), now).await,
        wrong(4),
        "the replaced form's code"
    );
    // A re-send keeps the form.
    let third = world.sent(again(&ada(), 3), at(2 * MINUTE)).await;
    assert_eq!(third.id, second.id);
    let now = at(2 * MINUTE + 1);
    let accepted = world.accepted(&ada(), purpose, guess(2), now).await;
    assert!(accepted.contested, "nobody can say whose form it is");
    let form = accepted.registration.unwrap();
    assert_eq!(form.password.0, "hash 2");
}

async fn ending_an_address_ends_every_purpose_and_no_other_address(on: Backend) {
    let world = World::new(on).await;
    let eve = address("eve@example.org");
    world.sent(login(&ada(), 1), at(0)).await;
    world.sent(registration(&ada(), 2), at(0)).await;
    world.sent(login(&eve, 3), at(0)).await;
    world.challenges.end(&ada()).await.unwrap();
    assert_eq!(world.login(&ada(), guess(1), at(1)).await, Redeemed::Gone);
    assert_eq!(world.login(&ada(), long(1), at(1)).await, Redeemed::Gone);
    let redeemed = world
        .redeem(&ada(), Purpose::Registration, guess(2), at(1))
        .await;
    assert_eq!(redeemed, Redeemed::Gone);
    world.accepted(&eve, Purpose::Login, guess(3), at(1)).await;
}

async fn sweeping_changes_no_answer(on: Backend) {
    let world = World::new(on).await;
    let (eve, over) = (address("eve@example.org"), at(15 * MINUTE));
    world.sent(login(&ada(), 1), at(0)).await;
    world.sent(login(&eve, 2), at(MINUTE)).await;
    assert_eq!(world.login(&ada(), guess(1), over).await, Redeemed::Gone);
    world.challenges.sweep(over).await.unwrap();
    assert_eq!(world.login(&ada(), guess(1), over).await, Redeemed::Gone);
    world.accepted(&eve, Purpose::Login, guess(2), over).await;
}
