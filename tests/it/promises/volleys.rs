//! Many at the same instant: what must happen once happens once.

use std::collections::HashSet;
use std::future::Future;

use aidlc_auth::model::challenge::Purpose;
use aidlc_auth::model::user::{ProfileChange, Status};
use aidlc_auth::store::{Admitted, Created, Found, Opened, Redeemed, Refresh, Refreshed, Want};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::world::{
    World, ada, address, at, audit, born, client, digest, form_guess, guess, login, long,
    registration, user, user_id,
};
use super::{Backend, on_every_backend};

on_every_backend!(
    one_of_64_right_codes_is_accepted,
    one_of_64_right_long_codes_is_accepted,
    one_of_64_claims_is_made,
    five_of_60_wrong_codes_are_compared,
    one_of_64_requests_sends_a_letter,
    twenty_of_64_password_tries_are_let_through,
    thirty_of_64_requests_of_a_client_are_admitted,
    all_of_32_refreshes_get_one_successor,
    three_of_32_sign_ins_stay,
    each_letter_is_taken_by_one_of_32,
    four_spellings_from_32_tasks_are_one_account,
    the_same_account_from_32_tasks_is_written_once,
    each_of_32_changes_is_counted_and_moves_the_row_on,
);

/// Runs `count` of the same at once, and gathers what they return.
async fn volley<T, F>(count: u8, shot: impl Fn(u8) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for n in 0..count {
        tasks.spawn(shot(n));
    }
    tasks.join_all().await
}

fn count<T>(of: &[T], matching: impl Fn(&T) -> bool) -> usize {
    of.iter().filter(|one| matching(one)).count()
}

fn is_accepted(redeemed: &Redeemed) -> bool {
    matches!(redeemed, Redeemed::Accepted(_))
}

async fn one_of_64_right_codes_is_accepted(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    let redeemed = volley(64, |_| {
        let world = world.clone();
        async move { world.login(&ada(), guess(1), at(1)).await }
    })
    .await;
    assert_eq!(count(&redeemed, is_accepted), 1);
    // The others were wrong guesses like any.
    let wrong = count(&redeemed, |r| matches!(r, Redeemed::Wrong { .. }));
    assert_eq!(wrong, 5);
    assert_eq!(count(&redeemed, |r| *r == Redeemed::Gone), 58);
}

async fn one_of_64_right_long_codes_is_accepted(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    let redeemed = volley(64, |_| {
        let world = world.clone();
        async move { world.login(&ada(), long(1), at(1)).await }
    })
    .await;
    assert_eq!(count(&redeemed, is_accepted), 1);
}

async fn one_of_64_claims_is_made(on: Backend) {
    let world = World::new(on).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    let redeemed = volley(64, |_| {
        let world = world.clone();
        let purpose = Purpose::Registration;
        async move { world.redeem(&ada(), purpose, form_guess(1), at(1)).await }
    })
    .await;
    assert_eq!(count(&redeemed, is_accepted), 1);
}

async fn five_of_60_wrong_codes_are_compared(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    let redeemed = volley(60, |_| {
        let world = world.clone();
        async move { world.login(&ada(), guess(9), at(1)).await }
    })
    .await;
    for tries_left in 0..5 {
        let such = Redeemed::Wrong { tries_left };
        assert_eq!(count(&redeemed, |r| *r == such), 1, "{tries_left} left");
    }
    assert_eq!(count(&redeemed, |r| *r == Redeemed::Gone), 55);
    assert_eq!(world.login(&ada(), guess(1), at(2)).await, Redeemed::Gone);
    world.accepted(&ada(), Purpose::Login, long(1), at(2)).await;
}

async fn one_of_64_requests_sends_a_letter(on: Backend) {
    let world = World::new(on).await;
    let opened = volley(64, |n| {
        let world = world.clone();
        async move { world.open(login(&ada(), n), at(0)).await }
    })
    .await;
    assert_eq!(count(&opened, |o| matches!(o, Opened::Sent { .. })), 1);
    assert_eq!(world.letters(at(60)).await.len(), 1);
}

async fn twenty_of_64_password_tries_are_let_through(on: Backend) {
    let world = World::new(on).await;
    let waits = volley(64, |_| {
        let challenges = world.challenges.clone();
        async move {
            challenges
                .reserve_password_try(&ada(), at(0))
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(count(&waits, Option::is_none), 20);
}

async fn thirty_of_64_requests_of_a_client_are_admitted(on: Backend) {
    let world = World::new(on).await;
    let admitted = volley(64, |_| {
        let challenges = world.challenges.clone();
        async move {
            challenges
                .admit(client(1), Want::Code, at(0))
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(count(&admitted, |a| matches!(a, Admitted::Yes { .. })), 30);
    assert_eq!(
        count(&admitted, |a| *a == Admitted::Yes { known: false }),
        1
    );
}

async fn all_of_32_refreshes_get_one_successor(on: Backend) {
    let world = World::new(on).await;
    let user = user_id(1);
    world.sign_in(user, 1, at(0)).await;
    let refreshed = volley(32, |_| {
        let sessions = world.sessions.clone();
        let refresh = Refresh {
            old: digest(1),
            successors: vec![digest(2), digest(3)],
            generation: 1,
        };
        async move { sessions.refresh(user, refresh, at(60)).await.unwrap() }
    })
    .await;
    assert!(matches!(refreshed[0], Refreshed::Done { index: 0, .. }));
    assert_eq!(count(&refreshed, |r| *r == refreshed[0]), 32);
    assert_eq!(world.sessions.list(user, at(60)).await.unwrap().len(), 1);
    let found = world.sessions.find(user, digest(3), at(60)).await.unwrap();
    assert_eq!(found, Found::Nothing);
}

async fn three_of_32_sign_ins_stay(on: Backend) {
    let world = World::new(on).await;
    let user = user_id(1);
    volley(32, |n| {
        let world = world.clone();
        async move { world.sign_in(user, n, at(0)).await }
    })
    .await;
    let live = world.sessions.list(user, at(0)).await.unwrap();
    assert_eq!(live.len(), 3);
    let mut found = 0;
    for n in 0..32 {
        let one = world.sessions.find(user, digest(n), at(0)).await.unwrap();
        found += usize::from(matches!(one, Found::Live(_)));
    }
    assert_eq!(found, 3);
}

async fn each_letter_is_taken_by_one_of_32(on: Backend) {
    let world = World::new(on).await;
    for n in 0..40 {
        let to = address(&format!("user-{n}@example.org"));
        world.sent(login(&to, n), at(0)).await;
    }
    let taken = volley(32, |_| {
        let challenges = world.challenges.clone();
        async move { challenges.take_letters(3, at(20)).await.unwrap() }
    })
    .await;
    let mut ids: Vec<_> = taken.iter().flatten().map(|due| due.letter.id).collect();
    assert_eq!(ids.len(), 40);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 40, "none was taken twice");
}

async fn four_spellings_from_32_tasks_are_one_account(on: Backend) {
    let world = World::with_accounts(on).await;
    let created = volley(32, |n| {
        let users = world.users.clone();
        let spellings = [
            "ada@example.org",
            "ADA@example.org",
            "Ada@EXAMPLE.ORG",
            "aDA@ｅｘａｍｐｌｅ.org",
        ];
        let typed = spellings[usize::from(n % 4)];
        // An id of zeros is nobody's.
        let user = user(n + 1, &address(typed), at(0));
        async move { users.create(&user, &born(&user)).await.unwrap() }
    })
    .await;
    assert_eq!(count(&created, |c| *c == Created::Written), 1);
    assert_eq!(count(&created, |c| *c == Created::AddressTaken), 31);
    let winner = world.users.find(&ada()).await.unwrap().unwrap();
    for n in 1..=32 {
        let there = world.users.get(user_id(n)).await.unwrap();
        assert_eq!(there.is_some(), user_id(n) == winner.id);
    }
}

async fn the_same_account_from_32_tasks_is_written_once(on: Backend) {
    let world = World::with_accounts(on).await;
    let created = volley(32, |_| {
        let users = world.users.clone();
        async move {
            users
                .create(&user(1, &ada(), at(0)), &born(&user(1, &ada(), at(0))))
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(count(&created, |c| *c == Created::Written), 1);
    assert_eq!(count(&created, |c| *c == Created::AlreadyThere), 31);
}

async fn each_of_32_changes_is_counted_and_moves_the_row_on(on: Backend) {
    let world = World::with_accounts(on).await;
    let before = user(1, &ada(), at(0));
    world.users.create(&before, &born(&before)).await.unwrap();
    let changed = volley(32, |n| {
        let users = world.users.clone();
        let row = audit(Uuid::from_bytes([n + 1; 16]), at(1));
        async move {
            // All at the same instant, and half of them raise the generation.
            let change = ProfileChange::default();
            let changed = if n % 2 == 0 {
                users.set_status(&ada(), Status::Active, &row).await
            } else {
                users.change_profile(user_id(1), &change, &row).await
            };
            changed.unwrap().unwrap().user
        }
    })
    .await;
    let instants: HashSet<_> = changed.iter().map(|user| user.updated_at).collect();
    assert_eq!(instants.len(), 32);
    let after = world.users.get(before.id).await.unwrap().unwrap();
    assert_eq!(after.generation, before.generation + 16);
    assert_eq!(Some(&after.updated_at), instants.iter().max());
    assert_eq!(world.users.follow_ups(at(2)).await.unwrap().len(), 32);
}
