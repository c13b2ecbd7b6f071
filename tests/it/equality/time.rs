//! How long answers take: two samples, interleaved, compared by the Mann–Whitney U test.

use std::time::{Duration, Instant};

use aidlc_auth::clock::Clock;
use aidlc_auth::entropy;
use aidlc_auth::model::password::Password;
use aidlc_auth::model::user::{Profile, Status, User, UserId};

use crate::support::call::Call;
use crate::support::world::{World, address, client};

/// Of each kind of address. The measure of 400 equal samples each strays from ½ by 0.1 once in a
/// million times (its standard deviation is √(801 / (12 · 400²)) = 0.0204).
const SAMPLES: u32 = 400;
const STRAYS_MAX: f64 = 0.1;
/// The pause before a letter is written, and the writing.
const LETTER: Duration = Duration::from_millis(25);

/// Where nobody notices the seconds that a sample takes: no two share a budget, and no clock moves.
async fn world() -> World {
    let many = "1000000";
    World::lasting(&[("SERVICE_CODE_REQUESTS", many), ("SERVICE_GUESSES", many)]).await
}

/// The address of a sample: those with an account, and as long ones without.
fn email(number: u32, known: bool) -> String {
    let kind = if known { "a" } else { "b" };
    format!("{kind}{number:04}@example.org")
}

/// So many accounts, with one hash for all.
async fn make_accounts(world: &World, count: u32) {
    let password = Password::typed("pass123").unwrap();
    let hash = world
        .app
        .hasher
        .hash(world.app.hasher.room().unwrap(), password)
        .await
        .unwrap();
    let now = world.clock.now();
    for number in 0..count {
        let user = User {
            id: UserId(entropy::row_id(now)),
            email: address(&email(number, true)),
            profile: Profile {
                full_name: "Ada Lovelace".into(),
                language: None,
                gender: None,
                birth_year: None,
            },
            password: Some(hash.clone()),
            status: Status::Active,
            generation: 0,
            created_at: now,
            updated_at: now,
        };
        let users = &world.stores.users;
        users.create(&user, &world.operator()).await.unwrap();
    }
}

/// The times of one call, and of the one right after it.
#[derive(Default)]
struct Times {
    call: Vec<Duration>,
    next: Vec<Duration>,
}

/// Measures so many pairs of calls for known and unknown addresses, one after the other, each pair
/// in an order of its own.
async fn measure(
    world: &World,
    samples: u32,
    make: impl Fn(&World, &str) -> [Call; 2],
) -> [Times; 2] {
    let mut times = [Times::default(), Times::default()];
    for number in 0..samples {
        let known_first = number.wrapping_mul(0x9E37_79B9) >> 31 == 0;
        for known in [known_first, !known_first] {
            let calls = make(world, &email(number, known));
            let from = client(2 * number + u32::from(known));
            let [call, next] = calls.map(|call| call.from(&from));
            let times = &mut times[usize::from(known)];
            times.call.push(timed(call).await);
            times.next.push(timed(next).await);
            // No letter of this one is written while the next is measured, and the machine rests as
            // long before either: of a letter that is thrown away nothing can be heard, so both are
            // given the time that a letter takes at most.
            tokio::time::sleep(LETTER).await;
            world.inbox.tried(&world.steps.message_ids()).await;
        }
    }
    times
}

async fn timed(call: Call) -> Duration {
    let start = Instant::now();
    call.await;
    start.elapsed()
}

/// How probably one of `a` takes longer than one of `b`: U / (n·m), ½ if they are alike.
fn longer(a: &[Duration], b: &[Duration]) -> f64 {
    let mut wins = 0.0;
    for a in a {
        for b in b {
            wins += match a.cmp(b) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    wins / (a.len() * b.len()) as f64
}

async fn assert_alike(samples: u32, make: impl Fn(&World, &str) -> [Call; 2]) {
    let world = world().await;
    make_accounts(&world, samples).await;
    let [unknown, known] = measure(&world, samples, make).await;
    for (what, known, unknown) in [
        ("the call", &known.call, &unknown.call),
        ("the next", &known.next, &unknown.next),
    ] {
        let strays = longer(known, unknown) - 0.5;
        println!("{what}: {strays:+.3}");
        assert!(strays.abs() < STRAYS_MAX, "{what}: {strays:+.3}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_takes_as_long_and_so_does_the_wrong_code_after_it() {
    assert_alike(SAMPLES, |world, email| {
        [world.login(email), world.verify_login(email, "000000")]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_code_takes_as_long_and_so_does_asking_after_it() {
    assert_alike(SAMPLES, |world, email| {
        [world.verify_login(email, "000000"), world.login(email)]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registering_takes_as_long_and_so_does_asking_again() {
    assert_alike(SAMPLES, |world, email| {
        [world.register(email), world.register(email)]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_that_was_planted_is_found() {
    let world = world().await;
    let samples = 40;
    make_accounts(&world, samples).await;
    world.steps.leak();
    let [unknown, known] = measure(&world, samples, |world, email| {
        [world.login(email), world.verify_login(email, "000000")]
    })
    .await;
    for (known, unknown) in [(&known.call, &unknown.call), (&known.next, &unknown.next)] {
        assert!(longer(known, unknown) - 0.5 > 2.0 * STRAYS_MAX);
    }
}
