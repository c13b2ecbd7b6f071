//! Sessions in cookies: handed over, accepted, renewed and taken away only where they may be.

use std::time::Duration;

use reqwest::Method;

use crate::support::answer::Answer;
use crate::support::call::Call;
use crate::support::world::{STRANGER, World};

const ADA: &str = "ada@example.org";
const PUBLIC: &str = "https://auth.example.org";
const FRIEND: &str = "https://app.example.org";

/// Settings that production starts with.
pub const PRODUCTION: [(&str, &str); 5] = [
    ("ENVIRONMENT", "production"),
    ("PUBLIC_URL", PUBLIC),
    ("MAIL_TRANSPORT", "smtp"),
    ("SMTP_URL", "smtp://localhost"),
    ("MAIL_FROM", "no-reply@example.org"),
];

/// Production, with one other origin whose pages may call.
async fn production() -> World {
    let mut settings = PRODUCTION.to_vec();
    settings.push(("CORS_ORIGINS", FRIEND));
    World::with(&settings).await
}

async fn sign_up(world: &World) -> Answer {
    let register = world
        .register(ADA)
        .with("password", "correct horse battery");
    register.await.is_accepted();
    let code = world.mail_to(ADA).await.code;
    let verify = world
        .verify_registration(ADA, &code)
        .header("origin", PUBLIC);
    let answer = verify.with("session_transport", "cookie").await;
    answer.is(201);
    answer
}

/// `name=value` of the cookie that an answer sets.
fn cookie_of(answer: &Answer) -> String {
    let (pair, _) = answer.header("set-cookie").split_once(';').unwrap();
    pair.to_owned()
}

fn session(world: &World, cookie: &str) -> Call {
    world.get("/api/auth/session").header("cookie", cookie)
}

#[tokio::test]
async fn in_production_the_cookie_is_bound_to_this_host() {
    let world = production().await;
    let answer = sign_up(&world).await;
    let (pair, attributes) = answer.header("set-cookie").split_once("; ").unwrap();
    let (name, token) = pair.split_once('=').unwrap();
    assert_eq!(name, "__Host-aidlc_session");
    assert_eq!(
        attributes,
        "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure"
    );
    assert!(answer.body.get("session_token").is_none());
    assert!(answer.body.get("token_type").is_none());
    assert!(!answer.text.contains(&token[..43]));
    assert_eq!(answer["user"]["email"], ADA);
    assert_eq!(answer["expires_at"], "2026-11-23T09:05:00Z");
    let own = session(&world, pair).header("sec-fetch-site", "same-origin");
    own.await.is(200);
    // No other name is accepted.
    let plain = format!("aidlc_session={token}");
    let plain = session(&world, &plain).header("origin", PUBLIC).await;
    plain.is(401).is_refused("session_required");
}

#[tokio::test]
async fn on_localhost_it_goes_without_prefix_and_secure() {
    let world = World::new().await;
    let code = world.ask_to_register(ADA).await;
    let verify = world.verify_registration(ADA, &code);
    let verify = verify.with("session_transport", "cookie");
    let answer = verify.header("origin", "http://localhost:8001").await;
    let (pair, attributes) = answer
        .is(201)
        .header("set-cookie")
        .split_once("; ")
        .unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax");
    let (name, token) = pair.split_once('=').unwrap();
    assert_eq!(name, "aidlc_session");
    let prefixed = format!("__Host-aidlc_session={token}");
    let prefixed = session(&world, &prefixed).header("origin", "http://localhost:8001");
    prefixed.await.is(401);
}

#[tokio::test]
async fn by_default_there_is_no_cookie() {
    let world = World::new().await;
    for transport in [None, Some("token")] {
        let code = match transport {
            None => world.ask_to_register(ADA).await,
            Some(_) => world.ask_to_sign_in(ADA).await,
        };
        let answer = match transport {
            None => world.verify_registration(ADA, &code).await,
            Some(name) => {
                let verify = world.verify_login(ADA, &code);
                verify.with("session_transport", name).await
            }
        };
        assert_eq!(answer.is_signed_in().header("set-cookie"), "");
    }
    let other = world.verify_login(ADA, "123456");
    let other = other.with("session_transport", "header").await;
    other.is_invalid(&[("session_transport", "not_one_of")]);
}

#[tokio::test]
async fn a_cookie_is_set_and_used_only_from_where_it_may_be() {
    let world = production().await;
    let cookie = cookie_of(&sign_up(&world).await);
    let from: [(&[(&str, &str)], bool); 12] = [
        (&[], false),
        (&[("origin", PUBLIC)], true),
        (&[("origin", FRIEND)], true),
        (&[("origin", "null")], false),
        (&[("origin", "https://evil.example")], false),
        (&[("origin", "http://auth.example.org")], false),
        (
            &[("origin", "https://auth.example.org.evil.example")],
            false,
        ),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "none")], false),
        (&[("referer", "https://auth.example.org/")], false),
    ];
    let with = |call: Call, headers: &[(&str, &str)]| {
        let add = |call: Call, (name, value): &(&str, &str)| call.header(name, value);
        headers.iter().fold(call, add)
    };
    for (headers, may) in from {
        // To use it, for reading as for changing.
        let read = with(session(&world, &cookie), headers).await;
        let profile = world
            .call(Method::PATCH, "/api/profile")
            .header("cookie", &cookie);
        let change = with(profile.with("birth_year", 1990), headers).await;
        let others = world.call(Method::DELETE, "/api/auth/sessions");
        let end = with(others.header("cookie", &cookie), headers).await;
        for answer in [&read, &change, &end] {
            if may {
                assert!(answer.status < 300, "{headers:?} {}", answer.text);
            } else {
                answer.is(403).is_refused("origin_refused");
            }
        }
        // To set it: refused before the code is looked at.
        let verify = world.verify_login(ADA, "123456").from(STRANGER);
        let verify = verify.with("session_transport", "cookie");
        let set = with(verify, headers).await;
        set.is_refused(if may {
            "code_refused"
        } else {
            "origin_refused"
        });
    }
    let logout = world.call(Method::POST, "/api/auth/logout");
    let logout = logout.header("cookie", &cookie).await;
    logout.is(403).is_refused("origin_refused");
    session(&world, &cookie)
        .header("origin", PUBLIC)
        .await
        .is(200);
}

#[tokio::test]
async fn with_an_authorization_header_the_cookie_is_ignored() {
    let world = production().await;
    let cookie = cookie_of(&sign_up(&world).await);
    world.clock.advance(Duration::from_mins(1));
    let code = world.ask_to_sign_in(ADA).await;
    let bearer = world.verify_login(ADA, &code).await.is_signed_in().token();

    let both = session(&world, &cookie).bearer(&bearer).await;
    let own = world.session(&bearer).await;
    assert_eq!(both.is(200)["session"]["id"], own["session"]["id"]);
    let wrong = session(&world, &cookie)
        .bearer("rubbish")
        .header("origin", PUBLIC);
    wrong.await.is(401).is_refused("session_required");

    let logout = world.logout(&bearer).header("cookie", &cookie).await;
    assert_eq!(logout.is(204).header("set-cookie"), "");
    session(&world, &cookie)
        .header("origin", PUBLIC)
        .await
        .is(200);
}

#[tokio::test]
async fn an_answer_that_extends_the_session_sets_the_cookie_again() {
    let world = production().await;
    let cookie = cookie_of(&sign_up(&world).await);
    let early = session(&world, &cookie).header("origin", PUBLIC).await;
    assert_eq!(early.is(200).header("set-cookie"), "");
    world.clock.advance(Duration::from_hours(1));
    let later = session(&world, &cookie).header("origin", PUBLIC).await;
    assert_eq!(cookie_of(later.is(200)), cookie);
    assert!(later.header("set-cookie").contains("Max-Age=86400;"));
    // Near the thirtieth day it lives as long as the session does, and no longer.
    for day in 1..31 {
        world.steps.taken("sessions.touch", day).await;
        world.clock.advance(Duration::from_hours(23));
        session(&world, &cookie)
            .header("origin", PUBLIC)
            .await
            .is(200);
    }
    world.steps.taken("sessions.touch", 31).await;
    world.clock.advance(Duration::from_hours(23));
    let last = session(&world, &cookie).header("origin", PUBLIC).await;
    let left = (30 * 24 - 1 - 31 * 23) * 60 * 60;
    let max_age = format!("Max-Age={left};");
    assert!(last.is(200).header("set-cookie").contains(&max_age));
}

#[tokio::test]
async fn refreshing_by_cookie_answers_by_cookie() {
    let world = production().await;
    let cookie = cookie_of(&sign_up(&world).await);
    let refresh = world.call(Method::POST, "/api/auth/refresh-session");
    let refresh = refresh.header("cookie", &cookie).header("origin", PUBLIC);
    let answer = refresh.await;
    let new = cookie_of(answer.is(200));
    assert_ne!(new, cookie);
    assert!(answer.body.get("session_token").is_none());
    session(&world, &new).header("origin", PUBLIC).await.is(200);
}

#[tokio::test]
async fn logging_out_takes_the_cookie_away() {
    let world = production().await;
    let cookie = cookie_of(&sign_up(&world).await);
    let gone = "__Host-aidlc_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure";
    // Also one that no session is left of.
    for _ in 0..2 {
        let logout = world.call(Method::POST, "/api/auth/logout");
        let logout = logout.header("cookie", &cookie).header("origin", PUBLIC);
        assert_eq!(logout.await.is(204).header("set-cookie"), gone);
    }
    session(&world, &cookie)
        .header("origin", PUBLIC)
        .await
        .is(401);
}

#[tokio::test]
async fn signing_in_again_by_cookie_replaces_the_session() {
    let world = production().await;
    let cookie = cookie_of(&sign_up(&world).await);
    let code = world.ask_to_sign_in(ADA).await;
    let verify = world.verify_login(ADA, &code).header("cookie", &cookie);
    let verify = verify.with("session_transport", "cookie");
    let new = cookie_of(verify.header("origin", PUBLIC).await.is(200));
    session(&world, &cookie)
        .header("origin", PUBLIC)
        .await
        .is(401);
    session(&world, &new).header("origin", PUBLIC).await.is(200);
}

#[tokio::test]
async fn pages_of_listed_origins_may_call_and_no_others() {
    let world = production().await;
    for (origin, may) in [
        (FRIEND, true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let preflight = world.call(Method::OPTIONS, "/api/auth/session");
        let preflight = preflight.header("origin", origin);
        let preflight = preflight
            .header("access-control-request-method", "GET")
            .await;
        let allowed = preflight.header("access-control-allow-origin");
        assert_eq!(allowed == FRIEND, may);
        let refusal = world
            .get("/api/auth/session")
            .header("origin", origin)
            .await;
        refusal.is_refused("session_required");
        let allowed = refusal.header("access-control-allow-origin");
        assert_eq!(allowed == FRIEND, may);
        let credentials = refusal.header("access-control-allow-credentials");
        assert!(!may || credentials == "true");
    }
}
