//! Mails over SES's API: what is called, what a refusal means for a mail, and what a look says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aidlc_auth::aws::Aws;
use aidlc_auth::mail::ses::Ses;
use aidlc_auth::mail::{Mail, NotSent, Transport, render};
use aidlc_auth::model::language::Language;
use jiff::SignedDuration;
use serde_json::json;

use super::email_stand_in::{Email, Instead, LOOK, SEND, account};
use super::letters::{PUBLIC_URL, Sample, from, rendered, sent_at};
use super::stand_in::KEY;
use super::world::{Lender, TestClock, config};

const ADA: &str = "ada@example.org";

struct World {
    clock: TestClock,
    email: Email,
    ses: Ses,
}

impl World {
    async fn new() -> Self {
        Self::with(Lender::of(KEY), None).await
    }

    async fn with(lender: Lender, configuration_set: Option<&str>) -> Self {
        let clock = TestClock::new();
        let email = Email::start(Arc::new(clock.clone())).await;
        let aws = Aws::with(config(&email.url, &lender), None, Arc::new(clock.clone())).unwrap();
        let set = configuration_set.map(str::to_owned);
        let ses = Ses::new(Arc::new(aws), "ap-northeast-2".into(), set);
        Self { clock, email, ses }
    }

    async fn send_to(&self, to: &str) -> Result<(), NotSent> {
        let mut mail = Mail::login(Language::Ko);
        mail.to = to.into();
        let message = render(&mail, &from(), PUBLIC_URL, sent_at())?;
        self.ses.send(&mail, &message).await
    }

    async fn refused(&self, instead: Instead) -> NotSent {
        self.email.instead(&[instead]);
        let why = self.send_to(ADA).await.unwrap_err();
        let text = why.to_string();
        assert!(!text.contains('@') && !text.contains("482913"), "{text}");
        why
    }
}

#[tokio::test]
async fn a_mail_is_one_signed_call() {
    let world = World::with(Lender::of(KEY), Some("our-set")).await;
    let mail = Mail::login(Language::Ko);
    let message = rendered(&mail);

    world.ses.send(&mail, &message).await.unwrap();

    world.email.was_called_as_aws_is();
    assert_eq!(world.email.calls(), [SEND]);
    let taken = &world.email.mails()[0];
    assert_eq!(taken.mail().into_bytes(), message.formatted());
    assert_eq!(taken.body["FromEmailAddress"], "no-reply@example.org");
    assert_eq!(taken.body["Destination"], json!({"ToAddresses": [ADA]}));
    assert_eq!(taken.body["ConfigurationSetName"], "our-set");

    let world = World::new().await;
    world.send_to(ADA).await.unwrap();
    assert_eq!(
        world.email.mails()[0].body.get("ConfigurationSetName"),
        None
    );
}

#[tokio::test]
async fn a_domain_goes_out_in_a_labels_and_other_letters_before_the_at_do_not() {
    let world = World::new().await;
    world.send_to("ada@xn--3e0b707e.kr").await.unwrap();
    let mail = world.email.mails()[0].mail();
    assert!(mail.contains("To: ada@xn--3e0b707e.kr\r\n"), "{mail}");

    let why = world.send_to("에이다@example.org").await.unwrap_err();
    assert!(
        matches!(&why, NotSent::Permanent(why) if why.contains("ASCII")),
        "{why:?}"
    );
    assert_eq!(world.email.calls().len(), 1);
}

#[tokio::test]
async fn who_is_throttled_sends_a_moment_later() {
    let world = World::new().await;
    let busy = Instead::Refuse(
        429,
        "TooManyRequestsException",
        "Maximum sending rate exceeded.",
    );
    world.email.instead(&[busy.clone(), busy.clone()]);
    world.send_to(ADA).await.unwrap();
    assert_eq!(world.email.mails().len(), 1);

    world.email.instead(&vec![busy; 9]);
    let why = world.send_to(ADA).await.unwrap_err();
    assert!(
        matches!(&why, NotSent::Temporary(why) if why.contains("daily quota")),
        "{why:?}"
    );
}

#[tokio::test]
async fn what_ses_refuses_is_told_with_its_remedy() {
    let world = World::new().await;
    let not_verified = |identity: &'static str| Instead::Refuse(400, "MessageRejected", identity);
    let sandbox = not_verified(
        "Email address is not verified. The following identities failed the check in region \
         AP-NORTHEAST-2: ada@example.org",
    );
    let why = world.refused(sandbox).await;
    assert!(matches!(&why, NotSent::Permanent(why) if why.contains("production access")));
    let sender = not_verified(
        "Email address is not verified. The following identities failed the check in region \
         AP-NORTHEAST-2: no-reply@example.org",
    );
    let why = world.refused(sender).await;
    assert!(matches!(&why, NotSent::Temporary(why) if why.contains("identity")));

    let before = world.email.calls().len();
    let denied = Instead::Refuse(
        403,
        "AccessDeniedException",
        "User is not authorized to perform ses:SendRawEmail on identity/ada@example.org",
    );
    let why = world.refused(denied).await;
    assert!(matches!(&why, NotSent::Temporary(why) if why.contains("ses:SendRawEmail")));
    assert_eq!(
        world.email.calls().len(),
        before + 1,
        "it is not asked again"
    );
    assert_eq!(world.email.mails().len(), 0);
}

#[tokio::test]
async fn a_silent_endpoint_costs_no_more_than_its_time() {
    let world = World::new().await;
    let ses = world.ses.giving_up_after(Duration::from_millis(300));
    world.email.instead(&[Instead::Hang]);
    let mail = Mail::login(Language::En);

    let began = Instant::now();
    let why = ses.send(&mail, &rendered(&mail)).await.unwrap_err();

    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert!(matches!(&why, NotSent::Temporary(why) if why.contains("VPC endpoint for `email`")));
}

#[tokio::test]
async fn a_role_s_key_that_ends_is_renewed_between_two_mails() {
    let lender = Lender::default();
    let world = World::with(lender.clone(), None).await;
    let in_minutes = |n| aidlc_auth::clock::Clock::now(&world.clock) + SignedDuration::from_mins(n);
    lender.lends("ASIAFIRST", "first", Some("token"), Some(in_minutes(30)));
    world.email.know(("ASIAFIRST", "first"), Some("token"));
    world.send_to(ADA).await.unwrap();

    lender.lends("ASIANEXT", "next", Some("other"), Some(in_minutes(90)));
    world.email.know(("ASIANEXT", "next"), Some("other"));
    world.clock.advance(26 * 60);
    world.send_to(ADA).await.unwrap();

    let keys: Vec<_> = world
        .email
        .mails()
        .into_iter()
        .map(|mail| mail.access_key)
        .collect();
    assert_eq!(keys, ["ASIAFIRST", "ASIANEXT"]);
    world.email.was_called_as_aws_is();
}

#[tokio::test]
async fn a_look_sends_nothing_and_is_good_for_a_while() {
    let world = World::new().await;
    world.ses.check().await.unwrap();
    world.ses.check().await.unwrap();
    assert_eq!(world.email.calls(), [LOOK]);
    world.email.was_called_as_aws_is();
}

#[tokio::test]
async fn a_look_fails_where_nothing_leaves_and_only_there() {
    for (standing, remedy) in [
        (account("HEALTHY", false, true), "switched off"),
        (account("SHUTDOWN", true, true), "shut this account down"),
    ] {
        let world = World::new().await;
        world.email.account(standing);
        for _ in 0..2 {
            let why = world.ses.check().await.unwrap_err().to_string();
            assert!(why.contains(remedy), "{why}");
        }
        // It is well again at once when the operator has seen to it.
        world.email.account(account("HEALTHY", true, true));
        world.ses.check().await.unwrap();
    }
    for standing in [
        account("PROBATION", true, true),
        account("HEALTHY", true, false),
    ] {
        let world = World::new().await;
        world.email.account(standing);
        world.ses.check().await.unwrap();
    }
}

#[tokio::test]
async fn who_may_not_look_or_looks_too_often_may_still_send() {
    let denied = Instead::Refuse(403, "AccessDeniedException", "no ses:GetAccount");
    let busy = Instead::Refuse(429, "TooManyRequestsException", "Too many requests");
    for instead in [vec![denied], vec![busy; 4]] {
        let world = World::new().await;
        world.email.instead(&instead);
        world.ses.check().await.unwrap();
    }
    let world = World::new().await;
    world.email.know(("ASIAOTHER", "other"), None);
    let why = world.ses.check().await.unwrap_err().to_string();
    assert!(why.contains("credentials of this process"), "{why}");
}
