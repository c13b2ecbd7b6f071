//! `GET`, `PUT` and `PATCH /api/profile`

use std::time::Duration;

use aidlc_auth::store::Error;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::call::Call;
use crate::support::world::World;

const ADA: &str = "ada@example.org";

fn put(world: &World, token: &str, profile: Value) -> Call {
    let call = world.call(Method::PUT, "/api/profile").bearer(token);
    call.json(profile)
}

fn patch(world: &World, token: &str, profile: Value) -> Call {
    let call = world.call(Method::PATCH, "/api/profile").bearer(token);
    call.json(profile)
}

#[tokio::test]
async fn it_needs_a_session() {
    let world = World::new().await;
    for method in [Method::GET, Method::PUT, Method::PATCH] {
        let call = world.call(method, "/api/profile");
        let answer = call.json(json!({"full_name": "Eve"})).await;
        answer.is(401).is_refused("session_required");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_nothing_changes() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    let before = world.profile(&token).await;
    let wrong = json!({"full_name": "", "language": "fr", "gender": "x", "birth_year": 2027});
    let all = [
        ("full_name", "blank"),
        ("language", "not_one_of"),
        ("gender", "not_one_of"),
        ("birth_year", "out_of_range"),
    ];
    put(&world, &token, wrong.clone()).await.is_invalid(&all);
    patch(&world, &token, wrong).await.is_invalid(&all);
    let missing = put(&world, &token, json!({})).await;
    missing.is_invalid(&[("full_name", "required")]);
    let cleared = patch(&world, &token, json!({"full_name": null})).await;
    cleared.is_invalid(&[("full_name", "required")]);
    for (name, code) in [
        ("x".repeat(101), "too_long"),
        ("two\nlines".into(), "bad_character"),
        ("\u{202e}turned".into(), "bad_character"),
    ] {
        let answer = patch(&world, &token, json!({"full_name": name})).await;
        answer.is_invalid(&[("full_name", code)]);
    }
    let year = patch(&world, &token, json!({"birth_year": "1990"})).await;
    year.is_invalid(&[("birth_year", "not_whole_number")]);
    assert_eq!(world.profile(&token).await.body, before.body);
}

#[tokio::test]
async fn put_replaces_and_what_is_missing_is_cleared() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    let full = json!({
        "full_name": "가".repeat(100), "language": "ko", "gender": "female", "birth_year": 1900,
    });
    let answer = put(&world, &token, full.clone()).await;
    for field in ["full_name", "language", "gender", "birth_year"] {
        assert_eq!(answer.is(200)[field], full[field]);
    }
    let answer = put(&world, &token, json!({"full_name": " Ada "})).await;
    assert_eq!(answer.is(200)["full_name"], "Ada");
    for field in ["language", "gender", "birth_year"] {
        assert_eq!(answer[field], Value::Null);
    }
    assert_eq!(world.profile(&token).await.body, answer.body);
}

#[tokio::test]
async fn patch_merges_and_null_clears() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    let answer = patch(
        &world,
        &token,
        json!({"birth_year": 1990, "gender": "not_specified"}),
    );
    answer.await.is(200);
    let answer = patch(
        &world,
        &token,
        json!({"birth_year": null, "language": "en"}),
    )
    .await;
    assert_eq!(answer.is(200)["full_name"], "Ada Lovelace");
    assert_eq!(answer["birth_year"], Value::Null);
    assert_eq!(answer["gender"], "not_specified");
    assert_eq!(answer["language"], "en");
}

#[tokio::test]
async fn updated_at_always_moves_forward() {
    let world = World::new().await;
    let signed_up = world.sign_up(ADA).await;
    let token = signed_up.token();
    let mut last: jiff::Timestamp = signed_up["user"]["updated_at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    for step in 0..4 {
        match step {
            1 => world.clock.advance(Duration::from_secs(5)),
            2 => world.clock.set_back(Duration::from_secs(3)),
            _ => {}
        }
        let answer = patch(&world, &token, json!({})).await;
        let next = answer.is(200)["updated_at"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(next > last, "{next} after {last}");
        last = next;
        assert_eq!(answer["created_at"], signed_up["user"]["created_at"]);
    }
}

#[tokio::test]
async fn a_change_is_in_every_session_before_it_is_answered() {
    let world = World::new().await;
    let first = world.sign_up(ADA).await.token();
    let second = world.sign_in(ADA).await.token();
    let change = json!({"full_name": "Augusta Ada King", "language": "ko"});
    let answer = patch(&world, &first, change).await;
    for token in [&first, &second] {
        let session = world.session(token).await;
        for field in ["id", "email", "full_name", "language", "updated_at"] {
            assert_eq!(session["user"][field], answer[field]);
        }
    }
    world.steps.audited("profile", "changed").await;
}

#[tokio::test]
async fn what_follows_from_a_change_is_done_later_if_it_must_be() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    world
        .steps
        .fail("sessions.renew", Error::Unavailable("away".into()));
    let change = json!({"full_name": "Augusta Ada King"});
    patch(&world, &token, change)
        .await
        .is(503)
        .is_refused("unavailable");
    world.steps.mend();
    world.clock.advance(Duration::from_secs(16));
    aidlc_auth::work::sweep::once(&world.app).await;
    let session = world.session(&token).await;
    assert_eq!(session["user"]["full_name"], "Augusta Ada King");
}

#[tokio::test]
async fn fields_that_are_not_ones_own_to_change_have_no_effect() {
    let world = World::new().await;
    let token = world.sign_up(ADA).await.token();
    let before = world.profile(&token).await;
    let change = json!({
        "id": "usr_00000000000000000000000000000000", "email": "eve@example.org",
        "status": "admin", "password_set": false, "created_at": "1970-01-01T00:00:00Z",
        "generation": 9, "full_name": "Eve",
    });
    for call in [
        put(&world, &token, change.clone()),
        patch(&world, &token, change),
    ] {
        let answer = call.await;
        for field in ["id", "email", "password_set", "created_at"] {
            assert_eq!(answer.is(200)[field], before[field]);
        }
    }
    world.sign_in(ADA).await;
}
