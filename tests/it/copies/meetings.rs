//! A process stops between any two steps of a story, as one does whose machine is busy; another does
//! something that matters meanwhile; then the first goes on and knows nothing of it.

use std::time::Duration;

use aidlc_auth::model::user::Status;
use aidlc_auth::work::sweep;

use super::{ADA, Met, sessions_of, stopping_after};
use crate::support::answer::Answer;
use crate::support::call::Call;
use crate::support::world::{World, address};

/// Longer than a claim is held.
const CLAIM_OVER: Duration = Duration::from_secs(11);
/// Longer than a follow-up is left to whoever wrote it.
const LEFT_BEHIND: Duration = Duration::from_secs(16);

/// Stops a call after so many steps, has something done, and goes on. Says what the call was
/// answered, and whether it stopped at all.
async fn with_a_pause(
    steps: usize,
    world: &World,
    call: Call,
    meanwhile: impl Future<Output = ()>,
) -> (Answer, bool) {
    match stopping_after(steps, world, call).await {
        Met::Answered(answer) => {
            world.steps.go_on();
            meanwhile.await;
            (answer, false)
        }
        Met::Stopped(call) => {
            meanwhile.await;
            world.steps.go_on();
            (call.await.unwrap(), true)
        }
    }
}

/// Plays a scene at every moment. It says whether there are later ones.
async fn at_every_moment(scene: impl AsyncFn(usize) -> bool) {
    let mut steps = 0;
    while scene(steps).await {
        steps += 1;
    }
    assert!(steps >= 2, "the story has {steps} steps");
}

async fn world_with_code() -> (World, String) {
    let world = World::new().await;
    let first = world.sign_up(ADA).await.token();
    world.logout(&first).await.is(204);
    let code = world.ask_to_sign_in(ADA).await;
    (world, code)
}

#[tokio::test]
async fn of_two_who_sign_in_with_one_code_one_does() {
    at_every_moment(async |steps| {
        let (slow, code) = world_with_code().await;
        let quick = slow.beside(&[]).await;
        let mut other = None;

        let meanwhile = async { other = Some(quick.verify_login(ADA, &code).await) };
        let call = slow.verify_login(ADA, &code);
        let (answer, stopped) = with_a_pause(steps, &slow, call, meanwhile).await;

        let statuses = [answer.status, other.unwrap().status];
        let signed_in = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(signed_in, 1, "after {steps} steps: {statuses:?}");
        let user = slow.user(ADA).await.unwrap().id;
        assert_eq!(sessions_of(user, &quick).await.len(), 1);
        stopped
    })
    .await;
}

#[tokio::test]
async fn of_two_who_prove_one_address_one_is_signed_in_to_one_account() {
    // The other comes while the claim is held, or when it is over and can be taken.
    for wait in [Duration::ZERO, CLAIM_OVER] {
        at_every_moment(async |steps| {
            let slow = World::new().await;
            let code = slow.ask_to_register(ADA).await;
            let quick = slow.beside(&[]).await;
            let mut other = None;

            let meanwhile = async {
                quick.clock.advance(wait);
                other = Some(quick.verify_registration(ADA, &code).await);
            };
            let call = slow.verify_registration(ADA, &code);
            let (answer, stopped) = with_a_pause(steps, &slow, call, meanwhile).await;

            let answers = [answer, other.unwrap()];
            let opened: Vec<_> = answers.iter().filter(|it| it.status == 201).collect();
            assert_eq!(opened.len(), 1, "after {steps} steps: {answers:?}");
            let user = quick.user(ADA).await.unwrap();
            assert_eq!(opened[0]["user"]["id"], user.id.to_string());
            assert_eq!(sessions_of(user.id, &quick).await.len(), 1);
            stopped
        })
        .await;
    }
}

#[tokio::test]
async fn of_two_who_refresh_one_token_both_get_the_same_new_one() {
    at_every_moment(async |steps| {
        let slow = World::new().await;
        let old = slow.sign_up(ADA).await.token();
        let quick = slow.beside(&[]).await;
        let mut other = None;

        let meanwhile = async { other = Some(quick.refresh(&old).await.is_signed_in().token()) };
        let (answer, stopped) = with_a_pause(steps, &slow, slow.refresh(&old), meanwhile).await;

        assert_eq!(
            answer.is_signed_in().token(),
            other.unwrap(),
            "after {steps} steps"
        );
        let user = slow.user(ADA).await.unwrap().id;
        assert_eq!(sessions_of(user, &quick).await.len(), 1);
        stopped
    })
    .await;
}

#[tokio::test]
async fn a_logout_meanwhile_is_not_undone_by_a_refresh() {
    at_every_moment(async |steps| {
        let slow = World::new().await;
        let old = slow.sign_up(ADA).await.token();
        let quick = slow.beside(&[]).await;

        let meanwhile = async {
            quick.logout(&old).await.is(204);
        };
        let (answer, stopped) = with_a_pause(steps, &slow, slow.refresh(&old), meanwhile).await;

        let user = slow.user(ADA).await.unwrap().id;
        assert_eq!(sessions_of(user, &quick).await, [], "after {steps} steps");
        if stopped {
            answer.is_refused("session_required");
        }
        stopped
    })
    .await;
}

/// The stories that start or prolong a session.
#[derive(Debug, Clone, Copy)]
enum Entry {
    SigningIn,
    Registering,
    Refreshing,
}

impl Entry {
    /// A world in which all is ready for the story, and the call that tells it.
    async fn about_to_be(self) -> (World, Call) {
        if let Self::SigningIn = self {
            let (world, code) = world_with_code().await;
            let call = world.verify_login(ADA, &code);
            return (world, call);
        }
        let world = World::new().await;
        let call = match self {
            Self::Refreshing => {
                let token = world.sign_up(ADA).await.token();
                world.refresh(&token)
            }
            _ => {
                let code = world.ask_to_register(ADA).await;
                world.verify_registration(ADA, &code)
            }
        };
        (world, call)
    }
}

/// What another process does to the account at any moment, and what then must be so.
async fn nobody_stays_in(switch_off: impl AsyncFn(&World)) {
    for entry in [Entry::SigningIn, Entry::Registering, Entry::Refreshing] {
        at_every_moment(async |steps| {
            let (slow, call) = entry.about_to_be().await;
            let other = slow.beside(&[]).await;
            let mut was_there = false;

            let meanwhile = async {
                was_there = other.user(ADA).await.is_some();
                if was_there {
                    switch_off(&other).await;
                }
            };
            let (answer, stopped) = with_a_pause(steps, &slow, call, meanwhile).await;

            if was_there {
                // What a process left undone is done by the next sweep of any.
                other.clock.advance(LEFT_BEHIND);
                sweep::once(&other.app).await;
                let user = slow.user(ADA).await.unwrap().id;
                let sessions = sessions_of(user, &other).await;
                assert_eq!(sessions, [], "{entry:?} after {steps} steps");
                if answer.status < 300 {
                    let token = answer.token();
                    other.session(&token).await.is_refused("session_required");
                }
            }
            stopped
        })
        .await;
    }
}

#[tokio::test]
async fn an_account_switched_off_meanwhile_has_no_session_in_the_end() {
    nobody_stays_in(async |other| other.set_status(ADA, Status::Deactivated).await).await;
}

#[tokio::test]
async fn nor_if_who_switched_it_off_died_before_the_sessions_were_ended() {
    nobody_stays_in(async |other| {
        let (address, audit) = (address(ADA), other.operator());
        let users = &other.stores.users;
        let changed = users.set_status(&address, Status::Deactivated, &audit);
        changed.await.unwrap().unwrap();
    })
    .await;
}
