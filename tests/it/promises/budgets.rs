//! How often is too often for one address: guesses, passwords and mails, counted exactly.

use std::time::Duration;

use aidlc_auth::model::challenge::Purpose;
use aidlc_auth::store::{Open, Opened, Redeemed, Rules};
use jiff::Timestamp;

use super::world::{
    DAY, HOUR, MICROSECOND, MINUTE, World, ada, address, at, by, client, guess, later, login, long,
    rules, wrong,
};
use super::{Backend, on_every_backend};

on_every_backend!(
    twenty_wrong_guesses_a_day_close_every_purpose,
    asking_gives_no_guesses_back_and_an_operator_does,
    a_guess_that_met_no_record_is_not_counted,
    a_guess_over_the_budget_spends_no_try,
    a_right_guess_is_not_counted,
    mails_are_a_minute_apart,
    the_client_who_used_the_code_need_not_wait_once,
    using_the_code_waives_the_gap_and_not_the_hour,
    ten_mails_an_hour,
    purposes_have_their_own_hour,
    aliases_share_twenty_mails_an_hour,
    aliases_share_sixty_mails_a_day,
    a_refused_request_changes_nothing,
    asking_whether_to_wait_counts_nothing,
    twenty_password_tries_a_day,
    a_right_password_is_given_back,
    a_right_password_is_given_back_even_if_no_mail_may_be_sent,
    only_the_try_that_was_right_is_given_back,
    an_operator_gives_every_budget_back,
    a_clock_set_back_locks_no_address_out,
    what_lies_a_window_ahead_counts_and_nothing_beyond,
    without_limits_only_wrong_guesses_are_refused,
);

/// Four purposes with five wrong guesses each, at seconds 0 to 19.
async fn guess_wrong_twenty_times(world: &World) {
    let purposes = [
        Purpose::Login,
        Purpose::ResetPassword,
        Purpose::ChangePassword,
        Purpose::Withdraw,
    ];
    for (second, purpose) in (0..).step_by(5).zip(purposes) {
        world.sent(of(purpose, login(&ada(), 1)), at(second)).await;
        for (try_, tries_left) in (0..).zip((0..5).rev()) {
            let redeemed = world
                .redeem(&ada(), purpose, guess(9), at(second + try_))
                .await;
            assert_eq!(redeemed, wrong(tries_left));
        }
    }
}

fn of(purpose: Purpose, open: Open) -> Open {
    Open { purpose, ..open }
}

fn too_many(seconds: i64) -> Redeemed {
    Redeemed::TooMany {
        wait: Duration::from_secs(seconds.unsigned_abs()),
    }
}

async fn twenty_wrong_guesses_a_day_close_every_purpose(on: Backend) {
    let world = World::new(on).await;
    guess_wrong_twenty_times(&world).await;
    let purpose = Purpose::ChangeEmail;
    world.sent(of(purpose, login(&ada(), 1)), at(20)).await;
    for n in [9, 1] {
        let redeemed = world.redeem(&ada(), purpose, guess(n), at(20)).await;
        assert_eq!(redeemed, too_many(DAY - 20), "guess {n}");
    }
    world.accepted(&ada(), purpose, long(1), at(20)).await;

    // When the first of the twenty is a day old there is room for one, and no more.
    let just = later(at(DAY - 1), Duration::from_micros(999_999));
    world.sent(login(&ada(), 2), at(DAY - 1)).await;
    let redeemed = world.login(&ada(), guess(9), just).await;
    assert_eq!(redeemed, Redeemed::TooMany { wait: MICROSECOND });
    assert_eq!(world.login(&ada(), guess(9), at(DAY)).await, wrong(4));
    assert_eq!(world.login(&ada(), guess(9), at(DAY)).await, too_many(1));
}

async fn asking_gives_no_guesses_back_and_an_operator_does(on: Backend) {
    let world = World::new(on).await;
    guess_wrong_twenty_times(&world).await;
    world.challenges.end(&ada()).await.unwrap();
    world.challenges.sweep(at(HOUR)).await.unwrap();
    world.sent(login(&ada(), 1), at(HOUR)).await;
    let redeemed = world.login(&ada(), guess(1), at(HOUR)).await;
    assert_eq!(redeemed, too_many(DAY - HOUR));

    world.challenges.forgive(&ada()).await.unwrap();
    world
        .accepted(&ada(), Purpose::Login, guess(1), at(HOUR))
        .await;
}

async fn a_guess_that_met_no_record_is_not_counted(on: Backend) {
    let world = World::new(on).await;
    for _ in 0..40 {
        assert_eq!(world.login(&ada(), guess(1), at(0)).await, Redeemed::Gone);
    }
    world.sent(login(&ada(), 1), at(0)).await;
    assert_eq!(world.login(&ada(), guess(9), at(0)).await, wrong(4));
    for _ in 0..40 {
        let over = world.login(&ada(), guess(1), at(15 * MINUTE)).await;
        assert_eq!(over, Redeemed::Gone);
    }
}

async fn a_guess_over_the_budget_spends_no_try(on: Backend) {
    let world = World::new(on).await;
    guess_wrong_twenty_times(&world).await;
    world.sent(login(&ada(), 1), at(DAY - MINUTE)).await;
    for _ in 0..10 {
        let redeemed = world.login(&ada(), guess(9), at(DAY - MINUTE)).await;
        assert_eq!(redeemed, too_many(MINUTE));
    }
    assert_eq!(world.login(&ada(), guess(9), at(DAY + 60)).await, wrong(4));
}

async fn a_right_guess_is_not_counted(on: Backend) {
    let world = World::with(on, guesses(1)).await;
    for (n, minute) in (1..).zip(0..5) {
        let now = at(minute * MINUTE);
        world.sent(login(&ada(), n), now).await;
        world.accepted(&ada(), Purpose::Login, guess(n), now).await;
    }
    let now = at(5 * MINUTE);
    assert_eq!(world.login(&ada(), guess(9), now).await, wrong(4));
    assert_eq!(world.login(&ada(), guess(9), now).await, too_many(DAY));
}

fn guesses(max: u32) -> Rules {
    let mut rules = rules();
    rules.limits.guesses.max = max;
    rules
}

async fn mails_are_a_minute_apart(on: Backend) {
    let world = World::new(on).await;
    let sent = world.sent(login(&ada(), 1), at(0)).await;
    assert_eq!(sent.resend_after, Duration::from_secs(60));
    assert_eq!(world.refused(login(&ada(), 1), at(0)).await, 60.0);
    assert_eq!(world.refused(login(&ada(), 1), at(59)).await, 1.0);
    // Being refused moves nothing.
    world.sent(login(&ada(), 1), at(60)).await;
    assert_eq!(world.refused(login(&ada(), 1), at(61)).await, 59.0);
}

async fn the_client_who_used_the_code_need_not_wait_once(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    world
        .accepted(&ada(), Purpose::Login, guess(1), at(1))
        .await;
    assert_eq!(world.refused(by(2, login(&ada(), 2)), at(2)).await, 58.0);
    world.sent(login(&ada(), 2), at(2)).await;
    assert_eq!(world.refused(login(&ada(), 3), at(3)).await, 59.0);
}

async fn using_the_code_waives_the_gap_and_not_the_hour(on: Backend) {
    let world = World::new(on).await;
    for n in 1..=10 {
        world.sent(login(&ada(), n), at(n.into())).await;
        world
            .accepted(&ada(), Purpose::Login, guess(n), at(n.into()))
            .await;
    }
    let wait = world.refused(login(&ada(), 11), at(11)).await;
    assert_eq!(wait, 3590.0);
}

async fn ten_mails_an_hour(on: Backend) {
    let world = World::new(on).await;
    for minute in 0..10 {
        world.sent(login(&ada(), 1), at(minute * MINUTE)).await;
    }
    let wait = world.refused(login(&ada(), 1), at(10 * MINUTE)).await;
    assert_eq!(wait, 3000.0);
    assert_eq!(world.refused(login(&ada(), 1), at(HOUR - 1)).await, 1.0);
    let sent = world.sent(login(&ada(), 1), at(HOUR)).await;
    // The next one has to wait for the second of the ten, which is just as far as the gap.
    assert_eq!(sent.resend_after, Duration::from_secs(60));
}

async fn purposes_have_their_own_hour(on: Backend) {
    let world = World::new(on).await;
    for purpose in Purpose::ALL {
        world.sent(of(purpose, login(&ada(), 1)), at(0)).await;
    }
}

async fn send_to_aliases(world: &World, count: u8, now: Timestamp) {
    for n in 0..count {
        let alias = address(&format!("A.da+{n}@example.org"));
        world.sent(login(&alias, n), now).await;
    }
}

async fn aliases_share_twenty_mails_an_hour(on: Backend) {
    let world = World::new(on).await;
    send_to_aliases(&world, 20, at(0)).await;
    assert_eq!(world.refused(login(&ada(), 1), at(1)).await, 3599.0);
    let reset = of(Purpose::ResetPassword, login(&ada(), 1));
    assert_eq!(world.refused(reset, at(1)).await, 3599.0);
    world
        .sent(login(&address("eve@example.org"), 1), at(1))
        .await;
    world.sent(login(&ada(), 1), at(HOUR)).await;
}

async fn aliases_share_sixty_mails_a_day(on: Backend) {
    let world = World::new(on).await;
    for hour in 0..3 {
        send_to_aliases(&world, 20, at(hour * HOUR)).await;
    }
    let wait = world.refused(login(&ada(), 1), at(3 * HOUR)).await;
    assert_eq!(wait, 21.0 * 3600.0);
    send_to_aliases(&world, 20, at(DAY)).await;
    assert_eq!(world.refused(login(&ada(), 1), at(DAY)).await, 3600.0);
}

async fn a_refused_request_changes_nothing(on: Backend) {
    let world = World::new(on).await;
    let sent = world.sent(login(&ada(), 1), at(0)).await;
    assert_eq!(world.login(&ada(), guess(9), at(1)).await, wrong(4));
    for second in 1..60 {
        world.refused(login(&ada(), 2), at(second)).await;
    }
    let letters = world.letters(at(MINUTE)).await;
    assert_eq!(letters.len(), 1, "only the first one's");
    assert_eq!(letters[0].code, sent.letter.code);
    assert_eq!(world.login(&ada(), guess(2), at(59)).await, wrong(3));
    world
        .accepted(&ada(), Purpose::Login, guess(1), at(59))
        .await;
    // Nine of the ten are left.
    for minute in 1..10 {
        world.sent(login(&ada(), 1), at(minute * MINUTE)).await;
    }
    world.refused(login(&ada(), 1), at(10 * MINUTE)).await;
}

async fn asking_whether_to_wait_counts_nothing(on: Backend) {
    let world = World::new(on).await;
    let would_wait = async |last, now| {
        let asked = world
            .challenges
            .would_wait(&ada(), Purpose::Login, true, client(last), now)
            .await;
        asked.unwrap()
    };
    for _ in 0..100 {
        assert_eq!(would_wait(1, at(0)).await, None);
    }
    world.sent(login(&ada(), 1), at(0)).await;
    assert_eq!(would_wait(1, at(1)).await, Some(Duration::from_secs(59)));
    world
        .accepted(&ada(), Purpose::Login, guess(1), at(1))
        .await;
    assert_eq!(would_wait(1, at(1)).await, None);
    assert_eq!(would_wait(2, at(1)).await, Some(Duration::from_secs(59)));
    world.sent(login(&ada(), 1), at(1)).await;
}

async fn reserve(world: &World, now: Timestamp) -> Option<Duration> {
    let reserved = world.challenges.reserve_password_try(&ada(), now).await;
    reserved.unwrap()
}

async fn twenty_password_tries_a_day(on: Backend) {
    let world = World::new(on).await;
    for second in 0..20 {
        assert_eq!(reserve(&world, at(second)).await, None);
    }
    let day_less = |seconds: i64| Some(Duration::from_secs((DAY - seconds).unsigned_abs()));
    for _ in 0..5 {
        assert_eq!(reserve(&world, at(20)).await, day_less(20));
    }
    let eve = address("eve@example.org");
    let other = world.challenges.reserve_password_try(&eve, at(20)).await;
    assert_eq!(other.unwrap(), None);
    assert_eq!(reserve(&world, at(DAY)).await, None);
    assert_eq!(reserve(&world, at(DAY)).await, Some(Duration::from_secs(1)));
}

fn with_password(at: Timestamp, open: Open) -> Open {
    Open {
        right_password_at: Some(at),
        ..open
    }
}

async fn a_right_password_is_given_back(on: Backend) {
    let world = World::new(on).await;
    for minute in 0..10 {
        let now = at(minute * MINUTE);
        assert_eq!(reserve(&world, now).await, None);
        world.sent(with_password(now, login(&ada(), 1)), now).await;
    }
    for _ in 0..20 {
        assert_eq!(reserve(&world, at(HOUR)).await, None);
    }
    assert!(reserve(&world, at(HOUR)).await.is_some());
}

async fn a_right_password_is_given_back_even_if_no_mail_may_be_sent(on: Backend) {
    let world = World::new(on).await;
    world.sent(login(&ada(), 1), at(0)).await;
    for second in 1..40 {
        let now = at(second);
        assert_eq!(reserve(&world, now).await, None, "{second}");
        world
            .refused(with_password(now, login(&ada(), 1)), now)
            .await;
    }
}

async fn only_the_try_that_was_right_is_given_back(on: Backend) {
    let world = World::new(on).await;
    for _ in 0..20 {
        assert_eq!(reserve(&world, at(0)).await, None);
    }
    // Nothing was reserved at these instants.
    for (second, now) in [(7, 8), (-1, 8 - MINUTE)] {
        let stray = with_password(at(second), login(&ada(), 1));
        world.open(stray, at(now)).await;
        assert!(reserve(&world, at(8)).await.is_some());
    }
    // One of the twenty that were.
    let right = with_password(at(0), login(&ada(), 1));
    world.sent(right, at(MINUTE + 8)).await;
    assert_eq!(reserve(&world, at(MINUTE + 8)).await, None);
    assert!(reserve(&world, at(MINUTE + 8)).await.is_some());
}

async fn an_operator_gives_every_budget_back(on: Backend) {
    let world = World::new(on).await;
    for purpose in Purpose::ALL {
        world.sent(of(purpose, login(&ada(), 1)), at(0)).await;
    }
    send_to_aliases(&world, 13, at(0)).await;
    for _ in 0..20 {
        assert_eq!(reserve(&world, at(0)).await, None);
    }
    let eve = address("eve@example.org");
    world.sent(login(&eve, 1), at(0)).await;

    world.challenges.forgive(&ada()).await.unwrap();
    for purpose in Purpose::ALL {
        world.sent(of(purpose, login(&ada(), 1)), at(1)).await;
    }
    assert_eq!(reserve(&world, at(1)).await, None);
    world.refused(login(&eve, 1), at(1)).await;
}

/// A machine started with its clock at next year, and was put right.
async fn a_clock_set_back_locks_no_address_out(on: Backend) {
    let world = World::new(on).await;
    let next_year = at(365 * DAY);
    world.sent(login(&ada(), 1), next_year).await;
    for _ in 0..20 {
        assert_eq!(reserve(&world, next_year).await, None);
    }
    let sent = world.sent(login(&ada(), 2), at(0)).await;
    // No code lives longer than fifteen minutes, by any clock.
    assert_eq!(sent.expires_at, at(15 * MINUTE));
    assert_eq!(reserve(&world, at(0)).await, None);
    assert_eq!(world.refused(login(&ada(), 2), at(1)).await, 59.0);
    world
        .accepted(&ada(), Purpose::Login, guess(1), at(1))
        .await;
}

async fn what_lies_a_window_ahead_counts_and_nothing_beyond(on: Backend) {
    let world = World::new(on).await;
    for _ in 0..20 {
        assert_eq!(reserve(&world, at(DAY)).await, None);
    }
    let day = Duration::from_secs(DAY.unsigned_abs());
    assert_eq!(reserve(&world, at(0)).await, Some(day));
    let just_before = later(at(-1), Duration::from_micros(999_999));
    assert_eq!(reserve(&world, just_before).await, None);
}

async fn without_limits_only_wrong_guesses_are_refused(on: Backend) {
    let mut rules = guesses(3);
    rules.limits.enabled = false;
    let world = World::with(on, rules).await;
    for _ in 0..80 {
        assert_eq!(reserve(&world, at(0)).await, None);
        let opened = world.open(login(&ada(), 1), at(0)).await;
        let Opened::Sent { resend_after, .. } = opened else {
            panic!("{opened:?}");
        };
        assert_eq!(resend_after, Duration::ZERO);
    }
    for tries_left in [4, 3, 2] {
        let redeemed = world.login(&ada(), guess(9), at(0)).await;
        assert_eq!(redeemed, wrong(tries_left));
    }
    assert_eq!(world.login(&ada(), guess(1), at(0)).await, too_many(DAY));
}
