//! Refreshing a token, and the fence that revocation puts up against what was read before it.

use aidlc_auth::model::session::{PREDECESSORS_MAX, SessionId};
use aidlc_auth::model::user::UserId;
use aidlc_auth::store::{End, Found, NewSession, Refresh, Refreshed};
use jiff::Timestamp;

use super::world::{DAY, HOUR, MINUTE, World, at, digest, new_session, user_id};
use super::{Backend, on_every_backend};

on_every_backend!(
    a_token_that_was_never_given_is_not_refreshed,
    an_expired_token_is_not_refreshed,
    an_ended_token_is_not_refreshed,
    a_token_of_another_user_is_not_refreshed,
    a_refresh_keeps_the_session_and_moves_its_end,
    a_token_just_refreshed_still_works_for_ten_seconds,
    refreshing_again_within_ten_seconds_gives_the_same_successor,
    a_successor_under_an_older_key_is_found,
    a_successor_that_was_refreshed_too_goes_on_alone,
    an_old_token_shown_later_is_found_as_reused,
    refreshing_an_old_token_ends_the_session,
    an_ended_session_forgets_its_earlier_tokens,
    earlier_tokens_are_bounded,
    no_refresh_moves_the_end_beyond_thirty_days,
    a_sign_in_behind_the_fence_writes_nothing,
    a_refresh_behind_the_fence_changes_nothing,
    ending_below_a_generation_leaves_those_at_it,
    a_sign_in_raises_the_fence,
    a_refresh_raises_the_fence,
    a_refresh_carries_no_session_over_the_fence_to_come,
    a_successor_that_is_over_is_not_given_again,
    a_fence_is_one_users_own,
    a_fence_outlives_every_session_it_has_to_refuse,
);

fn user() -> UserId {
    user_id(1)
}

fn refresh_of(old: u8, successor: u8) -> Refresh {
    Refresh {
        old: digest(old),
        successors: vec![digest(successor)],
        generation: 1,
    }
}

async fn refresh(world: &World, old: u8, successor: u8, now: Timestamp) -> Refreshed {
    let refreshed = world
        .sessions
        .refresh(user(), refresh_of(old, successor), now)
        .await;
    refreshed.unwrap()
}

/// Refreshes what must go on.
async fn refreshed(world: &World, old: u8, successor: u8, now: Timestamp) {
    let refreshed = refresh(world, old, successor, now).await;
    assert!(
        matches!(refreshed, Refreshed::Done { index: 0, .. }),
        "{refreshed:?}"
    );
}

async fn find(world: &World, n: u8, now: Timestamp) -> Found {
    world.sessions.find(user(), digest(n), now).await.unwrap()
}

async fn end(world: &World, end: End) -> u64 {
    world.sessions.end(user(), end, at(0)).await.unwrap()
}

fn under(generation: i64, new: NewSession) -> NewSession {
    NewSession { generation, ..new }
}

async fn sign_in_under(world: &World, generation: i64, n: u8) -> bool {
    let new = under(generation, new_session(user(), n, at(0)));
    world.sessions.create(new, at(0)).await.unwrap()
}

async fn refresh_under(world: &World, generation: i64, old: u8, successor: u8) -> Refreshed {
    let refresh = Refresh {
        generation,
        ..refresh_of(old, successor)
    };
    let refreshed = world.sessions.refresh(user(), refresh, at(0)).await;
    refreshed.unwrap()
}

async fn a_token_that_was_never_given_is_not_refreshed(on: Backend) {
    let world = World::new(on).await;
    assert_eq!(refresh(&world, 1, 2, at(0)).await, Refreshed::Nothing);
    assert_eq!(find(&world, 2, at(0)).await, Found::Nothing);
}

async fn an_expired_token_is_not_refreshed(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    assert_eq!(refresh(&world, 1, 2, at(DAY)).await, Refreshed::Nothing);
    assert_eq!(find(&world, 2, at(DAY)).await, Found::Nothing);
}

async fn an_ended_token_is_not_refreshed(on: Backend) {
    let world = World::new(on).await;
    let session = world.sign_in(user(), 1, at(0)).await;
    end(&world, End::One(session.id)).await;
    assert_eq!(refresh(&world, 1, 2, at(1)).await, Refreshed::Nothing);
}

async fn a_token_of_another_user_is_not_refreshed(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    let refreshed = world
        .sessions
        .refresh(user_id(2), refresh_of(1, 2), at(0))
        .await;
    assert_eq!(refreshed.unwrap(), Refreshed::Nothing);
    assert!(matches!(find(&world, 1, at(0)).await, Found::Live(_)));
}

async fn a_refresh_keeps_the_session_and_moves_its_end(on: Backend) {
    let world = World::new(on).await;
    let before = world.sign_in(user(), 1, at(0)).await;
    let now = at(HOUR);
    let Refreshed::Done { session, index } = refresh(&world, 1, 2, now).await else {
        panic!("a live token is refreshed");
    };
    assert_eq!(index, 0);
    assert_eq!(session.id, before.id);
    assert_eq!(session.signed_in_at, before.signed_in_at);
    assert_eq!(session.used_at, now);
    assert_eq!(session.expires_at, at(DAY + HOUR));
    assert_eq!(find(&world, 2, now).await, Found::Live(session));
    let live = world.sessions.list(user(), now).await.unwrap();
    assert_eq!(live.len(), 1);
}

async fn a_token_just_refreshed_still_works_for_ten_seconds(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    refreshed(&world, 1, 2, at(MINUTE)).await;
    for second in [0, 5, 10] {
        let found = find(&world, 1, at(MINUTE + second)).await;
        assert!(matches!(found, Found::Live(_)), "{second}");
    }
    let found = find(&world, 1, at(MINUTE + 11)).await;
    assert!(matches!(found, Found::Reused(_)));
}

async fn refreshing_again_within_ten_seconds_gives_the_same_successor(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    let first = refresh(&world, 1, 2, at(MINUTE)).await;
    for second in [0, 5, 10] {
        let again = refresh(&world, 1, 2, at(MINUTE + second)).await;
        assert_eq!(again, first);
    }
    assert!(matches!(find(&world, 2, at(MINUTE)).await, Found::Live(_)));
}

async fn a_successor_under_an_older_key_is_found(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    refreshed(&world, 1, 2, at(0)).await;
    // This process has a newer key than the one that refreshed.
    let refresh = Refresh {
        successors: vec![digest(9), digest(2)],
        ..refresh_of(1, 9)
    };
    let refreshed = world.sessions.refresh(user(), refresh, at(1)).await;
    let refreshed = refreshed.unwrap();
    assert!(
        matches!(refreshed, Refreshed::Done { index: 1, .. }),
        "{refreshed:?}"
    );
    assert_eq!(find(&world, 9, at(1)).await, Found::Nothing);
}

async fn a_successor_that_was_refreshed_too_goes_on_alone(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 1, at(0)).await;
    refreshed(&world, 1, 2, at(0)).await;
    refreshed(&world, 2, 3, at(1)).await;
    assert_eq!(refresh(&world, 1, 2, at(2)).await, Refreshed::Nothing);
    assert!(matches!(find(&world, 3, at(2)).await, Found::Live(_)));
}

async fn an_old_token_shown_later_is_found_as_reused(on: Backend) {
    let world = World::new(on).await;
    let session = world.sign_in(user(), 1, at(0)).await;
    refreshed(&world, 1, 2, at(0)).await;
    let Found::Reused(reused) = find(&world, 1, at(11)).await else {
        panic!("someone has a copy");
    };
    assert_eq!(reused.id, session.id);
    // A touch with it is no use of the session.
    world
        .sessions
        .touch(user(), digest(1), at(12))
        .await
        .unwrap();
    let live = world.sessions.list(user(), at(12)).await.unwrap();
    assert_eq!(live[0].used_at, at(0));
}

async fn refreshing_an_old_token_ends_the_session(on: Backend) {
    let world = World::new(on).await;
    let session = world.sign_in(user(), 1, at(0)).await;
    refreshed(&world, 1, 2, at(0)).await;
    let Refreshed::Reused(reused) = refresh(&world, 1, 2, at(11)).await else {
        panic!("someone has a copy");
    };
    assert_eq!(reused.id, session.id);
    for n in [1, 2] {
        assert_eq!(find(&world, n, at(11)).await, Found::Nothing);
        assert_eq!(refresh(&world, n, 9, at(11)).await, Refreshed::Nothing);
    }
}

async fn an_ended_session_forgets_its_earlier_tokens(on: Backend) {
    let world = World::new(on).await;
    let session = world.sign_in(user(), 1, at(0)).await;
    refreshed(&world, 1, 2, at(0)).await;
    end(&world, End::One(session.id)).await;
    for now in [at(1), at(20)] {
        assert_eq!(find(&world, 1, now).await, Found::Nothing);
        assert_eq!(refresh(&world, 1, 2, now).await, Refreshed::Nothing);
    }
}

async fn earlier_tokens_are_bounded(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 0, at(0)).await;
    let last = u8::try_from(PREDECESSORS_MAX).unwrap() + 2;
    for n in 0..last {
        refreshed(&world, n, n + 1, at(i64::from(n) * MINUTE)).await;
    }
    let now = at(HOUR);
    for n in 0..=1 {
        assert_eq!(find(&world, n, now).await, Found::Nothing, "{n}");
    }
    for n in 2..last {
        let found = find(&world, n, now).await;
        assert!(matches!(found, Found::Reused(_)), "{n}");
    }
    assert!(matches!(find(&world, last, now).await, Found::Live(_)));
}

async fn no_refresh_moves_the_end_beyond_thirty_days(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 0, at(0)).await;
    for n in 0..59 {
        refreshed(&world, n, n + 1, at(i64::from(n + 1) * DAY / 2)).await;
    }
    let Found::Live(session) = find(&world, 59, at(30 * DAY - 1)).await else {
        panic!("it has a second left");
    };
    assert_eq!(session.expires_at, at(30 * DAY));
    assert_eq!(session.signed_in_at, at(0));
    let refused = refresh(&world, 59, 60, at(30 * DAY)).await;
    assert_eq!(refused, Refreshed::Nothing);
}

async fn a_sign_in_behind_the_fence_writes_nothing(on: Backend) {
    let world = World::new(on).await;
    assert!(sign_in_under(&world, 2, 1).await);
    assert_eq!(end(&world, End::Below(2)).await, 0);
    let mut stale = under(1, new_session(user(), 2, at(0)));
    stale.replaces = Some(digest(1));
    assert!(!world.sessions.create(stale, at(0)).await.unwrap());
    assert_eq!(find(&world, 2, at(0)).await, Found::Nothing);
    let found = find(&world, 1, at(0)).await;
    assert!(matches!(found, Found::Live(_)), "nothing was replaced");
}

async fn a_refresh_behind_the_fence_changes_nothing(on: Backend) {
    let world = World::new(on).await;
    assert!(sign_in_under(&world, 2, 1).await);
    assert_eq!(refresh_under(&world, 1, 1, 2).await, Refreshed::Fenced);
    assert_eq!(find(&world, 2, at(0)).await, Found::Nothing);
    assert!(matches!(find(&world, 1, at(0)).await, Found::Live(_)));
    let refreshed = refresh_under(&world, 2, 1, 2).await;
    assert!(matches!(refreshed, Refreshed::Done { .. }));
}

async fn ending_below_a_generation_leaves_those_at_it(on: Backend) {
    let world = World::new(on).await;
    assert!(sign_in_under(&world, 1, 1).await);
    assert!(sign_in_under(&world, 2, 2).await);
    assert_eq!(end(&world, End::Below(2)).await, 1);
    assert_eq!(find(&world, 1, at(0)).await, Found::Nothing);
    assert!(matches!(find(&world, 2, at(0)).await, Found::Live(_)));
    // Done again by another process's sweep, it ends nothing more.
    assert_eq!(end(&world, End::Below(2)).await, 0);
    assert!(!sign_in_under(&world, 1, 3).await);
    assert!(sign_in_under(&world, 2, 3).await);
}

async fn a_sign_in_raises_the_fence(on: Backend) {
    let world = World::new(on).await;
    assert!(sign_in_under(&world, 5, 1).await);
    assert!(!sign_in_under(&world, 4, 2).await);
    // A follow-up that comes late lowers nothing.
    end(&world, End::Below(3)).await;
    assert!(!sign_in_under(&world, 4, 2).await);
}

async fn a_fence_is_one_users_own(on: Backend) {
    let world = World::new(on).await;
    end(&world, End::Below(9)).await;
    let new = new_session(user_id(2), 2, at(0));
    assert!(world.sessions.create(new, at(0)).await.unwrap());
    let all_but = end(&world, End::AllBut(SessionId([0; 16]))).await;
    assert_eq!(all_but, 0);
}

async fn a_fence_outlives_every_session_it_has_to_refuse(on: Backend) {
    let world = World::new(on).await;
    end(&world, End::Below(2)).await;
    let then = at(30 * DAY - 1);
    world.sessions.sweep(then).await.unwrap();
    let new = new_session(user(), 1, then);
    assert!(!world.sessions.create(new, then).await.unwrap());
}

async fn a_refresh_raises_the_fence(on: Backend) {
    let world = World::new(on).await;
    assert!(sign_in_under(&world, 1, 1).await);
    refresh_under(&world, 2, 1, 2).await;
    assert!(!sign_in_under(&world, 1, 3).await);
    assert_eq!(refresh_under(&world, 1, 2, 3).await, Refreshed::Fenced);
}

/// The password was reset, and the process died before it ended the sessions. A thief who refreshes
/// now reads the new generation, and must not outlive the sweep that catches up.
async fn a_refresh_carries_no_session_over_the_fence_to_come(on: Backend) {
    let world = World::new(on).await;
    assert!(sign_in_under(&world, 1, 1).await);
    refresh_under(&world, 2, 1, 2).await;
    assert_eq!(end(&world, End::Below(2)).await, 1);
    for n in [1, 2] {
        assert_eq!(find(&world, n, at(0)).await, Found::Nothing);
    }
}

async fn a_successor_that_is_over_is_not_given_again(on: Backend) {
    let world = World::new(on).await;
    world.sign_in(user(), 0, at(0)).await;
    for n in 0..60 {
        refreshed(&world, n, n + 1, at(i64::from(n + 1) * DAY / 2 - 5)).await;
    }
    // Five seconds into the grace of the last one, the thirty days are over.
    assert_eq!(
        refresh(&world, 59, 60, at(30 * DAY)).await,
        Refreshed::Nothing
    );
}
