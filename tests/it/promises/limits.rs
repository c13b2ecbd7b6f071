//! How often is too often for one client, and for the service as a whole.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use aidlc_auth::model::challenge::Purpose;
use aidlc_auth::model::limit::Rate;
use aidlc_auth::store::{Admitted, Open, Redeemed, Rules, Want};
use jiff::Timestamp;

use super::world::{
    MINUTE, World, ada, address, at, client, form_guess, guess, later, login, long, registration,
    rules,
};
use super::{Backend, on_every_backend};

on_every_backend!(
    a_client_asks_thirty_times_in_five_minutes,
    a_client_guesses_sixty_times_in_five_minutes,
    being_refused_does_not_prolong_the_wait,
    asking_and_guessing_are_counted_apart,
    neighbours_on_ipv4_are_counted_apart,
    a_client_is_known_for_one_period,
    an_ipv6_customer_is_counted_by_the_64,
    a_56_holds_four_times_as_much,
    a_48_holds_sixteen_times_as_much,
    a_refusal_by_the_wider_network_counts_in_none,
    newcomers_yield_a_fifth_of_the_service_to_others,
    the_service_refuses_mails_over_its_ceiling,
    being_refused_by_the_ceiling_contests_a_pending_form,
    the_service_refuses_short_guesses_over_its_ceiling,
    without_limits_every_client_is_admitted_as_known,
);

async fn admit(world: &World, client: IpAddr, want: Want, now: Timestamp) -> Admitted {
    world.challenges.admit(client, want, now).await.unwrap()
}

/// Asks until refused: how often that went well, and how long to wait then.
async fn exhaust(world: &World, client: IpAddr, want: Want, now: Timestamp) -> (u32, Duration) {
    for count in 0..1000 {
        if let Admitted::No { wait } = admit(world, client, want, now).await {
            return (count, wait);
        }
    }
    panic!("a thousand requests were admitted");
}

fn v6(bits: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | bits))
}

/// In 2001:db8::/32: the customer's /48, the /56 in it, the /64 in that, and a host.
fn host(site: u128, wing: u128, subnet: u128, host: u128) -> IpAddr {
    v6(site << 80 | wing << 72 | subnet << 64 | host)
}

async fn a_client_asks_thirty_times_in_five_minutes(on: Backend) {
    let world = World::new(on).await;
    let (count, wait) = exhaust(&world, client(1), Want::Code, at(0)).await;
    assert_eq!((count, wait), (30, Duration::from_secs(10)));
    let (count, _) = exhaust(&world, client(1), Want::Code, at(10)).await;
    assert_eq!(count, 1);
    let (count, _) = exhaust(&world, client(1), Want::Code, at(10 + 5 * MINUTE)).await;
    assert_eq!(count, 30);
}

async fn a_client_guesses_sixty_times_in_five_minutes(on: Backend) {
    let world = World::new(on).await;
    let (count, wait) = exhaust(&world, client(1), Want::Guess, at(0)).await;
    assert_eq!((count, wait), (60, Duration::from_secs(5)));
}

async fn being_refused_does_not_prolong_the_wait(on: Backend) {
    let world = World::new(on).await;
    exhaust(&world, client(1), Want::Code, at(0)).await;
    for second in 0..10 {
        let wait = Duration::from_secs(10 - second);
        let now = later(at(0), Duration::from_secs(second));
        let admitted = admit(&world, client(1), Want::Code, now).await;
        assert_eq!(admitted, Admitted::No { wait });
    }
    let admitted = admit(&world, client(1), Want::Code, at(10)).await;
    assert_eq!(admitted, Admitted::Yes { known: true });
}

async fn asking_and_guessing_are_counted_apart(on: Backend) {
    let world = World::new(on).await;
    exhaust(&world, client(1), Want::Code, at(0)).await;
    let (count, _) = exhaust(&world, client(1), Want::Guess, at(0)).await;
    assert_eq!(count, 60);
}

async fn neighbours_on_ipv4_are_counted_apart(on: Backend) {
    let world = World::new(on).await;
    exhaust(&world, client(1), Want::Code, at(0)).await;
    let admitted = admit(&world, client(2), Want::Code, at(0)).await;
    assert_eq!(admitted, Admitted::Yes { known: false });
}

async fn a_client_is_known_for_one_period(on: Backend) {
    let world = World::new(on).await;
    let known = async |now| admit(&world, client(1), Want::Code, now).await;
    assert_eq!(known(at(0)).await, Admitted::Yes { known: false });
    assert_eq!(known(at(1)).await, Admitted::Yes { known: true });
    // The second request is paid for at second 20, and a period later nothing is left of it.
    let later = at(20 + 5 * MINUTE);
    world.challenges.sweep(at(19 + 5 * MINUTE)).await.unwrap();
    assert_eq!(known(later).await, Admitted::Yes { known: false });
}

async fn an_ipv6_customer_is_counted_by_the_64(on: Backend) {
    let world = World::new(on).await;
    for n in 0..30 {
        let admitted = admit(&world, host(1, 1, 1, n), Want::Code, at(0)).await;
        assert_eq!(admitted, Admitted::Yes { known: n > 0 });
    }
    let (count, _) = exhaust(&world, host(1, 1, 1, 99), Want::Code, at(0)).await;
    assert_eq!(count, 0);
    let admitted = admit(&world, host(1, 1, 2, 1), Want::Code, at(0)).await;
    assert_eq!(admitted, Admitted::Yes { known: false });
}

async fn a_56_holds_four_times_as_much(on: Backend) {
    let world = World::new(on).await;
    let mut total = 0;
    for subnet in 0..6 {
        total += exhaust(&world, host(1, 1, subnet, 1), Want::Code, at(0))
            .await
            .0;
    }
    assert_eq!(total, 4 * 30);
    let (count, _) = exhaust(&world, host(1, 2, 1, 1), Want::Code, at(0)).await;
    assert_eq!(count, 30);
}

async fn a_48_holds_sixteen_times_as_much(on: Backend) {
    let world = World::new(on).await;
    let mut total = 0;
    for wing in 0..6 {
        for subnet in 0..4 {
            total += exhaust(&world, host(1, wing, subnet, 1), Want::Code, at(0))
                .await
                .0;
        }
    }
    assert_eq!(total, 16 * 30);
    let (count, _) = exhaust(&world, host(2, 1, 1, 1), Want::Code, at(0)).await;
    assert_eq!(count, 30);
}

async fn a_refusal_by_the_wider_network_counts_in_none(on: Backend) {
    let world = World::new(on).await;
    for subnet in 0..4 {
        exhaust(&world, host(1, 1, subnet, 1), Want::Code, at(0)).await;
    }
    let newcomer = host(1, 1, 9, 1);
    for _ in 0..50 {
        let admitted = admit(&world, newcomer, Want::Code, at(0)).await;
        assert!(matches!(admitted, Admitted::No { .. }));
    }
    // The /56 has room for one in 2.5 s; the /64 was never counted, or it would be known.
    let admitted = admit(&world, newcomer, Want::Code, at(3)).await;
    assert_eq!(admitted, Admitted::Yes { known: false });
}

/// Ten requests, ten guesses, and one more each per ten seconds, for the part of the service that one
/// mailbox belongs to.
fn small_service(on: Backend) -> Rules {
    let mut rules = rules();
    let ten = 10 * on.parts();
    rules.limits.service_requests = Rate::new(ten, Duration::from_secs(100));
    rules.limits.service_guesses = Rate::new(ten, Duration::from_secs(100));
    rules
}

/// One of many, all counted in the same part.
fn someone(n: u8) -> Open {
    login(&address(&format!("ada+{n}@example.org")), n)
}

fn newcomer(n: u8) -> Open {
    Open {
        yields: true,
        ..someone(n)
    }
}

async fn newcomers_yield_a_fifth_of_the_service_to_others(on: Backend) {
    let world = World::with(on, small_service(on)).await;
    for n in 0..8 {
        world.sent(newcomer(n), at(0)).await;
    }
    assert_eq!(world.refused(newcomer(8), at(0)).await, 10.0);
    world.sent(someone(8), at(0)).await;
    world.sent(someone(9), at(0)).await;
    assert_eq!(world.refused(newcomer(10), at(0)).await, 30.0);
    assert_eq!(world.refused(someone(10), at(0)).await, 10.0);
    world.sent(someone(10), at(10)).await;
}

async fn the_service_refuses_mails_over_its_ceiling(on: Backend) {
    let world = World::with(on, small_service(on)).await;
    for n in 0..10 {
        world.sent(someone(n), at(0)).await;
    }
    for _ in 0..5 {
        assert_eq!(world.refused(someone(10), at(0)).await, 10.0);
    }
    let letters = world.letters(at(15)).await;
    assert_eq!(letters.len(), 10);
    let redeemed = world.login(&someone(10).address, guess(10), at(0)).await;
    assert_eq!(redeemed, Redeemed::Gone);
}

async fn being_refused_by_the_ceiling_contests_a_pending_form(on: Backend) {
    let world = World::with(on, small_service(on)).await;
    world.sent(registration(&ada(), 1), at(0)).await;
    for n in 0..9 {
        world.sent(someone(n), at(0)).await;
    }
    world.refused(registration(&ada(), 2), at(1)).await;
    let challenge = world
        .accepted(&ada(), Purpose::Registration, form_guess(1), at(2))
        .await;
    assert!(challenge.contested);
}

async fn the_service_refuses_short_guesses_over_its_ceiling(on: Backend) {
    let world = World::with(on, small_service(on)).await;
    world.sent(login(&ada(), 1), at(0)).await;
    let eve = someone(0).address;
    for _ in 0..10 {
        assert_eq!(world.login(&eve, guess(9), at(0)).await, Redeemed::Gone);
    }
    let wait = Duration::from_secs(10);
    for _ in 0..5 {
        let redeemed = world.login(&ada(), guess(1), at(0)).await;
        assert_eq!(redeemed, Redeemed::Full { wait });
    }
    world.accepted(&ada(), Purpose::Login, long(1), at(0)).await;
}

async fn without_limits_every_client_is_admitted_as_known(on: Backend) {
    let mut rules = small_service(on);
    rules.limits.enabled = false;
    let world = World::with(on, rules).await;
    for _ in 0..100 {
        let admitted = admit(&world, client(1), Want::Code, at(0)).await;
        assert_eq!(admitted, Admitted::Yes { known: true });
    }
    for n in 0..30 {
        world.sent(newcomer(n), at(0)).await;
        let redeemed = world.login(&newcomer(n).address, guess(n), at(0)).await;
        assert!(matches!(redeemed, Redeemed::Accepted(_)));
    }
}
