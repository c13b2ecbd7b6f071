//! Rows of the audit trail outlast an outage of the store that keeps them.

use aidlc_auth::store::Error;

use crate::support::world::World;

#[tokio::test]
async fn rows_wait_while_the_store_is_away_and_are_written_when_it_is_back() {
    let world = World::new().await;
    let away = Error::Unavailable("away".into());
    world.steps.fail("users.audit", away);
    let token = world.sign_up("ada@example.org").await.token();
    world.steps.taken("users.audit", 2).await;
    world.logout(&token).await.is(204);
    world.steps.mend();
    world.steps.audited("register", "asked").await;
    world.steps.audited("session", "signed_out").await;
}

#[tokio::test]
async fn rows_that_the_store_cannot_take_hold_up_no_others() {
    let world = World::new().await;
    let broken = Error::Broken("unwritable".into());
    world.steps.fail("users.audit", broken);
    let token = world.sign_up("ada@example.org").await.token();
    world.steps.taken("users.audit", 1).await;
    world.steps.mend();
    world.logout(&token).await.is(204);
    world.steps.audited("session", "signed_out").await;
}
