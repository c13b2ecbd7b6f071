//! Two copies of the service on the same stores: none of them is special, and nothing is counted twice
//! or not at all because it came to the other.

use std::collections::BTreeMap;
use std::time::Duration;

use aidlc_auth::model::user::Status;
use reqwest::Method;
use serde_json::json;

use super::{ADA, sessions_of};
use crate::support::answer::Answer;
use crate::support::call::at_once;
use crate::support::world::{World, client, other_than};

/// Longer than two mails are apart.
const NEXT_MAIL: Duration = Duration::from_secs(61);

/// Two keys, and the three lists that a rotation goes through.
const OLD: &str = "k1:QmVjYXVzZSBhIHRlc3QgbmVlZHMgc29tZSBrZXkgdG9vLg==";
const NEW: &str = "k2:VGhlIG5leHQga2V5LCBmb3Igd2hlbiBrMSBpcyBvbGQgLi4=";

async fn two() -> [World; 2] {
    let one = World::new().await;
    let other = one.beside(&[]).await;
    [one, other]
}

fn count(answers: &[Answer], is_it: impl Fn(&Answer) -> bool) -> usize {
    answers.iter().filter(|answer| is_it(answer)).count()
}

#[tokio::test]
async fn a_code_asked_of_one_is_taken_by_the_other() {
    let [one, other] = two().await;

    let code = one.ask_to_register(ADA).await;
    let token = other.verify_registration(ADA, &code).await.is(201).token();
    one.session(&token).await.is(200);

    let code = other.ask_to_sign_in(ADA).await;
    let token = one.verify_login(ADA, &code).await.is_signed_in().token();
    other.session(&token).await.is(200);
    other
        .verify_login(ADA, &code)
        .await
        .is_refused("code_refused");
}

#[tokio::test]
async fn what_ends_at_one_is_over_at_the_other_by_the_next_request() {
    let [one, other] = two().await;
    let token = one.sign_up(ADA).await.token();
    // Seen, so that whatever could be remembered is.
    other.session(&token).await.is(200);
    one.logout(&token).await.is(204);
    other.session(&token).await.is(401);

    let first = one.sign_in(ADA).await.token();
    one.clock.advance(NEXT_MAIL);
    let second = other.sign_in(ADA).await.token();
    other.session(&first).await.is(200);
    let ended = one.call(Method::DELETE, "/api/auth/sessions");
    ended.bearer(&second).await.is(204);
    other.session(&first).await.is(401);

    other.session(&second).await.is(200);
    one.set_status(ADA, Status::Deactivated).await;
    other.session(&second).await.is(401);
    other.refresh(&second).await.is(401);
}

#[tokio::test]
async fn a_profile_changed_at_one_is_shown_by_the_other() {
    let [one, other] = two().await;
    let token = one.sign_up(ADA).await.token();
    other.session(&token).await.is(200);

    let change = one.call(Method::PATCH, "/api/profile").bearer(&token);
    change.json(json!({"full_name": "Ada King"})).await.is(200);

    for path in ["/api/profile", "/api/auth/session"] {
        let shown = other.get(path).bearer(&token).await;
        assert!(shown.text.contains("Ada King"), "{path}: {}", shown.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_right_codes_split_over_both_one_signs_in() {
    let worlds = two().await;
    let first = worlds[0].sign_up(ADA).await.token();
    worlds[0].logout(&first).await.is(204);
    let code = worlds[0].ask_to_sign_in(ADA).await;

    let calls = (0..64).map(|n| {
        let world = &worlds[n as usize % 2];
        world.verify_login(ADA, &code).from(&client(n))
    });
    let answers = at_once(calls).await;

    assert_eq!(count(&answers, |it| it.status == 200), 1);
    assert_eq!(
        count(&answers, |it| matches!(it.status, 200 | 400 | 429)),
        64
    );
    let user = worlds[0].user(ADA).await.unwrap().id;
    assert_eq!(sessions_of(user, &worlds[1]).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_32_proofs_split_over_both_one_becomes_the_account() {
    let worlds = two().await;
    let code = worlds[0].ask_to_register(ADA).await;

    let calls = (0..32).map(|n| {
        let world = &worlds[n as usize % 2];
        world.verify_registration(ADA, &code).from(&client(n))
    });
    let answers = at_once(calls).await;

    let opened: Vec<_> = answers.iter().filter(|it| it.status == 201).collect();
    assert_eq!(opened.len(), 1);
    let user = worlds[1].user(ADA).await.unwrap();
    assert_eq!(opened[0]["user"]["id"], user.id.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_60_wrong_guesses_split_over_both_five_are_looked_at() {
    let worlds = two().await;
    worlds[0].sign_up(ADA).await;
    let asked = worlds[1].login(ADA).await;
    let code = worlds[1].mail_to(ADA).await.code;

    let calls = (0..60).map(|n| {
        let world = &worlds[n as usize % 2];
        let guess = world.verify_login(ADA, &other_than(&code));
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_40_who_ask_at_both_for_one_address_one_is_mailed() {
    let worlds = two().await;
    worlds[0].sign_up(ADA).await;
    worlds[0].clock.advance(NEXT_MAIL);
    let before = worlds[0].mails_to(ADA).await.len();

    let calls = (0..40).map(|n| {
        let world = &worlds[n as usize % 2];
        world.login(ADA).from(&client(n))
    });
    let answers = at_once(calls).await;

    assert_eq!(count(&answers, |it| it.status == 202), 1);
    assert_eq!(count(&answers, |it| it.status == 429), 39);
    for world in &worlds {
        world.steps.settled().await;
    }
    assert_eq!(worlds[0].mails_to(ADA).await.len(), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_one_budget_for_both() {
    let worlds = two().await;

    let calls = (0..40).map(|n| {
        let world = &worlds[n % 2];
        world.login(&format!("user{n}@example.org"))
    });
    let answers = at_once(calls).await;

    assert_eq!(count(&answers, |it| it.status == 202), 30);
    assert_eq!(count(&answers, |it| it.status == 429), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sign_ins_at_both_three_sessions_are_kept() {
    let worlds = two().await;
    worlds[0].sign_up(ADA).await;
    for n in 0..6 {
        worlds[0].clock.advance(NEXT_MAIL);
        let codes = &worlds[n % 2];
        let code = codes.ask_to_sign_in(ADA).await;
        let token = worlds[(n + 1) % 2].verify_login(ADA, &code).await.token();
        let list = codes.sessions(&token).await;
        let sessions = list["sessions"].as_array().unwrap().len();
        assert_eq!(sessions, (n + 2).min(3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_32_refreshes_split_over_both_all_get_the_same_token() {
    let worlds = two().await;
    let old = worlds[0].sign_up(ADA).await.token();

    let answers = at_once((0..32).map(|n| worlds[n % 2].refresh(&old))).await;

    let new = answers[0].token();
    for answer in &answers {
        assert_eq!(answer.is(200).token(), new);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nothing_fails_each_mail_is_sent_once() {
    // Every form's password is hashed, and none is to be turned away for that.
    let settings = [("PASSWORD_QUEUE", "100")];
    let one = World::with(&settings).await;
    let worlds = [one.beside(&settings).await, one];
    let address = |n: u32| format!("user{n}@example.org");

    let calls = (0..24).map(|n| {
        let world = &worlds[n as usize % 2];
        world.register(&address(n)).from(&client(n))
    });
    let answers = at_once(calls).await;
    assert_eq!(count(&answers, |it| it.status == 202), 24);
    // Both look for what the other may have left behind, while much is still on its way.
    tokio::join!(worlds[0].send_what_is_due(), worlds[1].send_what_is_due());
    for world in &worlds {
        world.steps.settled().await;
    }

    let mut mails = BTreeMap::<_, u32>::new();
    for mail in worlds[0].inbox.all() {
        *mails.entry(mail.to).or_default() += 1;
    }
    let once = (0..24).map(|n| (address(n), 1)).collect();
    assert_eq!(mails, once);
    // Nor is any left that would be sent later.
    worlds[0].clock.advance(Duration::from_mins(5));
    worlds[0].send_what_is_due().await;
    assert_eq!(worlds[0].inbox.all().len(), 24);
}

#[tokio::test]
async fn through_a_rotation_of_keys_both_understand_one_another() {
    let lists = [
        [OLD.to_owned(), format!("{OLD},{NEW}")],
        [format!("{OLD},{NEW}"), format!("{NEW},{OLD}")],
        [format!("{NEW},{OLD}"), NEW.to_owned()],
    ];
    for keys in &lists {
        let base = World::new().await;
        let one = base.beside(&[("SECRET_KEYS", &keys[0])]).await;
        let other = base.beside(&[("SECRET_KEYS", &keys[1])]).await;
        for (email, asked, verified) in [
            ("ada@example.org", &one, &other),
            ("bob@example.org", &other, &one),
        ] {
            let form = asked.register(email).await;
            let code = asked.mail_to(email).await.code;
            let proof = verified.verify_registration(email, &code);
            let proof = proof.with("challenge_id", form.challenge_id()).await;
            let old = proof.is(201).token();

            let tokens = at_once([asked.refresh(&old), verified.refresh(&old)]).await;
            let new = tokens[0].is_signed_in().token();
            assert_eq!(tokens[1].is_signed_in().token(), new, "{keys:?}");

            // Asked of the one, and again of the other: the same code comes.
            base.clock.advance(NEXT_MAIL);
            let code = asked.ask_to_sign_in(email).await;
            base.clock.advance(NEXT_MAIL);
            assert_eq!(verified.ask_to_sign_in(email).await, code, "{keys:?}");
            verified.verify_login(email, &code).await.is_signed_in();
        }
    }
}
