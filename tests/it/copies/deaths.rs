//! A process dies between any two steps of a story, and another goes on with what it left.
//!
//! Each scene is played once for every moment at which a process can die: before its first step,
//! between two, and after the last, when only the answer is lost.

use std::time::Duration;

use aidlc_auth::clock::Clock as _;
use aidlc_auth::model::user::Status;
use aidlc_auth::work::{follow_up, sweep};
use serde_json::json;

use super::{ADA, Met, sessions_of, stopping_after};
use crate::support::call::Call;
use crate::support::world::{PASSWORD, World, address};

/// Longer than a claim is held and a refreshed token works.
const CLAIM_OVER: Duration = Duration::from_secs(11);
/// Longer than two mails are apart.
const NEXT_MAIL: Duration = Duration::from_secs(61);
/// Longer than a follow-up is left to whoever wrote it.
const LEFT_BEHIND: Duration = Duration::from_secs(16);

/// The process dies once so many steps of this call were taken. `false`: there were no more.
async fn dies_after(steps: usize, world: &World, call: Call) -> bool {
    match stopping_after(steps, world, call).await {
        Met::Stopped(call) => {
            call.abort();
            true
        }
        // What it answered is lost with it.
        Met::Answered(answer) => {
            assert!(answer.status < 300, "{}", answer.text);
            world.steps.stop();
            false
        }
    }
}

/// Plays a scene at every moment. It says whether there are later ones.
async fn at_every_moment(least: usize, scene: impl AsyncFn(usize) -> bool) {
    let mut steps = 0;
    while scene(steps).await {
        steps += 1;
    }
    assert!(steps >= least, "the story has {steps} steps");
}

#[tokio::test]
async fn a_sign_in_costs_one_more_code_at_most_and_makes_one_session_at_most() {
    at_every_moment(4, async |steps| {
        let dying = World::new().await;
        let first = dying.sign_up(ADA).await.token();
        dying.logout(&first).await.is(204);
        let user = dying.user(ADA).await.unwrap().id;
        let code = dying.ask_to_sign_in(ADA).await;
        let world = dying.beside(&[]).await;

        let proved = dying.steps.count_of("challenges.redeem");
        let died = dies_after(steps, &dying, dying.verify_login(ADA, &code)).await;

        let spent = dying.steps.count_of("challenges.redeem") > proved;
        let again = world.verify_login(ADA, &code).await;
        if spent {
            again.is_refused("code_refused");
        } else {
            again.is_signed_in();
        }
        let sessions = sessions_of(user, &world).await;
        assert_eq!(
            sessions.len(),
            usize::from(!spent || !died),
            "after {steps} steps"
        );

        world.clock.advance(NEXT_MAIL);
        world.sign_in(ADA).await;
        died
    })
    .await;
}

#[tokio::test]
async fn a_registration_keeps_its_form_and_becomes_one_account() {
    at_every_moment(6, async |steps| {
        let dying = World::new().await;
        let code = dying.ask_to_register(ADA).await;
        let world = dying.beside(&[]).await;

        let died = dies_after(steps, &dying, dying.verify_registration(ADA, &code)).await;

        let written = world.user(ADA).await;
        let is_written = dying.steps.count_of("users.create") > 0;
        assert_eq!(written.is_some(), is_written, "after {steps} steps");
        let is_claimed = dying.steps.count_of("challenges.redeem") > 0;
        let at_once = world.verify_registration(ADA, &code).await;
        if is_claimed {
            at_once.is_refused("code_refused");
        } else {
            at_once.is(201);
        }
        world.clock.advance(CLAIM_OVER);
        let later = world.verify_registration(ADA, &code).await;
        let is_finished = dying.steps.count_of("challenges.finish_claim") > 0;
        if is_claimed && !is_finished {
            later.is(201);
        } else {
            later.is_refused("code_refused");
        }

        // The account is there, whoever wrote it, as it was typed.
        let user = world.user(ADA).await.expect("an account");
        assert!(
            written.is_none_or(|written| written.id == user.id),
            "a second account"
        );
        assert_eq!(user.profile.full_name, "Ada Lovelace");
        let is_created = dying.steps.count_of("sessions.create") > 0;
        let sessions = sessions_of(user.id, &world).await.len();
        assert_eq!(
            sessions,
            usize::from(!is_finished || is_created),
            "after {steps} steps"
        );
        world.clock.advance(NEXT_MAIL);
        let wrong = world.post(
            "/api/auth/login",
            json!({"email": ADA, "password": "another"}),
        );
        wrong.await.is_refused("credentials_refused");
        let right = world.post(
            "/api/auth/login",
            json!({"email": ADA, "password": PASSWORD}),
        );
        right.await.is_accepted();
        died
    })
    .await;
}

#[tokio::test]
async fn a_refresh_leads_to_one_session_under_one_new_token() {
    at_every_moment(2, async |steps| {
        let dying = World::new().await;
        let signed_up = dying.sign_up(ADA).await;
        let old = signed_up.token();
        let user = dying.user(ADA).await.unwrap().id;
        let world = dying.beside(&[]).await;

        let died = dies_after(steps, &dying, dying.refresh(&old)).await;

        let new = world.refresh(&old).await.is_signed_in().token();
        assert_eq!(world.refresh(&old).await.token(), new);
        assert_eq!(
            sessions_of(user, &world).await.len(),
            1,
            "after {steps} steps"
        );
        world.clock.advance(CLAIM_OVER);
        world.session(&new).await.is(200);
        died
    })
    .await;
}

#[tokio::test]
async fn a_logout_that_was_answered_has_happened_and_another_can_be_made() {
    at_every_moment(1, async |steps| {
        let dying = World::new().await;
        let token = dying.sign_up(ADA).await.token();
        let world = dying.beside(&[]).await;

        let died = dies_after(steps, &dying, dying.logout(&token)).await;

        if !died {
            world.session(&token).await.is(401);
        }
        world.logout(&token).await.is(204);
        world.session(&token).await.is(401);
        died
    })
    .await;
}

#[tokio::test]
async fn a_request_for_a_code_that_was_stored_is_mailed() {
    for registers in [true, false] {
        at_every_moment(3, async |steps| {
            let dying = World::new().await;
            if !registers {
                dying.sign_up(ADA).await;
                dying.clock.advance(NEXT_MAIL);
            }
            let (before, opened) = (
                dying.mails_to(ADA).await.len(),
                dying.steps.count_of("challenges.open"),
            );
            let world = dying.beside(&[]).await;
            let ask = |world: &World| match registers {
                true => world.register(ADA),
                false => world.login(ADA),
            };

            let died = dies_after(steps, &dying, ask(&dying)).await;

            let is_stored = dying.steps.count_of("challenges.open") > opened;
            world.clock.advance(LEFT_BEHIND);
            world.send_what_is_due().await;
            let mails = world.inbox.all();
            let mails: Vec<_> = mails.iter().filter(|mail| mail.to == ADA).collect();
            let sent = mails.len() - before;
            assert_eq!(sent > 0, is_stored, "after {steps} steps");
            // One who went as far as to mail it may have done so before it died.
            assert!(sent <= 1 + usize::from(!died), "{sent} mails");
            died
        })
        .await;
    }
}

#[tokio::test]
async fn an_account_that_is_switched_off_has_no_session_and_no_code_whoever_finishes_it() {
    // All four of its steps, and then none is left to die before.
    for steps in 0..=4 {
        let dying = World::new().await;
        let token = dying.sign_up(ADA).await.token();
        dying.clock.advance(NEXT_MAIL);
        let code = dying.ask_to_sign_in(ADA).await;
        let world = dying.beside(&[]).await;

        dying.steps.stop_after(steps);
        tokio::select! {
            () = switch_off(&dying) => assert_eq!(steps, 4),
            () = dying.steps.stopped() => {}
        }

        if dying.steps.count_of("users.set_status") == 0 {
            world.session(&token).await.is(200);
            continue;
        }
        // Nobody gets in from here on, and whoever was in is out by the next sweep.
        world
            .verify_login(ADA, &code)
            .await
            .is_refused("code_refused");
        world.refresh(&token).await.is(401);
        world.clock.advance(LEFT_BEHIND);
        sweep::once(&world.app).await;
        world.session(&token).await.is(401);
        let left = world.stores.users.follow_ups(world.clock.now()).await;
        assert_eq!(left.unwrap(), [], "after {steps} steps");

        world.set_status(ADA, Status::Active).await;
        world
            .verify_login(ADA, &code)
            .await
            .is_refused("code_refused");
        world.session(&token).await.is(401);
    }
}

/// As an operator does, step by step in this process.
async fn switch_off(world: &World) {
    let stores = &world.app.stores;
    let (address, audit) = (address(ADA), world.operator());
    let changed = stores
        .users
        .set_status(&address, Status::Deactivated, &audit);
    let follow_up = changed.await.unwrap().unwrap();
    let performed = follow_up::perform(stores, &follow_up, world.clock.now());
    performed.await.unwrap();
}
