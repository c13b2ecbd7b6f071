//! `GET` and `DELETE /api/auth/sessions`, `DELETE /api/auth/sessions/{id}`

use std::time::Duration;

use reqwest::Method;

use crate::support::answer::Answer;
use crate::support::world::{STRANGER, World};

const ADA: &str = "ada@example.org";

#[tokio::test]
async fn they_need_a_session() {
    let world = World::new().await;
    for (method, path) in [
        (Method::GET, "/api/auth/sessions"),
        (Method::DELETE, "/api/auth/sessions"),
        (
            Method::DELETE,
            "/api/auth/sessions/ses_Ym9vdHN0cmFwcGluZyEhIQ",
        ),
    ] {
        let answer = world.call(method, path).await;
        answer.is(401).is_refused("session_required");
    }
}

#[tokio::test]
async fn the_list_says_which_device_and_which_is_this() {
    let world = World::new().await;
    let first = world.sign_up(ADA).await.token();
    world.clock.advance(Duration::from_mins(1));
    let code = world.ask_to_sign_in(ADA).await;
    let verify = world.verify_login(ADA, &code).from(STRANGER);
    let agent =
        "Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36";
    let second = verify.with_browser(agent).await.is_signed_in().token();

    let list = world.sessions(&second).await;
    let sessions = list.is(200)["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0]["current"], true);
    assert_eq!(sessions[0]["device"], "Chrome (Windows)");
    assert_eq!(sessions[0]["client"], STRANGER);
    assert_eq!(sessions[0]["used_at"], "2026-11-22T09:06:00Z");
    assert_eq!(sessions[1]["current"], false);
    assert_eq!(sessions[1]["client"], "198.51.100.1");
    let own = world.session(&first).await["session"]["id"].clone();
    assert_eq!(sessions[1]["id"], own);
    // Names in the list are no tokens, nor anything made of them.
    assert!(!list.text.contains(&first[..43]) && !list.text.contains(&second[..43]));

    let korean = world.sessions(&second).speaking("ko").await;
    assert_ne!(
        korean["sessions"][1]["device"],
        list["sessions"][1]["device"]
    );
}

#[tokio::test]
async fn one_can_be_ended_be_it_this_one() {
    let world = World::new().await;
    let first = world.sign_up(ADA).await;
    let second = world.sign_in(ADA).await;
    let end = async |by: &Answer, of: &Answer| {
        let id = world.session(&of.token()).await["session"]["id"].clone();
        let path = format!("/api/auth/sessions/{}", id.as_str().unwrap());
        let call = world.call(Method::DELETE, &path).bearer(&by.token());
        call.await.is(204);
        path
    };
    let path = end(&second, &first).await;
    world.session(&first.token()).await.is(401);
    let twice = world.call(Method::DELETE, &path).bearer(&second.token());
    twice.await.is(404).is_refused("session_not_found");
    end(&second, &second).await;
    world.session(&second.token()).await.is(401);
    let row = world.steps.audited("session", "ended").await;
    assert_eq!(first["user"]["id"], row.user.unwrap().to_string());
}

#[tokio::test]
async fn nobody_ends_anothers() {
    let world = World::new().await;
    let ada = world.sign_up(ADA).await.token();
    let bob = world.sign_up("bob@example.org").await.token();
    let adas = world.session(&ada).await["session"]["id"].clone();
    for id in [
        adas.as_str().unwrap(),
        "ses_",
        "x",
        "ses_Ym9vdHN0cmFwcGluZyEhIQ",
    ] {
        let path = format!("/api/auth/sessions/{id}");
        let call = world.call(Method::DELETE, &path).bearer(&bob);
        call.await.is(404).is_refused("session_not_found");
    }
    world.session(&ada).await.is(200);
}

#[tokio::test]
async fn all_others_can_be_ended() {
    let world = World::new().await;
    let first = world.sign_up(ADA).await.token();
    let second = world.sign_in(ADA).await.token();
    let third = world.sign_in(ADA).await.token();
    let bob = world.sign_up("bob@example.org").await.token();
    let call = world
        .call(Method::DELETE, "/api/auth/sessions")
        .bearer(&second);
    call.await.is(204);
    world.session(&first).await.is(401);
    world.session(&second).await.is(200);
    world.session(&third).await.is(401);
    world.session(&bob).await.is(200);
}

#[tokio::test]
async fn of_more_than_three_the_one_nearest_its_end_goes() {
    let world = World::new().await;
    let first = world.sign_up(ADA).await.token();
    let mut tokens = vec![first];
    for _ in 0..2 {
        world.clock.advance(Duration::from_mins(2));
        tokens.push(world.sign_in(ADA).await.token());
    }
    // The oldest is used once more: the second is nearest its end now.
    world.clock.advance(Duration::from_mins(2));
    world.session(&tokens[0]).await.is(200);
    world.steps.taken("sessions.touch", 1).await;
    tokens.push(world.sign_in(ADA).await.token());
    for (number, status) in [(0, 200), (1, 401), (2, 200), (3, 200)] {
        world.session(&tokens[number]).await.is(status);
    }
}

#[tokio::test]
async fn signing_in_where_one_is_signed_in_replaces_the_session() {
    let world = World::new().await;
    let old = world.sign_up(ADA).await.token();
    let bob = world.sign_up("bob@example.org").await.token();
    // Another account's session is nobody's here.
    let code = world.ask_to_sign_in(ADA).await;
    let verify = world.verify_login(ADA, &code).bearer(&bob);
    let other = verify.await.is_signed_in().token();
    for token in [&old, &bob, &other] {
        world.session(token).await.is(200);
    }
    let code = world.ask_to_sign_in(ADA).await;
    let verify = world.verify_login(ADA, &code).bearer(&old);
    let new = verify.await.is_signed_in().token();
    world.session(&old).await.is(401);
    world.session(&other).await.is(200);
    world.session(&new).await.is(200);
}
