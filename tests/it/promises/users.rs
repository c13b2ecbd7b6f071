//! Accounts: one per address, never lost, and every change with what has to follow it.

use std::net::IpAddr;

use aidlc_auth::model::language::Language;
use aidlc_auth::model::user::{FollowUpTask, Gender, ProfileChange, Status, User};
use aidlc_auth::store::{AuditRow, Created};
use uuid::Uuid;

use super::world::{DAY, World, ada, address, at, audit, born, user, user_id};
use super::{Backend, on_every_backend};

on_every_backend!(
    an_account_that_is_not_there_is_not_found,
    an_account_is_read_as_it_was_written,
    an_account_is_found_by_every_spelling,
    writing_an_account_twice_writes_it_once,
    an_address_has_one_account,
    a_withdrawn_account_lets_go_of_its_address,
    a_deactivated_account_keeps_its_address,
    no_change_reaches_an_account_that_is_not_active,
    a_change_merges_and_clears,
    a_change_moves_updated_at_even_if_the_clock_does_not,
    a_change_does_not_raise_the_generation,
    every_status_raises_the_generation,
    nobody_at_an_address_has_a_status,
    follow_ups_are_listed_until_they_are_done,
    a_follow_up_carries_the_user_as_it_is_now,
    withdrawn_accounts_are_erased_when_they_are_old,
    audit_rows_may_be_written_again,
);

fn id(n: u8) -> Uuid {
    Uuid::from_bytes([n; 16])
}

/// A world with Ada's account, `user(1, …)`.
async fn with_ada(on: Backend) -> (World, User) {
    let (world, user) = (World::with_accounts(on).await, user(1, &ada(), at(0)));
    let created = world.users.create(&user, &born(&user)).await.unwrap();
    assert_eq!(created, Created::Written);
    (world, user)
}

async fn set_status(world: &World, status: Status, n: u8) -> User {
    let set = world
        .users
        .set_status(&ada(), status, &audit(id(n), at(n.into())))
        .await;
    set.unwrap().unwrap().user
}

fn renamed(full_name: &str) -> ProfileChange {
    ProfileChange {
        full_name: Some(full_name.into()),
        ..ProfileChange::default()
    }
}

async fn an_account_that_is_not_there_is_not_found(on: Backend) {
    let (world, _) = with_ada(on).await;
    assert_eq!(world.users.get(user_id(2)).await.unwrap(), None);
    for other in ["eve@example.org", "ada@example.com", "a.da@example.org"] {
        assert_eq!(world.users.find(&address(other)).await.unwrap(), None);
    }
}

async fn an_account_is_read_as_it_was_written(on: Backend) {
    let world = World::with_accounts(on).await;
    let mut full = user(1, &address("Ada.L@Example.org"), at(1));
    full.profile.full_name = "에이다 👩‍💻 \"); DROP TABLE users; --".into();
    full.profile.language = Some(Language::Ko);
    full.profile.gender = Some(Gender::NotSpecified);
    full.profile.birth_year = Some(1900);
    full.generation = 7;
    full.updated_at = at(2);
    let mut bare = user(2, &ada(), at(0));
    bare.password = None;
    bare.profile.birth_year = None;
    for user in [full, bare] {
        world.users.create(&user, &born(&user)).await.unwrap();
        let read = world.users.get(user.id).await.unwrap();
        assert_eq!(read.as_ref(), Some(&user));
        assert_eq!(world.users.find(&user.email).await.unwrap(), read);
    }
}

async fn an_account_is_found_by_every_spelling(on: Backend) {
    let (world, ada) = with_ada(on).await;
    for spelling in [
        "ADA@EXAMPLE.ORG",
        " ada@Example.org",
        "Ada@ｅｘａｍｐｌｅ.org",
    ] {
        let found = world.users.find(&address(spelling)).await.unwrap();
        assert_eq!(found.as_ref(), Some(&ada), "{spelling}");
    }
}

async fn writing_an_account_twice_writes_it_once(on: Backend) {
    let (world, ada) = with_ada(on).await;
    let mut again = ada.clone();
    again.profile.full_name = "Someone else".into();
    let created = world.users.create(&again, &born(&again)).await.unwrap();
    assert_eq!(created, Created::AlreadyThere);
    assert_eq!(world.users.get(ada.id).await.unwrap(), Some(ada));
}

async fn an_address_has_one_account(on: Backend) {
    let (world, ada) = with_ada(on).await;
    let second = user(2, &address("ADA@example.org"), at(1));
    let created = world.users.create(&second, &born(&second)).await.unwrap();
    assert_eq!(created, Created::AddressTaken);
    assert_eq!(world.users.get(second.id).await.unwrap(), None);
    assert_eq!(world.users.find(&ada.email).await.unwrap(), Some(ada));
}

async fn a_withdrawn_account_lets_go_of_its_address(on: Backend) {
    let (world, first) = with_ada(on).await;
    let withdrawn = set_status(&world, Status::PendingDeletion, 1).await;
    assert_eq!(world.users.find(&ada()).await.unwrap(), None);
    assert_eq!(world.users.get(first.id).await.unwrap(), Some(withdrawn));
    let second = user(2, &ada(), at(2));
    let created = world.users.create(&second, &born(&second)).await.unwrap();
    assert_eq!(created, Created::Written);
    // The second may go the same way.
    set_status(&world, Status::PendingDeletion, 3).await;
    let third = user(3, &ada(), at(4));
    let created = world.users.create(&third, &born(&third)).await.unwrap();
    assert_eq!(created, Created::Written);
    assert_eq!(world.users.find(&ada()).await.unwrap(), Some(third));
}

async fn a_deactivated_account_keeps_its_address(on: Backend) {
    let (world, _) = with_ada(on).await;
    let deactivated = set_status(&world, Status::Deactivated, 1).await;
    assert!(!deactivated.may_sign_in());
    let created = world
        .users
        .create(&user(2, &ada(), at(2)), &born(&user(2, &ada(), at(2))))
        .await
        .unwrap();
    assert_eq!(created, Created::AddressTaken);
    let active = set_status(&world, Status::Active, 3).await;
    assert!(active.may_sign_in());
}

async fn no_change_reaches_an_account_that_is_not_active(on: Backend) {
    let (world, ada) = with_ada(on).await;
    let change = async |n: u8, user| {
        let changed = world
            .users
            .change_profile(user, &renamed("Eve"), &audit(id(n), at(n.into())))
            .await;
        changed.unwrap()
    };
    assert_eq!(change(10, user_id(9)).await, None);
    let before = set_status(&world, Status::Deactivated, 1).await;
    assert_eq!(change(11, ada.id).await, None);
    assert_eq!(world.users.get(ada.id).await.unwrap(), Some(before));
    let before = set_status(&world, Status::PendingDeletion, 2).await;
    assert_eq!(change(12, ada.id).await, None);
    assert_eq!(world.users.get(ada.id).await.unwrap(), Some(before));
    let follow_ups = world.users.follow_ups(at(DAY)).await.unwrap();
    assert_eq!(follow_ups.len(), 2, "only those of the statuses");
}

async fn a_change_merges_and_clears(on: Backend) {
    let (world, ada) = with_ada(on).await;
    let change = ProfileChange {
        language: Some(Some(Language::En)),
        birth_year: Some(None),
        ..ProfileChange::default()
    };
    let changed = world
        .users
        .change_profile(ada.id, &change, &audit(id(1), at(1)))
        .await;
    let follow_up = changed.unwrap().unwrap();
    assert_eq!(follow_up.id, id(1));
    assert_eq!(follow_up.task, FollowUpTask::RenewSessions);
    let after = world.users.get(ada.id).await.unwrap().unwrap();
    assert_eq!(follow_up.user, after);
    assert_eq!(after.profile.full_name, "Ada");
    assert_eq!(after.profile.language, Some(Language::En));
    assert_eq!(after.profile.birth_year, None);
    assert_eq!(after.password, ada.password);
    assert_eq!(after.created_at, ada.created_at);
}

async fn a_change_moves_updated_at_even_if_the_clock_does_not(on: Backend) {
    let (world, ada) = with_ada(on).await;
    let mut last = ada.updated_at;
    for (n, now) in (1..).zip([at(5), at(5), at(-100), at(6)]) {
        let changed = world
            .users
            .change_profile(ada.id, &renamed("A"), &audit(id(n), now))
            .await;
        changed.unwrap().unwrap();
        let read = world.users.get(ada.id).await.unwrap().unwrap();
        assert!(read.updated_at > last && read.updated_at >= now, "{n}");
        last = read.updated_at;
    }
    let set = world
        .users
        .set_status(&ada.email, Status::Active, &audit(id(9), at(0)))
        .await;
    assert!(set.unwrap().unwrap().user.updated_at > last);
}

async fn a_change_does_not_raise_the_generation(on: Backend) {
    let (world, ada) = with_ada(on).await;
    let changed = world
        .users
        .change_profile(ada.id, &renamed("A"), &audit(id(1), at(1)))
        .await;
    let follow_up = changed.unwrap().unwrap();
    assert_eq!(follow_up.user.generation, ada.generation);
}

async fn every_status_raises_the_generation(on: Backend) {
    let (world, ada) = with_ada(on).await;
    let statuses = [Status::Deactivated, Status::Active, Status::PendingDeletion];
    for (n, status) in (1..).zip(statuses) {
        let set = world
            .users
            .set_status(&ada.email, status, &audit(id(n), at(n.into())))
            .await;
        let follow_up = set.unwrap().unwrap();
        assert_eq!(follow_up.task, FollowUpTask::EndEverything);
        assert_eq!(follow_up.user.generation, ada.generation + i64::from(n));
        let read = world.users.get(ada.id).await.unwrap().unwrap();
        assert_eq!(read, follow_up.user);
        assert_eq!(read.status, status);
    }
}

async fn nobody_at_an_address_has_a_status(on: Backend) {
    let (world, _) = with_ada(on).await;
    let eve = address("eve@example.org");
    let set = world
        .users
        .set_status(&eve, Status::Deactivated, &audit(id(1), at(1)))
        .await;
    assert_eq!(set.unwrap(), None);
    // Nor is a withdrawn account brought back by its old address.
    set_status(&world, Status::PendingDeletion, 2).await;
    let set = world
        .users
        .set_status(&ada(), Status::Active, &audit(id(3), at(3)))
        .await;
    assert_eq!(set.unwrap(), None);
    assert_eq!(world.users.follow_ups(at(DAY)).await.unwrap().len(), 1);
}

async fn follow_ups_are_listed_until_they_are_done(on: Backend) {
    let (world, ada) = with_ada(on).await;
    for n in [1, 2, 3] {
        let changed = world
            .users
            .change_profile(ada.id, &renamed("A"), &audit(id(9 - n), at(n.into())))
            .await;
        changed.unwrap().unwrap();
    }
    let listed = async |before| {
        let follow_ups = world.users.follow_ups(before).await.unwrap();
        follow_ups.iter().map(|f| f.id).collect::<Vec<_>>()
    };
    assert!(listed(at(1)).await.is_empty());
    assert_eq!(listed(at(3)).await, [id(8), id(7)]);
    assert_eq!(listed(at(4)).await, [id(8), id(7), id(6)]);
    world.users.follow_up_done(id(7)).await.unwrap();
    world.users.follow_up_done(id(7)).await.unwrap();
    assert_eq!(listed(at(4)).await, [id(8), id(6)]);
}

async fn a_follow_up_carries_the_user_as_it_is_now(on: Backend) {
    let (world, _) = with_ada(on).await;
    set_status(&world, Status::Deactivated, 1).await;
    let now = set_status(&world, Status::Active, 2).await;
    let follow_ups = world.users.follow_ups(at(DAY)).await.unwrap();
    assert_eq!(follow_ups.len(), 2);
    for follow_up in follow_ups {
        assert_eq!(follow_up.user, now);
    }
}

async fn withdrawn_accounts_are_erased_when_they_are_old(on: Backend) {
    let (world, gone) = with_ada(on).await;
    set_status(&world, Status::PendingDeletion, 10).await;
    world
        .users
        .create(&user(2, &ada(), at(11)), &born(&user(2, &ada(), at(11))))
        .await
        .unwrap();
    set_status(&world, Status::PendingDeletion, 20).await;
    world
        .users
        .create(&user(3, &ada(), at(0)), &born(&user(3, &ada(), at(0))))
        .await
        .unwrap();
    set_status(&world, Status::Deactivated, 1).await;

    assert_eq!(world.users.erase(at(10), at(0)).await.unwrap(), 0);
    assert_eq!(world.users.erase(at(11), at(0)).await.unwrap(), 1);
    assert_eq!(world.users.erase(at(11), at(0)).await.unwrap(), 0);
    assert_eq!(world.users.get(gone.id).await.unwrap(), None);
    assert_eq!(world.users.erase(at(DAY), at(0)).await.unwrap(), 1);
    let left = world.users.get(user_id(3)).await.unwrap();
    assert!(left.is_some(), "only who withdrew is erased");
}

fn audit_row(n: u8) -> AuditRow {
    AuditRow {
        id: id(n),
        at: at(n.into()),
        event: "login",
        outcome: "accepted",
        user: Some(user_id(1)),
        subject: None,
        client: Some(IpAddr::from([192, 0, 2, 1])),
        request_id: "r".into(),
    }
}

async fn audit_rows_may_be_written_again(on: Backend) {
    let world = World::with_accounts(on).await;
    let [one, two, three] = [1, 2, 3].map(audit_row);
    world.users.audit(&[]).await.unwrap();
    world
        .users
        .audit(&[one.clone(), two.clone()])
        .await
        .unwrap();
    // Whoever did not hear the answer says it again, perhaps with more.
    let again = [two.clone(), three.clone(), three];
    world.users.audit(&again).await.unwrap();
    world.users.erase(at(0), at(3)).await.unwrap();
    world.users.audit(&[one, two]).await.unwrap();
}
