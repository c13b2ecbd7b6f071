//! Many at once, from many places: what is counted is counted exactly.

use std::time::Duration;

use reqwest::Method;

use crate::support::answer::Answer;
use crate::support::call::at_once;
use crate::support::world::{World, client, other_than};

const ADA: &str = "ada@example.org";

fn count(answers: &[Answer], is_it: impl Fn(&Answer) -> bool) -> usize {
    answers.iter().filter(|answer| is_it(answer)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_right_codes_at_once_one_signs_in() {
    let world = World::lasting(&[]).await;
    let first = world.sign_up(ADA).await.token();
    world.logout(&first).await;
    let code = world.ask_to_sign_in(ADA).await;
    let calls = (0..64).map(|n| world.verify_login(ADA, &code).from(&client(n)));
    let answers = at_once(calls).await;
    let (signed_in, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(signed_in.len(), 1);
    for answer in &refused {
        assert!(matches!(answer.status, 400 | 429), "{}", answer.text);
    }
    let list = world.sessions(&signed_in[0].token()).await;
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_32_registrations_in_four_spellings_one_becomes_the_account() {
    let world = World::lasting(&[]).await;
    let spellings = [
        ADA,
        "Ada@example.org",
        "ADA@EXAMPLE.ORG",
        " ada@Example.org ",
    ];
    let calls = (0..32).map(|n| {
        let register = world.register(spellings[n as usize % 4]);
        register.from(&client(n))
    });
    let answers = at_once(calls).await;
    assert_eq!(count(&answers, |answer| answer.status == 202), 1);
    let mails = world.mails().await;
    assert_eq!(mails.len(), 1);

    let calls = (0..32).map(|n| {
        let verify = world.verify_registration(spellings[n as usize % 4], &mails[0].code);
        verify.from(&client(n))
    });
    let answers = at_once(calls).await;
    let opened: Vec<_> = answers.iter().filter(|it| it.status == 201).collect();
    assert_eq!(opened.len(), 1);
    let user = world.user(ADA).await.unwrap();
    assert_eq!(opened[0]["user"]["id"], user.id.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_60_wrong_guesses_at_once_five_are_looked_at() {
    let world = World::lasting(&[]).await;
    world.sign_up(ADA).await;
    let asked = world.login(ADA).await;
    let mail = world.mail_to(ADA).await;
    let calls = (0..60).map(|n| {
        let guess = world.verify_login(ADA, &other_than(&mail.code));
        let guess = guess.with("challenge_id", asked.challenge_id());
        guess.from(&client(n))
    });
    let answers = at_once(calls).await;
    let mut left: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer["tries_left"].as_u64())
        .collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4]);
    assert_eq!(count(&answers, |it| it["code"] == "code_gone"), 55);

    let short = world.verify_login(ADA, &mail.code).await;
    short.is_refused("code_refused");
    world
        .verify_login(ADA, &mail.long_code)
        .await
        .is_signed_in();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_guesses_from_a_thousand_places_are_twenty_a_day() {
    let world = World::new().await;
    world.sign_up(ADA).await;
    world.clock.advance(Duration::from_hours(25));
    // Over two days, so that the budget is seen to move with the clock.
    let between = Duration::from_secs(2 * 24 * 60 * 60 / 100);
    let (mut evaluated, mut client_number, mut handle) = (Vec::new(), 0, String::new());
    for round in 0..100 {
        let asked = world.login(ADA).from(&client(5000 + round)).await;
        if asked.status == 202 {
            handle = asked.challenge_id();
        }
        let calls: Vec<_> = (0..10)
            .map(|_| {
                client_number += 1;
                let guess = world.verify_login(ADA, &other_than("000000"));
                let guess = guess.with("challenge_id", handle.as_str());
                guess.from(&client(client_number))
            })
            .collect();
        let answers = at_once(calls).await;
        let seen = count(&answers, |it| it["code"] == "code_wrong");
        let now = aidlc_auth::clock::Clock::now(&world.clock).as_microsecond();
        evaluated.extend(std::iter::repeat_n(now, seen));
        world.clock.advance(between);
    }
    let day = 24 * 60 * 60 * 1_000_000;
    for (number, start) in evaluated.iter().enumerate() {
        let window = evaluated[number..].iter().filter(|at| **at < start + day);
        assert!(window.count() <= 20);
    }
    assert_eq!(evaluated.len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_16_that_end_all_others_at_once_none_ends_this_one() {
    let world = World::lasting(&[("LIMITS_ENABLED", "false")]).await;
    world.sign_up(ADA).await;
    world.sign_in(ADA).await;
    let token = world.sign_in(ADA).await.token();
    let calls = (0..16).map(|_| {
        let call = world.call(Method::DELETE, "/api/auth/sessions");
        call.bearer(&token)
    });
    for answer in at_once(calls).await {
        answer.is(204);
    }
    let list = world.sessions(&token).await;
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
}
