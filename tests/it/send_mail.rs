//! The worker behind the outbox: late, busy, or with a store that fails it.

use std::time::Duration;

use aidlc_auth::model::outbox::LEASE;
use aidlc_auth::store::Error;

use crate::support::world::World;

/// As many as are on their way at once.
const AT_ONCE: usize = 8;

/// Addresses whose mails fill the desk.
fn slow() -> Vec<String> {
    (1..=AT_ONCE)
        .map(|n| format!("slow-{n}@example.org"))
        .collect()
}

/// A world in which every place on the desk is taken by a mail that hangs.
async fn with_a_full_desk() -> World {
    let world = World::new().await;
    world.inbox.hold_up(&slow());
    for email in slow() {
        world.register(&email).await.is_accepted();
    }
    world.inbox.begun(AT_ONCE).await;
    world
}

#[tokio::test]
async fn a_letter_that_waited_too_long_is_not_sent_from_memory() {
    let world = with_a_full_desk().await;
    world.register("late@example.org").await.is_accepted();
    world.clock.advance(Duration::from_secs(3));
    world.register("fresh@example.org").await.is_accepted();
    world.inbox.hold_up(&[]);
    // It stood behind the late one.
    world.inbox.reached("fresh@example.org").await;
    let to = |email| {
        let mails = world.inbox.all().into_iter();
        mails.filter(|mail| mail.to == email).count()
    };
    assert_eq!(to("late@example.org"), 0);

    // It is still owed: once its lease is over, it is taken over.
    world.clock.advance(LEASE);
    world.inbox.reached("late@example.org").await;
    assert_eq!(to("late@example.org"), 1);
    assert_eq!(to("fresh@example.org"), 1);
}

#[tokio::test]
async fn what_is_done_is_struck_out_while_more_letters_wait() {
    let world = with_a_full_desk().await;
    for email in ["next@example.org", "last@example.org"] {
        world.register(email).await.is_accepted();
    }
    let held_up = [&slow()[1..], &["next@example.org".into()]].concat();
    world.inbox.hold_up(&held_up);
    world.steps.taken("challenges.letters_done", 1).await;
    // None of the others gave way for it.
    assert_eq!(world.steps.count_of("challenges.letter_failed"), 0);
    assert_eq!(world.inbox.attempts().len(), 1);
}

#[tokio::test]
async fn a_letter_that_cannot_be_struck_out_is_not_sent_twice() {
    let world = World::new().await;
    let away = Error::Unavailable("away".into());
    world.steps.fail("challenges.letters_done", away);
    world.register("ada@example.org").await.is_accepted();
    world.inbox.reached("ada@example.org").await;
    world.clock.advance(LEASE);
    let looks = world.steps.count_of("challenges.take_letters");
    world
        .steps
        .taken("challenges.take_letters", looks + 1)
        .await;
    // Whatever the look took over would be on its way before this one.
    world.register("bob@example.org").await.is_accepted();
    world.inbox.reached("bob@example.org").await;
    assert_eq!(world.inbox.attempts().len(), 2);
    world.steps.mend();
    world.steps.settled().await;
}

#[tokio::test]
async fn a_letter_goes_out_where_nobody_knows_whether_its_address_is_suppressed() {
    let world = World::new().await;
    let away = Error::Unavailable("away".into());
    world.steps.fail("users.suppression", away);
    world.register("ada@example.org").await.is_accepted();
    assert_eq!(world.mails_to("ada@example.org").await.len(), 1);
}
