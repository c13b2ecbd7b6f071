//! What a sweep removes where nothing goes by itself: in the embedded store.

use aidlc_auth::store::Want;

use super::Backend;
use super::world::{DAY, MICROSECOND, MINUTE, World, ada, address, at, client, login, user_id};
use jiff::SignedDuration;

#[tokio::test]
async fn challenges_go_when_they_are_over() {
    let world = World::new(Backend::File).await;
    let over = at(15 * MINUTE);
    let eve = address("eve@example.org");
    world.sent(login(&ada(), 1), at(0)).await;
    world.sent(login(&eve, 2), at(MINUTE)).await;
    let admitted = world.challenges.admit(client(1), Want::Code, at(0)).await;
    admitted.unwrap();
    let swept = world.challenges.sweep(over).await.unwrap();
    // Ada's record and the client's limit; her budgets go on for an hour and a day.
    assert!(swept >= 2, "{swept}");

    world.challenges.sweep(at(3 * DAY)).await.unwrap();
    let again = world.challenges.sweep(at(3 * DAY)).await.unwrap();
    assert_eq!(again, 0);
}

#[tokio::test]
async fn sessions_go_when_they_are_over() {
    let world = World::new(Backend::File).await;
    world.sign_in(user_id(1), 1, at(0)).await;
    world.sign_in(user_id(1), 2, at(1)).await;
    let just = at(DAY) - SignedDuration::try_from(MICROSECOND).unwrap();
    for (now, count) in [(just, 0), (at(DAY), 1)] {
        assert_eq!(world.sessions.sweep(now).await.unwrap(), count);
    }
    // The other session and the fence.
    assert_eq!(world.sessions.sweep(at(31 * DAY)).await.unwrap(), 2);
    assert_eq!(world.sessions.sweep(at(31 * DAY)).await.unwrap(), 0);
}
