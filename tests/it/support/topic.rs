//! An SNS topic, as far as its subscribers see it: it signs what it posts, and has pages of its own with
//! its certificates and for confirmations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aidlc_auth::aws::sns::{Topic, Web};
use aidlc_auth::mail::ses::notices::TopicNotices;
use async_trait::async_trait;
use axum::http::Uri;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_RSA_SHA256, SigningKey as _, date_time_ymd,
};
use serde_json::{Value, json};

pub const ARN: &str = "arn:aws:sns:ap-northeast-2:123456789012:mail";
pub const HOST: &str = "https://sns.ap-northeast-2.amazonaws.com";
pub const CERTIFICATE: &str =
    "https://sns.ap-northeast-2.amazonaws.com/SimpleNotificationService-0a1b2c.pem";
pub const CONFIRM: &str = "https://sns.ap-northeast-2.amazonaws.com/?Action=ConfirmSubscription\
     &TopicArn=arn:aws:sns:ap-northeast-2:123456789012:mail&Token=2336412f37fb";

/// SNS's pages: a status and a body by URL, and who was asked for.
#[derive(Default)]
pub struct Pages {
    pages: Mutex<BTreeMap<String, (u16, String)>>,
    asked: Mutex<Vec<String>>,
}

impl Pages {
    pub fn put(&self, url: &str, status: u16, body: &str) {
        let page = (status, body.to_owned());
        self.pages.lock().unwrap().insert(url.to_owned(), page);
    }

    /// Nobody answers there any more.
    pub fn take_away(&self, url: &str) {
        self.pages.lock().unwrap().remove(url);
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Web for Pages {
    async fn get(&self, url: &Uri) -> Result<(u16, Bytes), String> {
        let url = url.to_string();
        self.asked.lock().unwrap().push(url.clone());
        let page = self.pages.lock().unwrap().get(&url).cloned();
        let (status, body) = page.ok_or("connection refused")?;
        Ok((status, body.into()))
    }
}

/// What signs for SNS.
pub struct Signer {
    key: KeyPair,
    /// The certificate alone, as SNS serves it.
    pub pem: String,
    /// And its issuer's after it.
    pub chain: String,
}

impl Signer {
    /// As SNS's: made out to it, and valid in the tests' time.
    pub fn new() -> Self {
        Self::made_out("sns.amazonaws.com", 2027)
    }

    pub fn made_out(name: &str, until_year: i32) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap());
        let authority = authority.unwrap();
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut own = CertificateParams::new(vec![name.to_owned()]).unwrap();
        own.not_before = date_time_ymd(2026, 1, 1);
        own.not_after = date_time_ymd(until_year, 1, 1);
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let pem = own.signed_by(&key, &authority).unwrap().pem();
        Self {
            chain: format!("{pem}{}", authority.pem()),
            key,
            pem,
        }
    }

    /// Signs a post as SNS does, whatever is in it.
    pub fn sign(&self, mut post: Value) -> Value {
        let signature = self.key.sign(canonical(&post).as_bytes()).unwrap();
        post["Signature"] = BASE64.encode(signature).into();
        post
    }
}

/// What SNS signs, from its description and not from the code that checks it.
fn canonical(post: &Value) -> String {
    let names: &[&str] = match post["Type"].as_str() {
        Some("SubscriptionConfirmation" | "UnsubscribeConfirmation") => &[
            "Message",
            "MessageId",
            "SubscribeURL",
            "Timestamp",
            "Token",
            "TopicArn",
            "Type",
        ],
        _ => &[
            "Message",
            "MessageId",
            "Subject",
            "Timestamp",
            "TopicArn",
            "Type",
        ],
    };
    let mut text = String::new();
    for name in names {
        if let Some(value) = post[*name].as_str() {
            text.push_str(&format!("{name}\n{value}\n"));
        }
    }
    text
}

/// A topic whose certificate is where it should be.
pub fn topic() -> (Arc<Pages>, Signer, Arc<TopicNotices>) {
    let (pages, signer) = (Arc::new(Pages::default()), Signer::new());
    pages.put(CERTIFICATE, 200, &signer.pem);
    let topic = Topic::through(ARN, Arc::clone(&pages) as _).unwrap();
    (pages, signer, Arc::new(TopicNotices::of(topic)))
}

/// A notification that is not signed yet, posted just when the tests begin.
pub fn notification(message: &Value) -> Value {
    json!({
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": ARN,
        "Subject": "Amazon SES Email Event Notification",
        "Message": message.to_string(),
        "Timestamp": "2026-11-22T09:04:59.655Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE,
        "UnsubscribeURL": format!("{HOST}/?Action=Unsubscribe&SubscriptionArn={ARN}:c9135db0"),
    })
}

/// The question whether we want to hear of the topic.
pub fn confirmation(kind: &str) -> Value {
    json!({
        "Type": kind,
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "Token": "2336412f37fb",
        "TopicArn": ARN,
        "Message": "You have chosen to subscribe to the topic.\nTo confirm, visit the SubscribeURL.",
        "SubscribeURL": CONFIRM,
        "Timestamp": "2026-11-22T09:04:59.655Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE,
    })
}

pub fn bounce(kind: &str, address: &str) -> Value {
    json!({
        "notificationType": "Bounce",
        "bounce": {
            "bounceType": kind,
            "bounceSubType": "NoEmail",
            "bouncedRecipients": [{"emailAddress": address, "action": "failed", "status": "5.1.1"}],
            "timestamp": "2026-11-22T09:04:58.000Z",
        },
        "mail": {"source": "no-reply@example.org", "destination": [address]},
    })
}

pub fn complaint(address: &str, kind: &str) -> Value {
    json!({
        "eventType": "Complaint",
        "complaint": {
            "complainedRecipients": [{"emailAddress": address}],
            "complaintFeedbackType": kind,
        },
    })
}
