//! Letters: owed exactly when the challenge was made, sent by whoever holds the lease.

use std::time::Duration;

use aidlc_auth::model::challenge::{ChallengeId, Purpose};
use aidlc_auth::model::outbox::LEASE;
use jiff::Timestamp;

use super::world::{
    MICROSECOND, MINUTE, World, ada, address, again, at, form_guess, guess, later, login,
    registration,
};
use super::{Backend, on_every_backend};

on_every_backend!(
    a_refused_request_owes_no_letter,
    a_letter_is_leased_to_the_one_who_wrote_it,
    an_entry_says_what_its_request_said,
    a_lease_that_ran_out_is_taken_over_by_one,
    a_letter_that_is_done_never_comes_back,
    a_letter_that_failed_comes_back_when_it_is_due,
    letters_are_struck_out_together,
    a_forms_code_goes_to_its_own_spelling_whoever_asks_again,
    letters_come_oldest_first_and_no_more_than_asked_for,
    a_letter_for_an_ended_challenge_has_no_code,
    a_letter_for_an_expired_code_has_no_code,
    a_letter_for_a_used_code_has_no_code,
    a_letter_for_a_claimed_code_has_no_code_until_the_claim_runs_out,
    a_letter_for_a_replaced_code_has_no_code,
    a_letter_for_an_earlier_version_has_no_code,
    letters_of_one_code_all_carry_it,
    a_letter_that_is_not_to_be_delivered_is_kept_like_the_others,
);

async fn a_refused_request_owes_no_letter(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    world.refused(login(&ada(), 1), at(1)).await;
    world.refused(registration_twice(&world).await, at(1)).await;
    assert_eq!(world.letters(at(MINUTE)).await.len(), 2);
}

async fn registration_twice(world: &World) -> aidlc_auth::store::Open {
    world.sent(registration(&ada(), 1), at(0)).await;
    registration(&ada(), 2)
}

async fn a_letter_is_leased_to_the_one_who_wrote_it(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    assert_eq!(world.letters(at(0)).await, []);
    assert_eq!(world.letters(at(14)).await, []);
    assert_eq!(world.letters(later(at(0), LEASE)).await.len(), 1);
}

async fn an_entry_says_what_its_request_said(on: Backend) {
    let world = World::new(on).await;
    let typed = address("Ada@Example.org");
    let sent = world.sent(login(&typed, 1), at(0)).await;
    let entry = &sent.letter;
    assert_eq!(entry.letter.to, "Ada@example.org");
    assert_eq!(entry.address, "ada@example.org");
    assert_eq!(entry.purpose, Purpose::Login);
    assert_eq!(entry.challenge, sent.id);
    assert_eq!(entry.attempts, 0);
    let code = entry.code.as_ref().unwrap();
    assert_eq!(code.expires_at, sent.expires_at);
    assert_eq!(code.secret, login(&typed, 1).ask.secret);
    // Whoever takes it over reads the same.
    assert_eq!(world.letters(at(MINUTE)).await, [sent.letter]);
}

async fn a_lease_that_ran_out_is_taken_over_by_one(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    assert_eq!(world.letters(at(20)).await.len(), 1);
    assert_eq!(world.letters(at(20)).await, []);
    assert_eq!(world.letters(at(34)).await, []);
    assert_eq!(world.letters(at(35)).await.len(), 1);
}

async fn a_letter_that_is_done_never_comes_back(on: Backend) {
    let world = World::new(on).await;
    let sent = world.sent(login(&ada(), 1), at(0)).await;
    world
        .challenges
        .letters_done(std::slice::from_ref(&sent.letter))
        .await
        .unwrap();
    assert_eq!(world.letters(at(MINUTE)).await, []);
    // Nor by a failure that was reported late, nor is it an error to strike it out twice.
    let failed = world
        .challenges
        .letter_failed(&sent.letter, at(MINUTE))
        .await;
    failed.unwrap();
    world
        .challenges
        .letters_done(std::slice::from_ref(&sent.letter))
        .await
        .unwrap();
    assert_eq!(world.letters(at(2 * MINUTE)).await, []);
}

async fn a_letter_that_failed_comes_back_when_it_is_due(on: Backend) {
    let world = World::new(on).await;
    let sent = world.sent(login(&ada(), 1), at(0)).await;
    let due = at(MINUTE);
    let failed = world.challenges.letter_failed(&sent.letter, due).await;
    failed.unwrap();
    assert_eq!(world.letters(at(59)).await, []);
    let letters = world.letters(due).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].attempts, 1);
    let failed = world.challenges.letter_failed(&letters[0], at(61)).await;
    failed.unwrap();
    assert_eq!(world.letters(at(61)).await[0].attempts, 2);
}

async fn letters_are_struck_out_together(on: Backend) {
    let world = World::new(on).await;
    let mut sent = Vec::new();
    for n in 1..=3 {
        let to = address(&format!("user-{n}@example.org"));
        sent.push(world.sent(login(&to, n), at(0)).await.letter);
    }
    world.challenges.letters_done(&[]).await.unwrap();
    world.challenges.letters_done(&sent[..2]).await.unwrap();
    assert_eq!(world.letters(at(MINUTE)).await, sent[2..]);
}

async fn a_forms_code_goes_to_its_own_spelling_whoever_asks_again(on: Backend) {
    let world = World::new(on).await;
    let typed = address("Ada@example.org");
    world.sent(registration(&typed, 1), at(0)).await;
    let sent = world.sent(again(&ada(), 2), at(MINUTE)).await;
    assert_eq!(sent.letter.letter.to, "Ada@example.org");
    for due in world.letters(at(2 * MINUTE)).await {
        assert_eq!(due.letter.to, "Ada@example.org");
    }
}

async fn letters_come_oldest_first_and_no_more_than_asked_for(on: Backend) {
    let world = World::new(on).await;
    for n in [3, 1, 2] {
        let to = address(&format!("user-{n}@example.org"));
        world.sent(login(&to, n), at(n.into())).await;
    }
    let now = at(MINUTE);
    let taken = world.challenges.take_letters(2, now).await.unwrap();
    let whose: Vec<_> = taken.iter().map(|letter| letter.challenge).collect();
    assert_eq!(whose, [ChallengeId([1; 16]), ChallengeId([2; 16])]);
    let rest = world.challenges.take_letters(2, now).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].challenge, ChallengeId([3; 16]));
    assert_eq!(
        world
            .challenges
            .take_letters(0, at(2 * MINUTE))
            .await
            .unwrap(),
        []
    );
}

/// Whether each letter that is due then still has a code.
async fn codes(world: &World, now: Timestamp) -> Vec<bool> {
    let mut letters = world.letters(now).await;
    letters.sort_by_key(|letter| letter.challenge.0);
    letters.iter().map(|letter| letter.code.is_some()).collect()
}

async fn a_letter_for_an_ended_challenge_has_no_code(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    world.challenges.end(&ada()).await.unwrap();
    assert_eq!(codes(&world, at(20)).await, [false]);
}

async fn a_letter_for_an_expired_code_has_no_code(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    let just = at(15 * MINUTE - 1);
    assert_eq!(codes(&world, just).await, [true]);
    assert_eq!(codes(&world, at(16 * MINUTE)).await, [false]);
    world.challenges.sweep(at(16 * MINUTE)).await.unwrap();
    assert_eq!(codes(&world, at(17 * MINUTE)).await, [false]);
}

async fn a_letter_for_a_used_code_has_no_code(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    world
        .accepted(&ada(), Purpose::Login, guess(1), at(1))
        .await;
    assert_eq!(codes(&world, at(20)).await, [false]);
}

async fn a_letter_for_a_claimed_code_has_no_code_until_the_claim_runs_out(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    world
        .accepted(&ada(), Purpose::Registration, form_guess(1), at(10))
        .await;
    assert_eq!(codes(&world, at(16)).await, [false]);
    // Whoever claimed it died: its code works again, so it may be mailed again.
    assert_eq!(codes(&world, at(32)).await, [true]);
}

async fn a_letter_for_a_replaced_code_has_no_code(on: Backend) {
    let world = World::new(on).await;
    let first = world.sent(registration(&ada(), 1), at(0)).await;
    let failed = world
        .challenges
        .letter_failed(&first.letter, at(MINUTE))
        .await;
    failed.unwrap();
    world.sent(registration(&ada(), 2), at(MINUTE)).await;
    assert_eq!(codes(&world, at(2 * MINUTE)).await, [false, true]);
}

async fn a_letter_for_an_earlier_version_has_no_code(on: Backend) {
    let world = World::new(on).await;
    let first = world.sent(login(&ada(), 1), at(0)).await;
    world
        .accepted(&ada(), Purpose::Login, guess(1), at(1))
        .await;
    let second = world.sent(login(&ada(), 2), at(2)).await;
    assert_eq!(second.id, first.id);
    let letters = world.letters(at(20)).await;
    let of = |version| {
        let mut found = letters.iter().filter(|letter| letter.version == version);
        found.next().unwrap().code.clone()
    };
    assert_eq!(of(first.letter.version), None);
    assert_eq!(of(second.letter.version), second.letter.code);
}

async fn letters_of_one_code_all_carry_it(on: Backend) {
    let world = World::new(on).await;
    let first = world.sent(login(&ada(), 1), at(0)).await;
    let second = world.sent(login(&ada(), 2), at(MINUTE)).await;
    let letters = world.letters(later(at(2 * MINUTE), MICROSECOND)).await;
    assert_eq!(letters.len(), 2);
    for letter in &letters {
        assert_eq!(letter.code, first.letter.code);
    }
    assert_ne!(first.letter.letter.id, second.letter.letter.id);
}

async fn a_letter_that_is_not_to_be_delivered_is_kept_like_the_others(on: Backend) {
    let world = World::new(on).await;
    let mut open = login(&ada(), 1);
    open.letter.deliver = false;
    let sent = world.sent(open, at(0)).await;
    assert!(!sent.letter.letter.deliver);
    assert!(sent.letter.code.is_some(), "it costs the same work");
    assert_eq!(sent.resend_after, Duration::from_secs(60));
    let letters = world.letters(at(20)).await;
    assert_eq!(letters, [sent.letter]);
}
