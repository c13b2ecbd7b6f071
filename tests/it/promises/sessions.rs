//! Sessions: found until they end, and never after.

use aidlc_auth::model::session::{Session, SessionId};
use aidlc_auth::model::user::UserId;
use aidlc_auth::store::{End, Found, Refresh, Refreshed};
use jiff::{SignedDuration, Timestamp};

use super::world::{DAY, HOUR, MINUTE, World, at, digest, new_session, snapshot, user_id};
use super::{Backend, on_every_backend};

on_every_backend!(
    a_token_that_was_never_given_leads_nowhere,
    a_token_of_another_user_leads_nowhere,
    a_session_ends_a_day_after_its_last_use,
    a_session_ends_once,
    an_expired_session_is_not_ended,
    ending_all_others_leaves_this_one,
    ending_does_not_reach_other_users,
    a_use_moves_the_end,
    a_use_noted_late_moves_nothing_back,
    a_use_never_revives_an_ended_session,
    a_use_never_revives_an_expired_session,
    no_use_moves_the_end_beyond_thirty_days,
    the_session_nearest_its_end_makes_room,
    an_expired_session_needs_no_room,
    a_sign_in_ends_the_session_that_it_arrived_with,
    a_sign_in_ends_its_session_by_a_token_just_refreshed,
    a_sign_in_ends_no_session_of_another_user,
    sessions_are_listed_by_latest_use,
    a_changed_profile_reaches_every_session_of_its_user,
    a_changed_profile_does_not_replace_a_later_one,
    a_changed_profile_revives_nothing,
    sweeping_changes_no_answer,
);

const USER: u8 = 1;

fn user() -> UserId {
    user_id(USER)
}

async fn find(world: &World, n: u8, now: Timestamp) -> Found {
    world.sessions.find(user(), digest(n), now).await.unwrap()
}

async fn is_live(world: &World, n: u8, now: Timestamp) -> bool {
    matches!(find(world, n, now).await, Found::Live(_))
}

async fn touch(world: &World, n: u8, now: Timestamp) {
    let touched = world.sessions.touch(user(), digest(n), now).await;
    touched.unwrap();
}

async fn end(world: &World, end: End, now: Timestamp) -> u64 {
    world.sessions.end(user(), end, now).await.unwrap()
}

async fn list(world: &World, now: Timestamp) -> Vec<Session> {
    world.sessions.list(user(), now).await.unwrap()
}

fn just_before(then: Timestamp) -> Timestamp {
    then.checked_sub(SignedDuration::from_micros(1)).unwrap()
}

async fn a_token_that_was_never_given_leads_nowhere(on: Backend) {
    let world = World::new(on).await;
    assert_eq!(find(&world, 1, at(0)).await, Found::Nothing);
    world.sign_in(user(), 1, at(0)).await;
    assert_eq!(find(&world, 2, at(0)).await, Found::Nothing);
}

async fn a_token_of_another_user_leads_nowhere(on: Backend) {
    let world = World::new(on).await;
    let session = world.sign_in(user(), 1, at(0)).await;
    let eve = user_id(2);
    let found = world.sessions.find(eve, digest(1), at(0)).await.unwrap();
    assert_eq!(found, Found::Nothing);
    world
        .sessions
        .touch(eve, digest(1), at(HOUR))
        .await
        .unwrap();
    assert_eq!(find(&world, 1, at(0)).await, Found::Live(session));
}

async fn a_session_ends_a_day_after_its_last_use(on: Backend) {
    let world = World::new(on).await;
    let session = world.sign_in(user(), 1, at(0)).await;
    assert_eq!(session.expires_at, at(DAY));
    assert!(is_live(&world, 1, just_before(at(DAY))).await);
    assert_eq!(find(&world, 1, at(DAY)).await, Found::Nothing);
    assert_eq!(list(&world, at(DAY)).await, []);
}

async fn a_session_ends_once(on: Backend) {
    let world = World::new(on).await;
    let session = world.sign_in(user(), 1, at(0)).await;
    assert_eq!(end(&world, End::One(SessionId([9; 16])), at(1)).await, 0);
    assert_eq!(end(&world, End::One(session.id), at(1)).await, 1);
    assert_eq!(end(&world, End::One(session.id), at(1)).await, 0);
    assert_eq!(find(&world, 1, at(1)).await, Found::Nothing);
    assert_eq!(list(&world, at(1)).await, []);
}

async fn an_expired_session_is_not_ended(on: Backend) {
    for how in [End::One(SessionId([1; 16])), End::Below(9)] {
        let world = World::new(on).await;
        world.sign_in(user(), 1, at(0)).await;
        assert_eq!(end(&world, how, at(DAY)).await, 0, "{how:?}");
    }
}

async fn ending_all_others_leaves_this_one(on: Backend) {
    let world = World::new(on).await;
    for n in 1..=3 {
        world.sign_in(user(), n, at(n.into())).await;
    }
    let ended = end(&world, End::AllBut(SessionId([2; 16])), at(4)).await;
    assert_eq!(ended, 2);
    assert!(!is_live(&world, 1, at(4)).await);
    assert!(is_live(&world, 2, at(4)).await);
    assert!(!is_live(&world, 3, at(4)).await);
}

async fn ending_does_not_reach_other_users(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    let hers = world.sign_in(user_id(2), 2, at(0)).await;
    assert_eq!(end(&world, End::One(hers.id), at(1)).await, 0);
    assert_eq!(end(&world, End::AllBut(SessionId([1; 16])), at(1)).await, 0);
    assert_eq!(end(&world, End::Below(99), at(1)).await, 1);
    let found = world.sessions.find(user_id(2), digest(2), at(1)).await;
    assert_eq!(found.unwrap(), Found::Live(hers));
}

async fn a_use_moves_the_end(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    touch(&world, 1, at(HOUR)).await;
    let Found::Live(session) = find(&world, 1, at(DAY)).await else {
        panic!("it was used an hour after the sign-in");
    };
    assert_eq!(session.used_at, at(HOUR));
    assert_eq!(session.expires_at, at(DAY + HOUR));
    assert_eq!(session.signed_in_at, at(0));
}

async fn a_use_noted_late_moves_nothing_back(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    touch(&world, 1, at(HOUR)).await;
    touch(&world, 1, at(HOUR - 30)).await;
    assert_eq!(list(&world, at(HOUR)).await[0].used_at, at(HOUR));
    // Further back than any write is late, it is a clock that was set back: what was noted under
    // it must not keep the session alive until then.
    touch(&world, 1, at(HOUR - 61)).await;
    assert_eq!(list(&world, at(HOUR)).await[0].used_at, at(HOUR - 61));
}

async fn a_use_never_revives_an_ended_session(on: Backend) {
    let world = World::new(on).await;
    let session = world.sign_in(user(), 1, at(0)).await;
    end(&world, End::One(session.id), at(1)).await;
    touch(&world, 1, at(2)).await;
    assert_eq!(find(&world, 1, at(2)).await, Found::Nothing);
    assert_eq!(list(&world, at(2)).await, []);
}

async fn a_use_never_revives_an_expired_session(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    touch(&world, 1, at(DAY)).await;
    assert_eq!(find(&world, 1, at(DAY)).await, Found::Nothing);
    assert_eq!(find(&world, 1, at(DAY + 1)).await, Found::Nothing);
}

async fn no_use_moves_the_end_beyond_thirty_days(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    for half_days in 1..60 {
        touch(&world, 1, at(half_days * DAY / 2)).await;
    }
    assert!(is_live(&world, 1, just_before(at(30 * DAY))).await);
    assert_eq!(find(&world, 1, at(30 * DAY)).await, Found::Nothing);
}

async fn the_session_nearest_its_end_makes_room(on: Backend) {
    let world = World::new(on).await;
    for n in 1..=3 {
        world.sign_in(user(), n, at(n.into())).await;
    }
    // The first one is used, so the second is nearest its end now.
    touch(&world, 1, at(MINUTE)).await;
    world.sign_in(user(), 4, at(2 * MINUTE)).await;
    let left: Vec<_> = list(&world, at(2 * MINUTE)).await;
    let ids: Vec<_> = left.iter().map(|session| session.id.0[0]).collect();
    assert_eq!(ids, [4, 1, 3]);
    assert_eq!(find(&world, 2, at(2 * MINUTE)).await, Found::Nothing);
    touch(&world, 2, at(3 * MINUTE)).await;
    assert_eq!(find(&world, 2, at(3 * MINUTE)).await, Found::Nothing);
}

async fn an_expired_session_needs_no_room(on: Backend) {
    let world = World::new(on).await;
    for n in 1..=3 {
        world.sign_in(user(), n, at(i64::from(n) * HOUR)).await;
    }
    let now = at(DAY + HOUR);
    world.sign_in(user(), 4, now).await;
    let ids: Vec<_> = list(&world, now).await.iter().map(|s| s.id.0[0]).collect();
    assert_eq!(ids, [4, 3, 2]);
}

async fn a_sign_in_ends_the_session_that_it_arrived_with(on: Backend) {
    let world = World::new(on).await;
    for n in 1..=3 {
        world.sign_in(user(), n, at(n.into())).await;
    }
    let mut new = new_session(user(), 4, at(MINUTE));
    new.replaces = Some(digest(2));
    assert!(world.sessions.create(new, at(MINUTE)).await.unwrap());
    let ids: Vec<_> = list(&world, at(MINUTE))
        .await
        .iter()
        .map(|s| s.id.0[0])
        .collect();
    assert_eq!(ids, [4, 3, 1], "nobody else had to go");
    assert_eq!(find(&world, 2, at(MINUTE)).await, Found::Nothing);
}

async fn a_sign_in_ends_its_session_by_a_token_just_refreshed(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    let refresh = Refresh {
        old: digest(1),
        successors: vec![digest(2)],
        generation: 1,
    };
    let refreshed = world.sessions.refresh(user(), refresh, at(0)).await;
    assert!(matches!(refreshed.unwrap(), Refreshed::Done { .. }));
    let mut new = new_session(user(), 3, at(1));
    new.replaces = Some(digest(1));
    assert!(world.sessions.create(new, at(1)).await.unwrap());
    assert_eq!(find(&world, 2, at(1)).await, Found::Nothing);
}

async fn a_sign_in_ends_no_session_of_another_user(on: Backend) {
    let world = World::new(on).await;
    let hers = world.sign_in(user_id(2), 2, at(0)).await;
    let mut new = new_session(user(), 1, at(0));
    new.replaces = Some(digest(2));
    assert!(world.sessions.create(new, at(0)).await.unwrap());
    let found = world.sessions.find(user_id(2), digest(2), at(0)).await;
    assert_eq!(found.unwrap(), Found::Live(hers));
}

async fn sessions_are_listed_by_latest_use(on: Backend) {
    let world = World::new(on).await;
    for n in 1..=3 {
        world.sign_in(user(), n, at(n.into())).await;
    }
    touch(&world, 2, at(MINUTE)).await;
    let ids: Vec<_> = list(&world, at(MINUTE))
        .await
        .iter()
        .map(|s| s.id.0[0])
        .collect();
    assert_eq!(ids, [2, 3, 1]);
    assert_eq!(world.sessions.list(user_id(2), at(0)).await.unwrap(), []);
}

async fn renew(world: &World, name: &str, updated_at: Timestamp) {
    let snapshot = snapshot(user(), name, updated_at);
    world.sessions.renew(&snapshot).await.unwrap();
}

async fn a_changed_profile_reaches_every_session_of_its_user(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    world.sign_in(user(), 2, at(1)).await;
    let hers = world.sign_in(user_id(2), 3, at(0)).await;
    renew(&world, "Augusta", at(MINUTE)).await;
    for session in list(&world, at(MINUTE)).await {
        assert_eq!(session.user.full_name, "Augusta");
        assert_eq!(session.used_at, session.signed_in_at, "that was no use");
    }
    let found = world.sessions.find(user_id(2), digest(3), at(MINUTE)).await;
    assert_eq!(found.unwrap(), Found::Live(hers));
}

async fn a_changed_profile_does_not_replace_a_later_one(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    renew(&world, "Later", at(20)).await;
    renew(&world, "Earlier", at(10)).await;
    assert_eq!(list(&world, at(30)).await[0].user.full_name, "Later");
}

async fn a_changed_profile_revives_nothing(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    let second = world.sign_in(user(), 2, at(1)).await;
    end(&world, End::One(second.id), at(2)).await;
    renew(&world, "Augusta", at(3)).await;
    assert_eq!(find(&world, 2, at(3)).await, Found::Nothing);
    renew(&world, "Ada", at(DAY + 1)).await;
    assert_eq!(find(&world, 1, at(DAY + 1)).await, Found::Nothing);
}

async fn sweeping_changes_no_answer(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    world.sign_in(user(), 2, at(1)).await;
    let just = just_before(at(DAY));
    world.sessions.sweep(just).await.unwrap();
    assert!(is_live(&world, 1, just).await);
    world.sessions.sweep(at(DAY)).await.unwrap();
    assert!(!is_live(&world, 1, at(DAY)).await);
    assert!(is_live(&world, 2, at(DAY)).await);
}
