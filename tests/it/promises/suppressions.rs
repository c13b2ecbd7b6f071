//! Addresses that get no mail: noted once, until somebody lifts it.

use aidlc_auth::model::suppression::{Reason, Suppression};
use aidlc_auth::model::user::Status;
use uuid::Uuid;

use super::world::{World, ada, address, at, audit, born, user};
use super::{Backend, on_every_backend};

on_every_backend!(
    an_address_is_suppressed_in_every_spelling_and_no_other_is,
    what_was_noted_first_stays,
    who_notes_it_at_once_notes_it_once,
    lifting_it_lets_mail_through_and_it_can_come_back,
    it_outlives_the_account,
);

fn because(reason: Reason, detail: &str) -> Suppression {
    Suppression {
        reason,
        detail: detail.into(),
        at: at(7),
    }
}

async fn suppress(world: &World, email: &str, because: &Suppression, n: u8) -> bool {
    let audit = audit(Uuid::from_bytes([n; 16]), at(n.into()));
    let noted = world.users.suppress(&address(email), because, &audit).await;
    noted.unwrap()
}

async fn suppression(world: &World, email: &str) -> Option<Suppression> {
    world.users.suppression(&address(email)).await.unwrap()
}

async fn unsuppress(world: &World, email: &str, n: u8) -> bool {
    let audit = audit(Uuid::from_bytes([n; 16]), at(n.into()));
    let lifted = world.users.unsuppress(&address(email), &audit).await;
    lifted.unwrap()
}

async fn an_address_is_suppressed_in_every_spelling_and_no_other_is(on: Backend) {
    let world = World::with_accounts(on).await;
    let bounce = because(Reason::Bounce, "NoEmail");
    assert_eq!(suppression(&world, "ada@example.org").await, None);
    assert!(suppress(&world, "Ada@Example.org", &bounce, 1).await);
    for spelling in ["ada@example.org", "ADA@EXAMPLE.ORG"] {
        assert_eq!(suppression(&world, spelling).await.as_ref(), Some(&bounce));
    }
    // An alias is a mailbox of its own as far as mail goes.
    for other in ["ada+a@example.org", "a.da@example.org", "ada@example.com"] {
        assert_eq!(suppression(&world, other).await, None, "{other}");
    }
}

async fn what_was_noted_first_stays(on: Backend) {
    let world = World::with_accounts(on).await;
    let (first, later) = (
        because(Reason::Bounce, "General"),
        because(Reason::Complaint, "abuse"),
    );
    assert!(suppress(&world, "ada@example.org", &first, 1).await);
    for n in 2..4 {
        assert!(!suppress(&world, "ada@example.org", &later, n).await);
    }
    assert_eq!(suppression(&world, "ada@example.org").await, Some(first));
}

async fn who_notes_it_at_once_notes_it_once(on: Backend) {
    let world = World::with_accounts(on).await;
    let tasks = (1..=8).map(|n| {
        let world = world.clone();
        tokio::spawn(async move {
            suppress(
                &world,
                "ada@example.org",
                &because(Reason::Bounce, "General"),
                n,
            )
            .await
        })
    });
    let mut new = 0;
    for task in tasks.collect::<Vec<_>>() {
        new += usize::from(task.await.unwrap());
    }
    assert_eq!(new, 1);
}

async fn lifting_it_lets_mail_through_and_it_can_come_back(on: Backend) {
    let world = World::with_accounts(on).await;
    assert!(!unsuppress(&world, "ada@example.org", 1).await);
    let complaint = because(Reason::Complaint, "abuse");
    assert!(suppress(&world, "ada@example.org", &complaint, 2).await);
    assert!(unsuppress(&world, "ada@example.org", 3).await);
    assert_eq!(suppression(&world, "ada@example.org").await, None);
    assert!(!unsuppress(&world, "ada@example.org", 4).await);
    assert!(suppress(&world, "ada@example.org", &complaint, 5).await);
    assert_eq!(
        suppression(&world, "ada@example.org").await,
        Some(complaint)
    );
}

async fn it_outlives_the_account(on: Backend) {
    let world = World::with_accounts(on).await;
    let user = user(1, &ada(), at(0));
    world.users.create(&user, &born(&user)).await.unwrap();
    let bounce = because(Reason::Bounce, "General");
    assert!(suppress(&world, "ada@example.org", &bounce, 1).await);
    let row = audit(Uuid::from_bytes([2; 16]), at(2));
    let withdrawn = world
        .users
        .set_status(&user.email, Status::PendingDeletion, &row);
    withdrawn.await.unwrap().unwrap();
    assert_eq!(world.users.erase(at(100), at(0)).await.unwrap(), 1);
    assert_eq!(suppression(&world, "ada@example.org").await, Some(bounce));
}
