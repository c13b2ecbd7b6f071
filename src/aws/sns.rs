//! What an SNS topic posts over HTTPS: believed only if it is of our topic and SNS signed it.
//!
//! Signature version 2 (RSA with SHA-256) only. `docs/decisions/0012-mail-that-comes-back.md` says what
//! is checked of the certificate and why that is enough.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hyper::{Request, Uri};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::http::Http;
use certificate::Shelf;

mod certificate;

/// SNS tries to deliver for an hour at most, and keeps the first attempt's time stamp.
const AGE_MAX: SignedDuration = SignedDuration::from_mins(65);
/// Clocks differ.
const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);
/// For SNS to hear that we want what the topic says. It gives our answer fifteen seconds.
const CONFIRM: Duration = Duration::from_secs(3);

/// A topic that posts to us.
pub struct Topic {
    arn: String,
    region: String,
    /// SNS's own in the topic's region: where its certificate and its confirmations are.
    host: String,
    web: Arc<dyn Web>,
    certificates: Shelf,
}

/// What was posted, believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Post {
    /// Something happened; this is what its publisher wrote.
    Message(String),
    /// The topic asked whether we want to hear of it, and was told so.
    Confirmed,
    /// From now on it tells us nothing.
    Unsubscribed,
}

/// Why a post was not taken. No text quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is no JSON.
    #[error("it is no JSON")]
    NotJson,
    /// It is not of our topic, or nobody knows.
    #[error("{0}")]
    Refused(String),
    /// It cannot be checked or confirmed now; SNS posts it again.
    #[error("{0}")]
    Unavailable(String),
}

/// Reads pages of SNS's: the production one over TLS, with the public certificate authorities and no
/// setting that could add one.
#[async_trait]
pub trait Web: Send + Sync {
    /// Status and body of what stands there; the error says why nobody answered.
    async fn get(&self, url: &Uri) -> Result<(u16, Bytes), String>;
}

#[async_trait]
impl Web for Http {
    async fn get(&self, url: &Uri) -> Result<(u16, Bytes), String> {
        let request = Request::get(url).body(Bytes::new());
        let request = request.map_err(|error| error.to_string())?;
        let answer = self.send(request).await.map_err(|failed| failed.why)?;
        Ok((answer.status().as_u16(), answer.into_body()))
    }
}

impl Topic {
    /// The topic with this ARN. The error says what is wrong with it.
    pub fn new(arn: &str) -> Result<Self, String> {
        Self::through(arn, Arc::new(Http::new(None)?))
    }

    /// As [`Topic::new`], with another way to SNS's pages.
    pub fn through(arn: &str, web: Arc<dyn Web>) -> Result<Self, String> {
        let region = arn.split(':').nth(3).filter(|region| !region.is_empty());
        let region = region.ok_or("SES_TOPIC_ARN names no region")?.to_owned();
        let host = format!("sns.{region}.{}", domain(&region));
        Ok(Self {
            arn: arn.to_owned(),
            certificates: Shelf::new(Arc::clone(&web), names(&region)),
            region,
            host,
            web,
        })
    }

    /// Takes what was posted, if it is the topic's. What costs least is looked at first, and nobody is
    /// asked on behalf of a post that does not name our topic and SNS's own host.
    pub async fn take(&self, body: &[u8], now: Timestamp) -> Result<Post, NotTaken> {
        let envelope = Envelope::read(body)?;
        let canonical = envelope.canonical()?;
        if envelope.topic_arn != self.arn {
            return refused("it is of another topic than SES_TOPIC_ARN");
        }
        if envelope.signature_version != "2" {
            return refused(
                "its signature is not of version 2: set the topic's attribute SignatureVersion to 2",
            );
        }
        let Some(url) = self.certificate_url(&envelope.signing_cert_url) else {
            return refused("its certificate is not at SNS's own host in the topic's region");
        };
        if !is_of_now(&envelope.timestamp, now) {
            return refused(
                "it is too old, or its time stamp is none; or this machine's clock is off",
            );
        }
        let Ok(signature) = BASE64.decode(&envelope.signature) else {
            return refused("its signature is no base64");
        };
        let certificate = self.certificates.get(&url, now).await?;
        certificate.verify(canonical.as_bytes(), &signature, now)?;
        self.act_on(envelope).await
    }

    async fn act_on(&self, envelope: Envelope) -> Result<Post, NotTaken> {
        match envelope.kind.as_str() {
            "SubscriptionConfirmation" => {
                self.confirm(envelope.subscribe_url.as_deref()).await?;
                Ok(Post::Confirmed)
            }
            "UnsubscribeConfirmation" => Ok(Post::Unsubscribed),
            _ => Ok(Post::Message(envelope.message)),
        }
    }

    async fn confirm(&self, url: Option<&str>) -> Result<(), NotTaken> {
        let url = url.and_then(|url| self.own_url(url));
        let Some(url) = url.filter(|url| url.path() == "/" && url.query().is_some()) else {
            return refused("it is to be confirmed elsewhere than at SNS's own host");
        };
        let away = |why: &str| {
            NotTaken::Unavailable(format!(
                "the topic's subscription cannot be confirmed: {why}. https://{} must be reachable, \
                 in a subnet without a way to the internet by a VPC endpoint for `sns`",
                self.host
            ))
        };
        match tokio::time::timeout(CONFIRM, self.web.get(&url)).await {
            Ok(Ok((200, _))) => Ok(()),
            Ok(Ok((status, _))) => Err(away(&format!("SNS answers {status}"))),
            Ok(Err(why)) => Err(away(&why)),
            Err(_) => Err(away("no answer in time")),
        }
    }

    fn certificate_url(&self, url: &str) -> Option<Uri> {
        let url = self.own_url(url)?;
        (url.path().ends_with(".pem") && url.query().is_none()).then_some(url)
    }

    /// A URL at SNS's own host. The whole authority is compared, so that neither a port nor a user's
    /// name can stand in it.
    fn own_url(&self, url: &str) -> Option<Uri> {
        let url: Uri = url.parse().ok()?;
        let is_own = url.scheme_str() == Some("https")
            && url.authority().is_some_and(|it| it.as_str() == self.host);
        is_own.then_some(url)
    }

    /// The region that the topic is in.
    pub fn region(&self) -> &str {
        &self.region
    }
}

fn domain(region: &str) -> &'static str {
    match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    }
}

/// The names that SNS's certificates are made out to, one of which each has. Older regions share one;
/// the newer ones, China and GovCloud have theirs.
fn names(region: &str) -> Vec<String> {
    let domain = domain(region);
    vec![
        "sns.amazonaws.com".to_owned(),
        format!("sns.{region}.{domain}"),
        format!("sns-signing.{region}.{domain}"),
        format!("sns-{region}.{domain}"),
        "sns-us-gov-west-1.amazonaws.com".to_owned(),
    ]
}

fn is_of_now(stamp: &str, now: Timestamp) -> bool {
    let Ok(at) = stamp.parse::<Timestamp>() else {
        return false;
    };
    let age = now.duration_since(at);
    (-AHEAD_MAX..=AGE_MAX).contains(&age)
}

fn refused<T>(why: &str) -> Result<T, NotTaken> {
    Err(NotTaken::Refused(why.into()))
}

/// What SNS puts around a message.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    #[serde(rename = "Type")]
    kind: String,
    message_id: String,
    topic_arn: String,
    message: String,
    timestamp: String,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
    subject: Option<String>,
    token: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
}

impl Envelope {
    /// The header `x-amz-sns-message-type` is not asked: nobody signs it.
    fn read(body: &[u8]) -> Result<Self, NotTaken> {
        let body: Value = serde_json::from_slice(body).map_err(|_| NotTaken::NotJson)?;
        // serde's own words would quote what it read.
        serde_json::from_value(body)
            .map_err(|_| NotTaken::Refused("it lacks what SNS puts around a message".into()))
    }

    /// What is signed: names and values, a line each, in this order.
    ///
    /// <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html>
    fn canonical(&self) -> Result<String, NotTaken> {
        let (message, id) = (&self.message, &self.message_id);
        let (stamp, topic, kind) = (&self.timestamp, &self.topic_arn, &self.kind);
        let fields = match kind.as_str() {
            "Notification" => vec![
                ("Message", Some(message)),
                ("MessageId", Some(id)),
                // Not there where the publisher gave none.
                ("Subject", self.subject.as_ref()),
                ("Timestamp", Some(stamp)),
                ("TopicArn", Some(topic)),
                ("Type", Some(kind)),
            ],
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => vec![
                ("Message", Some(message)),
                ("MessageId", Some(id)),
                ("SubscribeURL", self.subscribe_url.as_ref()),
                ("Timestamp", Some(stamp)),
                ("Token", self.token.as_ref()),
                ("TopicArn", Some(topic)),
                ("Type", Some(kind)),
            ],
            _ => return refused("it is of no type that SNS posts"),
        };
        let lines = fields
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}\n{}\n", value?)));
        Ok(lines.collect())
    }
}
