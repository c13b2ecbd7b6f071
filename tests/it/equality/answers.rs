//! What is answered, and by which steps of the stores.

use std::collections::BTreeMap;
use std::time::Duration;

use aidlc_auth::model::user::Status;
use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::call::Call;
use crate::support::world::{World, client};

const KNOWN: &str = "known@example.org";
const UNKNOWN: &str = "unknown@example.com";
const PENDING: &str = "pending@example.net";
const DEACTIVATED: &str = "deactivated@example.edu";

/// The addresses that are asked about, each by a client of its own, and what each was last told.
struct Four {
    world: World,
    addresses: Vec<&'static str>,
    handles: BTreeMap<&'static str, String>,
}

/// All that somebody outside can see, and what it took.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    headers: Vec<String>,
    body: Value,
    steps: Vec<&'static str>,
}

impl Four {
    /// A day after two of them signed up and one was switched off, so that no budget remembers.
    async fn new() -> Self {
        let world = World::new().await;
        world.sign_up(KNOWN).await;
        world.sign_up(DEACTIVATED).await;
        world.set_status(DEACTIVATED, Status::Deactivated).await;
        world.clock.advance(Duration::from_hours(25));
        Self {
            world,
            addresses: vec![UNKNOWN, KNOWN, DEACTIVATED],
            handles: BTreeMap::new(),
        }
    }

    /// And one more, whose owner has not typed the code yet.
    async fn with_a_pending_one() -> Self {
        let mut four = Self::new().await;
        four.world.register(PENDING).await.is_accepted();
        four.world.mail_to(PENDING).await;
        four.addresses.push(PENDING);
        four
    }

    /// The same call about each of them; nobody may see a difference.
    async fn all(&mut self, make: impl Fn(&World, &'static str) -> Call) -> u16 {
        let mut first: Option<Seen> = None;
        for (number, address) in self.addresses.clone().into_iter().enumerate() {
            let mut call = make(&self.world, address).from(&client(number as u32));
            if let Some(handle) = self.handles.get(address)
                && call.wants_handle()
            {
                call = call.with("challenge_id", handle.as_str());
            }
            let before = self.world.steps.count();
            let answer = call.await;
            let steps = self.world.steps.since(before);
            if let Some(handle) = answer["challenge_id"].as_str() {
                self.handles.insert(address, handle.to_owned());
            }
            let seen = Seen {
                status: answer.status,
                headers: header_names(&answer),
                body: masked(answer.body, address),
                steps,
            };
            match &first {
                Some(first) => assert_eq!(&seen, first, "{address}"),
                None => first = Some(seen),
            }
        }
        first.unwrap().status
    }

    async fn each(&mut self, status: u16, make: impl Fn(&World, &'static str) -> Call) {
        assert_eq!(self.all(make).await, status);
    }

    async fn pass(&self, span: Duration) {
        self.world.steps.settled().await;
        self.world.clock.advance(span);
    }
}

fn header_names(answer: &Answer) -> Vec<String> {
    let names = answer.headers.keys().map(ToString::to_string);
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Without what is different in every answer: the names of the request, the handle and the address.
fn masked(mut body: Value, address: &str) -> Value {
    for field in ["request_id", "challenge_id"] {
        if body.get(field).is_some_and(Value::is_string) {
            body[field] = "…".into();
        }
    }
    if body.get("email").is_some() {
        assert_eq!(body["email"], address);
        body["email"] = "…".into();
    }
    body
}

fn login(world: &World, address: &str) -> Call {
    world.login(address)
}

fn wrong_password(world: &World, address: &str) -> Call {
    world.login(address).with("password", "wrong")
}

fn register(world: &World, address: &str) -> Call {
    world.register(address)
}

// "000000" is the code of one address in a million; the handle goes along where there is one.

fn verify_login(world: &World, address: &str) -> Call {
    world.verify_login(address, "000000").naming_the_challenge()
}

fn verify_login_blind(world: &World, address: &str) -> Call {
    world.verify_login(address, "000000")
}

fn verify_registration(world: &World, address: &str) -> Call {
    let verify = world.verify_registration(address, "000000");
    verify.naming_the_challenge()
}

fn verify_registration_blind(world: &World, address: &str) -> Call {
    world.verify_registration(address, "000000")
}

fn long_code(world: &World, address: &str) -> Call {
    let verify = world.verify_login(address, &"b".repeat(28));
    verify.naming_the_challenge()
}

fn resend_login(world: &World, address: &str) -> Call {
    world.resend(address, "login").naming_the_challenge()
}

fn resend_registration(world: &World, address: &str) -> Call {
    world.resend(address, "registration").naming_the_challenge()
}

#[tokio::test]
async fn nothing_asked_yet() {
    let mut four = Four::with_a_pending_one().await;
    four.each(400, verify_login_blind).await;
    four.each(400, verify_login_blind).await;
    let mut three = Four::new().await;
    three.each(400, verify_registration_blind).await;
    three.each(202, resend_registration).await;
    three.each(400, verify_registration).await;
}

#[tokio::test]
async fn signing_in_from_asking_to_the_end_of_the_guesses() {
    let mut four = Four::with_a_pending_one().await;
    four.each(202, login).await;
    four.each(429, login).await;
    four.each(429, resend_login).await;
    four.each(400, verify_login_blind).await;
    four.each(400, verify_login).await;
    four.each(400, long_code).await;
    four.pass(Duration::from_mins(1)).await;
    four.each(202, resend_login).await;
    for _ in 0..3 {
        four.each(400, verify_login).await;
    }
    // Exhausted, and what comes after.
    four.each(410, verify_login).await;
    four.each(400, verify_login_blind).await;
    four.each(400, long_code).await;
    four.each(429, login).await;
    four.pass(Duration::from_mins(1)).await;
    four.each(202, login).await;
    four.each(400, verify_login).await;
}

#[tokio::test]
async fn signing_in_too_late() {
    let mut four = Four::with_a_pending_one().await;
    four.each(202, login).await;
    four.pass(Duration::from_mins(15)).await;
    four.each(410, verify_login).await;
    four.each(400, verify_login_blind).await;
    four.each(410, long_code).await;
    four.each(202, resend_login).await;
    four.each(400, verify_login).await;
}

#[tokio::test]
async fn signing_in_after_the_days_guesses() {
    let mut four = Four::with_a_pending_one().await;
    for _ in 0..4 {
        four.each(202, login).await;
        for _ in 0..5 {
            four.each(400, verify_login).await;
        }
        four.pass(Duration::from_mins(1)).await;
    }
    four.each(429, verify_login).await;
    four.each(429, verify_login_blind).await;
    four.each(202, login).await;
    four.each(429, verify_login).await;
    four.each(400, long_code).await;
}

#[tokio::test]
async fn signing_in_after_the_owner_did() {
    let mut four = Four::with_a_pending_one().await;
    four.each(202, login).await;
    let mail = four.world.mail_to(KNOWN).await;
    let owner = four.world.verify_login(KNOWN, &mail.code);
    owner.from("192.0.2.1").await.is_signed_in();

    four.each(400, verify_login).await;
    four.each(400, verify_login_blind).await;
    four.each(400, long_code).await;
    four.each(429, login).await;
    four.pass(Duration::from_mins(1)).await;
    four.each(202, login).await;
    four.each(400, verify_login).await;
    four.pass(Duration::from_mins(13)).await;
    four.each(202, login).await;
    four.each(400, verify_login).await;
    four.pass(Duration::from_mins(15)).await;
    four.each(410, verify_login).await;
}

#[tokio::test]
async fn signing_in_with_a_wrong_password() {
    let mut four = Four::with_a_pending_one().await;
    for _ in 0..20 {
        four.each(401, wrong_password).await;
    }
    four.each(429, wrong_password).await;
    four.each(202, login).await;
    four.each(429, wrong_password).await;
    four.each(400, verify_login).await;
}

#[tokio::test]
async fn asking_more_often_than_an_hour_allows() {
    let mut four = Four::with_a_pending_one().await;
    for _ in 0..10 {
        four.each(202, login).await;
        four.pass(Duration::from_mins(1)).await;
    }
    four.each(429, login).await;
    four.each(429, resend_login).await;
    four.each(400, verify_login).await;
}

#[tokio::test]
async fn registering_from_asking_to_the_end_of_the_guesses() {
    let mut three = Four::new().await;
    three.each(202, register).await;
    three.each(429, register).await;
    three.each(429, resend_registration).await;
    three.each(400, verify_registration_blind).await;
    three.pass(Duration::from_mins(1)).await;
    three.each(202, resend_registration).await;
    for _ in 0..4 {
        three.each(400, verify_registration).await;
    }
    three.each(410, verify_registration).await;
    three.each(400, verify_registration_blind).await;
    three.pass(Duration::from_mins(1)).await;
    three.each(202, register).await;
    three.each(400, verify_registration).await;
    three.pass(Duration::from_mins(15)).await;
    three.each(410, verify_registration).await;
    three.each(400, verify_registration_blind).await;
    three.each(202, register).await;
}

#[tokio::test]
async fn registering_after_the_owner_did() {
    let mut three = Four::new().await;
    three.each(202, register).await;
    // The one without an account gets one now.
    let mail = three.world.mail_to(UNKNOWN).await;
    let owner = three.world.verify_registration(UNKNOWN, &mail.code);
    owner.from("192.0.2.1").await.is_signed_in();

    three.each(400, verify_registration).await;
    three.each(400, verify_registration_blind).await;
    three.each(429, register).await;
    three.each(429, resend_registration).await;
    three.pass(Duration::from_mins(1)).await;
    three.each(202, resend_registration).await;
    three.each(400, verify_registration).await;
    three.pass(Duration::from_mins(1)).await;
    three.each(202, register).await;
    three.each(400, verify_registration).await;
    three.each(202, login).await;
}

#[tokio::test]
async fn a_client_over_its_limits() {
    let mut four = Four::with_a_pending_one().await;
    for n in 0..30 {
        for client_number in 0..4 {
            let login = four.world.login(&format!("u{n}@c{client_number}.example"));
            login.from(&client(client_number)).await.is_accepted();
        }
    }
    four.each(429, login).await;
    four.each(429, wrong_password).await;
    four.each(429, register).await;
    four.each(429, resend_registration).await;
    four.each(400, verify_login_blind).await;
}
