//! A registration's code is claimed, then finished; and a form that two asked about is contested.

use aidlc_auth::model::challenge::{Admits, CLAIM, Challenge, ChallengeId, Guess, Purpose};
use aidlc_auth::store::Redeemed;
use jiff::Timestamp;
use uuid::Uuid;

use super::world::{
    MICROSECOND, MINUTE, World, ada, address, again, at, client, form_guess, later, registration,
    wrong,
};
use super::{Backend, on_every_backend};

on_every_backend!(
    a_claimed_code_is_refused_for_ten_seconds,
    a_claim_that_ran_out_is_taken_over_with_the_right_code_only,
    a_finished_code_is_refused_for_good,
    finishing_another_record_changes_nothing,
    finishing_what_nobody_claimed_changes_nothing,
    of_two_who_held_a_claim_one_finishes_it,
    a_late_finish_does_not_spend_the_next_code,
    a_code_is_refused_once_someone_else_has_the_address,
    a_code_finds_the_account_that_its_own_form_became,
    a_code_without_a_form_is_refused,
    asking_after_the_form_became_an_account_mails_nothing,
    being_refused_contests_a_pending_form,
    asking_whether_to_wait_contests_only_when_told_to,
    a_form_that_nobody_else_asked_about_is_not_contested,
    a_form_after_one_that_is_over_is_not_contested,
    a_form_that_became_an_account_waits_for_nobody,
    a_form_whose_code_was_guessed_at_goes_on_under_another,
);

const PURPOSE: Purpose = Purpose::Registration;

async fn redeem(world: &World, guess: Guess, now: Timestamp) -> Redeemed {
    world.redeem(&ada(), PURPOSE, guess, now).await
}

async fn claim(world: &World, n: u8, now: Timestamp) -> Challenge {
    world.accepted(&ada(), PURPOSE, form_guess(n), now).await
}

async fn finish(world: &World, id: ChallengeId, now: Timestamp) -> bool {
    let finished = world
        .challenges
        .finish_claim(&ada(), id, client(1), now)
        .await;
    finished.unwrap()
}

async fn a_claimed_code_is_refused_for_ten_seconds(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    claim(&world, 1, at(1)).await;
    assert_eq!(redeem(&world, form_guess(1), at(1)).await, wrong(4));
    let just = later(at(0), CLAIM);
    assert_eq!(redeem(&world, form_guess(1), just).await, wrong(3));
}

async fn a_claim_that_ran_out_is_taken_over_with_the_right_code_only(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    claim(&world, 1, at(1)).await;
    let over = later(at(1), CLAIM);
    assert_eq!(redeem(&world, form_guess(9), over).await, wrong(4));
    claim(&world, 1, over).await;
    // It is a claim like the first one.
    assert_eq!(redeem(&world, form_guess(1), over).await, wrong(3));
    claim(&world, 1, later(over, CLAIM)).await;
}

async fn a_finished_code_is_refused_for_good(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    let challenge = claim(&world, 1, at(1)).await;
    assert!(finish(&world, challenge.id, at(2)).await);
    assert!(!finish(&world, challenge.id, at(2)).await);
    assert_eq!(redeem(&world, form_guess(1), at(2)).await, wrong(4));
    let over = later(later(at(2), CLAIM), MICROSECOND);
    assert_eq!(redeem(&world, form_guess(1), over).await, wrong(3));
}

async fn finishing_another_record_changes_nothing(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    assert!(!finish(&world, ChallengeId([9; 16]), at(1)).await);
    let first = claim(&world, 1, at(1)).await;
    // While it is claimed, a stranger's form takes its place: that one is not spent with it.
    world.sent(registration(&ada(), 2), at(MINUTE)).await;
    assert!(!finish(&world, first.id, at(MINUTE)).await);
    claim(&world, 2, at(MINUTE)).await;
}

async fn a_code_is_refused_once_someone_else_has_the_address(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    let taken = Guess {
        admits: Admits::Form {
            account: Some(Uuid::from_bytes([2; 16])),
        },
        ..form_guess(1)
    };
    assert_eq!(redeem(&world, taken, at(1)).await, wrong(4));
}

async fn a_code_finds_the_account_that_its_own_form_became(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    claim(&world, 1, at(1)).await;
    // The process died after it wrote the row.
    let own = Guess {
        admits: Admits::Form {
            account: Some(Uuid::from_bytes([1; 16])),
        },
        ..form_guess(1)
    };
    let over = later(at(1), CLAIM);
    let challenge = world.accepted(&ada(), PURPOSE, own, over).await;
    assert!(challenge.registration.is_some());
}

async fn a_code_without_a_form_is_refused(on: Backend) {
    let world = World::new(on).await;
    let sent = world.sent(again(&ada(), 1), at(0)).await;
    assert!(!sent.letter.letter.deliver, "a code that could not work");
    assert_eq!(redeem(&world, form_guess(1), at(1)).await, wrong(4));
}

async fn asking_after_the_form_became_an_account_mails_nothing(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    let challenge = claim(&world, 1, at(1)).await;
    assert!(finish(&world, challenge.id, at(1)).await);
    let sent = world.sent(again(&ada(), 2), at(MINUTE)).await;
    assert_eq!(sent.id, challenge.id);
    assert!(!sent.letter.letter.deliver);
    assert_eq!(redeem(&world, form_guess(2), at(MINUTE)).await, wrong(4));
}

async fn being_refused_contests_a_pending_form(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    world.refused(registration(&ada(), 2), at(1)).await;
    let challenge = claim(&world, 1, at(2)).await;
    assert!(challenge.contested);
    assert_eq!(challenge.registration.unwrap().password.0, "hash 1");
}

async fn asking_whether_to_wait_contests_only_when_told_to(on: Backend) {
    for contests in [false, true] {
        let world = World::new(on).await;
        world.sent(registration(&ada(), 1), at(0)).await;
        let wait = world
            .challenges
            .would_wait(&ada(), PURPOSE, contests, client(2), at(1))
            .await;
        assert!(wait.unwrap().is_some());
        assert_eq!(claim(&world, 1, at(2)).await.contested, contests);
    }
}

async fn a_form_that_nobody_else_asked_about_is_not_contested(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    world.sent(again(&ada(), 2), at(MINUTE)).await;
    world.refused(again(&ada(), 3), at(MINUTE + 1)).await;
    let wait = world
        .challenges
        .would_wait(&ada(), PURPOSE, true, client(2), at(2 * MINUTE))
        .await;
    assert_eq!(wait.unwrap(), None);
    assert!(!claim(&world, 1, at(2 * MINUTE)).await.contested);
}

async fn a_form_after_one_that_is_over_is_not_contested(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    world.sent(registration(&ada(), 2), at(15 * MINUTE)).await;
    assert!(!claim(&world, 2, at(15 * MINUTE)).await.contested);
}

async fn a_form_that_became_an_account_waits_for_nobody(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    let challenge = claim(&world, 1, at(1)).await;
    assert!(finish(&world, challenge.id, at(1)).await);
    // Near its end a code is made anew, and a form that waits would go on under it.
    let near = at(14 * MINUTE);
    let sent = world.sent(again(&ada(), 2), near).await;
    assert!(!sent.letter.letter.deliver);
    assert_eq!(redeem(&world, form_guess(2), near).await, wrong(4));

    let eve = address("eve@example.org");
    world.sent(registration(&eve, 1), at(0)).await;
    let first = world.accepted(&eve, PURPOSE, form_guess(1), at(1)).await;
    let finished = world
        .challenges
        .finish_claim(&eve, first.id, client(1), at(1));
    assert!(finished.await.unwrap());
    world.sent(registration(&eve, 2), at(MINUTE)).await;
    let second = world.accepted(&eve, PURPOSE, form_guess(2), at(MINUTE));
    assert!(!second.await.contested, "nobody else's form was there");
}

async fn a_form_whose_code_was_guessed_at_goes_on_under_another(on: Backend) {
    let world = World::new(on).await;
    let first = world.sent(registration(&ada(), 1), at(0)).await;
    for tries_left in (0..5).rev() {
        assert_eq!(
            redeem(&world, form_guess(9), at(1)).await,
            wrong(tries_left)
        );
    }
    let second = world.sent(again(&ada(), 2), at(MINUTE)).await;
    assert_eq!(second.id, first.id);
    assert_eq!(second.expires_at, at(16 * MINUTE));
    assert_eq!(second.letter.version, first.letter.version + 1);
    assert_eq!(
        redeem(&world, form_guess(1), at(MINUTE)).await,
        wrong(4),
        "the one that was guessed at"
    );
    let form = claim(&world, 2, at(MINUTE)).await.registration;
    assert_eq!(form.unwrap().password.0, "hash 1");
}

async fn finishing_what_nobody_claimed_changes_nothing(on: Backend) {
    let world = World::new(on).await;
    let sent = world.sent(registration(&ada(), 1), at(0)).await;
    assert!(!finish(&world, sent.id, at(1)).await);
    assert!(finish(&world, claim(&world, 1, at(2)).await.id, at(2)).await);
}

async fn of_two_who_held_a_claim_one_finishes_it(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    let slow = claim(&world, 1, at(1)).await;
    let quick = claim(&world, 1, later(at(1), CLAIM)).await;
    assert!(finish(&world, quick.id, at(12)).await);
    assert!(!finish(&world, slow.id, at(13)).await);
}

async fn a_late_finish_does_not_spend_the_next_code(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    let first = claim(&world, 1, at(1)).await;
    assert!(finish(&world, first.id, at(1)).await);
    let next = world.sent(again(&ada(), 2), at(MINUTE)).await;
    assert_eq!(next.id, first.id);
    assert!(!finish(&world, first.id, at(MINUTE)).await);
    let letters = world.letters(at(2 * MINUTE)).await;
    let of_next = letters
        .iter()
        .find(|due| due.version == next.letter.version);
    assert!(of_next.unwrap().code.is_some());
}
