//! What SES reports over its topic: refusals first, and then that a suppressed address gets no mail
//! while nobody outside can tell.

use std::sync::Arc;
use std::time::Duration;

use aidlc_auth::model::suppression::{Reason, Suppression};
use aidlc_auth::store::Error;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::topic::{
    ARN, CERTIFICATE, CONFIRM, HOST, Pages, Signer, bounce, complaint, confirmation, notification,
    topic,
};
use crate::support::world::{World as Service, address, client};

const PATH: &str = "/api/mail/notifications";
const ADA: &str = "ada@example.org";
const BOB: &str = "bob@example.org";

/// A service that a topic posts to.
struct World {
    service: Service,
    pages: Arc<Pages>,
    signer: Signer,
}

impl World {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let (pages, signer, notices) = topic();
        Self {
            service: Service::told_by(notices, settings).await,
            pages,
            signer,
        }
    }

    /// Posts as SNS does.
    async fn post(&self, body: &Value) -> Answer {
        let call = self.service.call(Method::POST, PATH);
        let kind = body["Type"].as_str().unwrap_or("Notification");
        let call = call.header("x-amz-sns-message-type", kind);
        call.send_text(body.to_string()).await
    }

    /// A report that SNS signed.
    async fn reported(&self, message: &Value) -> Answer {
        self.post(&self.signer.sign(notification(message))).await
    }

    /// It is not believed, and nothing follows from it.
    async fn refuses(&self, body: &Value) {
        self.post(body)
            .await
            .is(403)
            .is_refused("notification_refused");
        assert_eq!(self.suppression(ADA).await, None, "{body}");
    }

    async fn suppression(&self, email: &str) -> Option<Suppression> {
        let users = &self.service.stores.users;
        users.suppression(&address(email)).await.unwrap()
    }
}

fn bounced() -> Value {
    notification(&bounce("Permanent", ADA))
}

/// With one field another.
fn with(mut post: Value, field: &str, value: &str) -> Value {
    post[field] = value.into();
    post
}

#[tokio::test]
async fn without_a_topic_there_is_nothing() {
    let service = Service::new().await;
    let answer = service.call(Method::POST, PATH).send_text("{}").await;
    let unknown = service.call(Method::POST, "/api/mail/nothing");
    let unknown = unknown.send_text("{}").await;
    for answer in [&answer, &unknown] {
        answer.is(404).is_refused("not_found");
    }
    assert_eq!(answer["detail"], unknown["detail"]);

    let world = World::new().await;
    world.service.get(PATH).await.is(405);
}

#[tokio::test]
async fn what_is_no_json_or_too_large_is_refused_unread() {
    let world = World::new().await;
    let post = |body: Vec<u8>| world.service.call(Method::POST, PATH).send_text(body);
    post(b"{".to_vec())
        .await
        .is(400)
        .is_refused("malformed_json");
    let large = post(vec![b' '; 64 * 1024 + 1]).await;
    large.is(413).is_refused("body_too_large");
    for body in [
        json!({}),
        json!([]),
        json!({"Type": "Notification"}),
        json!("x"),
    ] {
        world.refuses(&body).await;
    }
    assert_eq!(world.pages.asked(), [""; 0]);
}

#[tokio::test]
async fn what_does_not_name_our_topic_and_sns_s_own_host_makes_nobody_be_asked() {
    let world = World::new().await;
    let sign = |post| world.signer.sign(post);
    for other in [
        "arn:aws:sns:ap-northeast-2:123456789012:mail2",
        "",
        ARN.trim_end_matches('l'),
    ] {
        world
            .refuses(&sign(with(bounced(), "TopicArn", other)))
            .await;
    }
    for url in [
        "http://sns.ap-northeast-2.amazonaws.com/a.pem",
        "https://sns.us-east-1.amazonaws.com/a.pem",
        "https://sns.ap-northeast-2.amazonaws.com.evil.example/a.pem",
        "https://sns.ap-northeast-2.amazonaws.com:8443/a.pem",
        "https://sns.ap-northeast-2.amazonaws.com:443/a.pem",
        "https://evil@sns.ap-northeast-2.amazonaws.com/a.pem",
        "https://sns.ap-northeast-2.amazonaws.com@evil.example/a.pem",
        "https://sns.ap-northeast-2.amazonaws.com/a.pem?x=1",
        "https://sns.ap-northeast-2.amazonaws.com/a.crt",
        "https://sns.ap-northeast-2.amazonaws.com.cn/a.pem",
        "https://evil.example/sns.ap-northeast-2.amazonaws.com/a.pem",
        "//sns.ap-northeast-2.amazonaws.com/a.pem",
        "file:///etc/a.pem",
        "https://sns.ap-northeast-2.amazonaws.com\\@evil.example/a.pem",
        "",
    ] {
        world
            .refuses(&sign(with(bounced(), "SigningCertURL", url)))
            .await;
    }
    for version in ["1", "3", ""] {
        let post = with(bounced(), "SignatureVersion", version);
        world.refuses(&sign(post)).await;
    }
    for stamp in [
        "2026-11-22T07:59:59Z",
        "2026-11-22T09:10:01Z",
        "yesterday",
        "",
    ] {
        world
            .refuses(&sign(with(bounced(), "Timestamp", stamp)))
            .await;
    }
    for kind in ["Message", "notification", ""] {
        world.refuses(&sign(with(bounced(), "Type", kind))).await;
    }
    let signed = sign(bounced());
    world
        .refuses(&with(signed, "Signature", "no base64!"))
        .await;
    assert_eq!(world.pages.asked(), [""; 0]);
}

#[tokio::test]
async fn what_was_changed_or_forged_is_refused() {
    let world = World::new().await;
    let signed = world.signer.sign(bounced());
    for (field, other) in [
        ("Message", bounce("Permanent", BOB).to_string().as_str()),
        ("MessageId", "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf325"),
        ("Subject", "Another"),
        ("Timestamp", "2026-11-22T09:04:59.656Z"),
        ("Signature", "AAAA"),
    ] {
        world.refuses(&with(signed.clone(), field, other)).await;
    }
    let mut without = signed.clone();
    without.as_object_mut().unwrap().remove("Subject");
    world.refuses(&without).await;
    let stranger = Signer::new();
    world.refuses(&stranger.sign(bounced())).await;
    // And whatever a bounce is signed as is not a bounce.
    let as_other = with(signed, "Type", "UnsubscribeConfirmation");
    world.refuses(&as_other).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_sns_s_is_not_believed() {
    let ours = Signer::new();
    for (signer, pem) in [
        // The real one stands alone; a chain that came along has to lead somewhere.
        (&ours, ours.chain.clone()),
        (&Signer::made_out("sns.amazonaws.com", 2026), String::new()),
        (&Signer::made_out("sns.example.org", 2027), String::new()),
        (
            &Signer::made_out("sns.us-east-1.amazonaws.com", 2027),
            String::new(),
        ),
        (&ours, "no certificate".into()),
        (&ours, "x".repeat(64 * 1024)),
    ] {
        let world = World::new().await;
        let pem = if pem.is_empty() { &signer.pem } else { &pem };
        world.pages.put(CERTIFICATE, 200, pem);
        world.refuses(&signer.sign(bounced())).await;
    }
    let regional = Signer::made_out("sns-signing.ap-northeast-2.amazonaws.com", 2027);
    let world = World::new().await;
    world.pages.put(CERTIFICATE, 200, &regional.pem);
    world.post(&regional.sign(bounced())).await.is(200);
}

#[tokio::test]
async fn a_certificate_is_fetched_once() {
    let world = World::new().await;
    let message = bounce("Permanent", ADA);
    let posts = (0..8).map(|_| world.reported(&message));
    for answer in futures_util::future::join_all(posts).await {
        answer.is(200);
    }
    assert_eq!(world.pages.asked(), [CERTIFICATE]);
    // Ten years later it has long expired.
    world
        .service
        .clock
        .advance(Duration::from_hours(10 * 366 * 24));
    let late = with(bounced(), "Timestamp", &world.service.app.now().to_string());
    let late = world.signer.sign(late);
    world.post(&late).await.is(403);
    assert_eq!(world.pages.asked(), [CERTIFICATE]);
}

#[tokio::test]
async fn looking_in_vain_is_bounded() {
    let world = World::new().await;
    let at = |n: u32| {
        let url = format!("{HOST}/{n}.pem");
        world.signer.sign(with(bounced(), "SigningCertURL", &url))
    };
    world.pages.put(&format!("{HOST}/1.pem"), 404, "");
    world.refuses(&at(1)).await;
    // Known to be in vain; others pause.
    world.refuses(&at(1)).await;
    for n in 2..20 {
        world.post(&at(n)).await.is(503).is_refused("unavailable");
    }
    assert_eq!(world.pages.asked().len(), 1);
    world.service.clock.advance(Duration::from_secs(1));
    // Away is not in vain: it may be back.
    for status in [Some(500), None, Some(200)] {
        if let Some(status) = status {
            world
                .pages
                .put(&format!("{HOST}/2.pem"), status, &world.signer.pem);
        } else {
            world.pages.take_away(&format!("{HOST}/2.pem"));
        }
        let expected = if status == Some(200) { 200 } else { 503 };
        world.post(&at(2)).await.is(expected);
        world.service.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(world.pages.asked().len(), 4);
}

#[tokio::test]
async fn a_subscription_is_confirmed_at_sns_s_own_host() {
    let world = World::new().await;
    let question = confirmation("SubscriptionConfirmation");
    for elsewhere in [
        "https://evil.example/?Action=ConfirmSubscription",
        "https://sns.ap-northeast-2.amazonaws.com.evil.example/?Action=ConfirmSubscription",
        "http://sns.ap-northeast-2.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.ap-northeast-2.amazonaws.com/elsewhere?Action=ConfirmSubscription",
        "https://sns.ap-northeast-2.amazonaws.com/",
    ] {
        let question = with(question.clone(), "SubscribeURL", elsewhere);
        world.refuses(&world.signer.sign(question)).await;
    }
    world
        .refuses(&with(question.clone(), "Signature", "AAAA"))
        .await;
    assert_eq!(world.pages.asked(), [CERTIFICATE]);

    let signed = world.signer.sign(question);
    // SNS is away, and posts it again.
    world.post(&signed).await.is(503).is_refused("unavailable");
    world.pages.put(CONFIRM, 403, "");
    world.post(&signed).await.is(503);
    world
        .pages
        .put(CONFIRM, 200, "<ConfirmSubscriptionResponse/>");
    world.post(&signed).await.is(200);
    assert_eq!(
        world.pages.asked(),
        [CERTIFICATE, CONFIRM, CONFIRM, CONFIRM]
    );

    // Whoever unsubscribes us meant it.
    let farewell = world.signer.sign(confirmation("UnsubscribeConfirmation"));
    world.post(&farewell).await.is(200);
    assert_eq!(world.pages.asked().len(), 4);
}

#[tokio::test]
async fn only_what_lasts_suppresses() {
    let world = World::new().await;
    for message in [
        bounce("Transient", ADA),
        bounce("Undetermined", ADA),
        complaint(ADA, "not-spam"),
        json!({"eventType": "Delivery", "delivery": {"recipients": [ADA]}}),
        json!("Successfully validated SNS topic for Amazon SES event publishing."),
    ] {
        world.reported(&message).await.is(200);
        assert_eq!(world.suppression(ADA).await, None, "{message}");
    }
    world.reported(&complaint(ADA, "abuse")).await.is(200);
    let suppression = world.suppression(ADA).await.unwrap();
    assert_eq!(
        (suppression.reason, &*suppression.detail),
        (Reason::Complaint, "abuse")
    );
    world.reported(&bounce("Permanent", BOB)).await.is(200);
    assert_eq!(world.suppression(BOB).await.unwrap().detail, "NoEmail");
}

#[tokio::test]
async fn a_report_that_comes_twice_is_told_once() {
    let world = World::new().await;
    for _ in 0..3 {
        world
            .reported(&bounce("Permanent", "Ada@Example.org"))
            .await
            .is(200);
    }
    let row = world.service.steps.audited("suppression", "bounce").await;
    let pseudonym = world.service.app.keys.pseudonym(ADA);
    assert_eq!(row.subject, Some(pseudonym));
    assert_eq!(world.service.steps.count_audited("suppression"), 1);
}

#[tokio::test]
async fn a_store_that_is_away_has_it_posted_again() {
    let world = World::new().await;
    let away = Error::Unavailable("away".into());
    world.service.steps.fail("users.suppress", away);
    let refused = world.reported(&bounce("Permanent", ADA)).await;
    refused.is(503).is_refused("unavailable");
    world.service.steps.mend();
    world.reported(&bounce("Permanent", ADA)).await.is(200);
    assert!(world.suppression(ADA).await.is_some());
}

#[tokio::test]
async fn a_storm_of_reports_is_not_limited_as_a_client_is() {
    let limits = [("CLIENT_CODE_REQUESTS", "1"), ("CLIENT_GUESSES", "1")];
    let world = World::with(&limits).await;
    for n in 0..20 {
        let address = format!("user-{n}@example.org");
        world.reported(&bounce("Permanent", &address)).await.is(200);
    }
}

/// All of an answer that may not depend on whose address it is about.
fn seen(answer: &Answer, email: &str) -> (u16, Vec<String>, String) {
    let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    names.sort();
    let handle = answer.challenge_id();
    let masked = answer.text.replace(&handle, "…").replace(email, "…");
    let masked = masked.replace(answer.header("x-request-id"), "…");
    (answer.status, names, masked)
}

#[tokio::test]
async fn a_suppressed_address_gets_no_mail_and_nobody_can_tell() {
    let world = World::new().await;
    let service = &world.service;
    for email in [ADA, BOB] {
        service.sign_up(email).await;
    }
    world.reported(&bounce("Permanent", ADA)).await.is(200);
    service.clock.advance(Duration::from_hours(25));
    let before = service.mails().await.len();

    let mut answers = Vec::new();
    for (n, email) in [ADA, BOB].into_iter().enumerate() {
        let steps = service.steps.count();
        let answer = service.login(email).from(&client(n as u32)).await;
        answer.is_accepted();
        let length = answer.challenge_id().len();
        answers.push((seen(&answer, email), length, service.steps.since(steps)));
    }
    assert_eq!(answers[0], answers[1]);
    let row = service.steps.audited("mail", "suppressed").await;
    assert_eq!(row.subject, Some(service.app.keys.pseudonym(ADA)));
    let mails = service.mails().await;
    let to: Vec<_> = mails[before..]
        .iter()
        .map(|mail| mail.to.as_str())
        .collect();
    assert_eq!(to, [BOB]);

    // A code that is guessed or known from elsewhere is checked as ever; and lifting it lets mail out.
    let lifted = service.operator();
    let users = &service.stores.users;
    assert!(users.unsuppress(&address(ADA), &lifted).await.unwrap());
    service.clock.advance(Duration::from_mins(2));
    service.login(ADA).await.is_accepted();
    let mail = service.mails_to(ADA).await.pop().unwrap();
    service.verify_login(ADA, &mail.code).await.is_signed_in();
}
