//! Mails over Amazon SES's own API: one signed call of its version 2 each.
//!
//! Credentials, time-outs and further attempts are `aws.rs`; what a refusal means is `refusal.rs`.

pub mod notices;
mod refusal;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::refusal::{is_about_pace, is_about_permission, not_sent};
use super::{Mail, Message, NotSent, Transport};
use crate::aws::{Api, Aws, Call, Error};

/// Version 2 of its API.
const SES: Api = Api {
    id: "SESv2",
    host: "email",
    signed_as: "ses",
};

/// For a mail, further attempts included. Shorter than the 15 seconds for which the outbox leases
/// it, so that no second worker sends it while this one still waits.
const DEADLINE: Duration = Duration::from_secs(10);
/// For a look at the account: `/health` gives it three seconds.
const LOOK: Duration = Duration::from_millis(2500);
/// How long a good look is good for. SES lets an account be looked at once a second, by all copies
/// of the service together.
const KEPT: Duration = Duration::from_secs(60);

/// Sends over SES, in one region.
pub struct Ses {
    aws: Arc<Aws>,
    region: String,
    configuration_set: Option<String>,
    deadline: Duration,
    /// The last good look.
    last: Mutex<Option<(Instant, Standing)>>,
}

/// How an account stands with SES, in one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It sends to anyone.
    Good,
    /// It sends to verified recipients only.
    Sandbox,
    /// It sends, and will not for long.
    Probation,
    /// We may not ask.
    Hidden,
}

impl Ses {
    /// A transport that calls SES in this region.
    pub fn new(aws: Arc<Aws>, region: String, configuration_set: Option<String>) -> Self {
        Self {
            aws,
            region,
            configuration_set,
            deadline: DEADLINE,
            last: Mutex::default(),
        }
    }

    /// Gives up on a mail after this time.
    pub fn giving_up_after(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    async fn call(
        &self,
        path: &'static str,
        body: Option<Value>,
        within: Duration,
    ) -> Result<Value, Error> {
        let call = Call {
            api: SES,
            region: Some(&self.region),
            path,
            headers: &[("content-type", "application/json")],
            body,
            within,
        };
        self.aws.call(call).await
    }

    /// What SendEmail takes. The bytes say who writes to whom too, but SES goes by the fields.
    fn send_email(&self, from: &str, message: &Message) -> Result<Value, NotSent> {
        let bytes = message.formatted();
        // Our bodies are base64 and domains are A-labels, so this is the part before an `@`.
        if !bytes.is_ascii() {
            return Err(NotSent::Permanent(
                "the address has letters beyond ASCII before its @, which SES does not take".into(),
            ));
        }
        let to = message.envelope().to().iter().map(ToString::to_string);
        let mut body = json!({
            "FromEmailAddress": from,
            "Destination": { "ToAddresses": to.collect::<Vec<_>>() },
            "Content": { "Raw": { "Data": BASE64.encode(bytes) } },
        });
        if let Some(name) = &self.configuration_set {
            body["ConfigurationSetName"] = name.as_str().into();
        }
        Ok(body)
    }

    fn is_well_known(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|(at, _)| at.elapsed() < KEPT)
    }

    /// Keeps a good look, and says what is new in it.
    fn note(&self, standing: Standing) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace((Instant::now(), standing));
        if before.is_none_or(|(_, before)| before != standing) {
            standing.tell(&self.region);
        }
    }
}

#[async_trait]
impl Transport for Ses {
    async fn send(&self, _mail: &Mail, message: &Message) -> Result<(), NotSent> {
        let from = message.envelope().from().map(ToString::to_string);
        let from = from.ok_or_else(|| NotSent::Permanent("the mail has no sender".into()))?;
        let body = self.send_email(&from, message)?;
        let sent = self
            .call("/v2/email/outbound-emails", Some(body), self.deadline)
            .await;
        sent.map(drop).map_err(|error| not_sent(&error, &from))
    }

    /// Asks whether the account may send. Being asked too often, or not being allowed to ask, says
    /// nothing about mails.
    async fn check(&self) -> Result<(), NotSent> {
        if self.is_well_known() {
            return Ok(());
        }
        match self.call("/v2/email/account", None, LOOK).await {
            Ok(account) => Standing::of(&account).map(|standing| self.note(standing)),
            Err(error) if is_about_permission(&error) => {
                self.note(Standing::Hidden);
                Ok(())
            }
            Err(error) if is_about_pace(&error) => Ok(()),
            Err(error) => Err(not_sent(&error, "")),
        }
    }

    fn name(&self) -> &'static str {
        "ses"
    }
}

impl Standing {
    /// What GetAccount answers; the error where nothing leaves.
    fn of(account: &Value) -> Result<Self, NotSent> {
        let no = |why: &str| Err(NotSent::Temporary(why.into()));
        if account["SendingEnabled"] == false {
            return no(
                "SES has sending switched off for this account and region: look at its reputation \
                 page, and at `aws sesv2 put-account-sending-attributes --sending-enabled`",
            );
        }
        match account["EnforcementStatus"].as_str() {
            Some("SHUTDOWN") => no(
                "SES has shut this account down in this region: AWS has written why, and answers \
                 appeals in its support center",
            ),
            Some("PROBATION") => Ok(Self::Probation),
            _ if account["ProductionAccessEnabled"] == false => Ok(Self::Sandbox),
            _ => Ok(Self::Good),
        }
    }

    fn tell(self, region: &str) {
        match self {
            Self::Good => tracing::info!(region, "SES sends to anyone"),
            Self::Sandbox => tracing::warn!(
                region,
                "SES is in its sandbox: only verified recipients get mail. Ask AWS for production access"
            ),
            Self::Probation => tracing::warn!(
                region,
                "SES has this account on probation: too many mails bounced or were complained about. \
                 See its reputation page before it is shut down"
            ),
            Self::Hidden => tracing::warn!(
                region,
                "SES answers, but whether it sends is not known: allow the task role ses:GetAccount"
            ),
        }
    }
}
