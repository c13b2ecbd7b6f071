//! What SES reports of mails over its SNS topic: who gets none any more, and who is none of ours.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::aws::sns::{self, Post, Topic};
use crate::mail::{NotTaken, Notice, Notices};
use crate::model::email_address::EmailAddress;
use crate::model::suppression::{Reason, Suppression};

/// SES takes no more recipients for one mail.
const RECIPIENTS_MAX: usize = 50;
/// SES's word for what happened is one word.
const DETAIL_BYTES_MAX: usize = 40;
/// Anyone may post: a line for each refusal would fill the log.
const TOLD_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Reports of SES, by a topic of SNS.
pub struct TopicNotices {
    topic: Topic,
    told: Mutex<Option<Timestamp>>,
}

impl TopicNotices {
    /// What this topic says.
    pub fn of(topic: Topic) -> Self {
        Self {
            topic,
            told: Mutex::default(),
        }
    }

    /// Says why something was refused, now and then: a topic that signs otherwise than it should is
    /// found by it.
    fn tell_refusal(&self, why: &str, now: Timestamp) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| now.duration_since(at).abs() >= TOLD_EVERY) {
            *told = Some(now);
            tracing::warn!(
                why,
                "a notification about mail was refused; others in this minute are not told"
            );
        }
    }
}

#[async_trait]
impl Notices for TopicNotices {
    async fn take(&self, posted: &[u8], now: Timestamp) -> Result<Notice, NotTaken> {
        let region = self.topic.region();
        match self.topic.take(posted, now).await {
            Ok(Post::Message(message)) => Ok(notice(&message, now)),
            Ok(Post::Confirmed) => {
                tracing::info!(
                    region,
                    "the topic for bounces and complaints is subscribed to"
                );
                Ok(Notice::Nothing)
            }
            Ok(Post::Unsubscribed) => {
                tracing::warn!(
                    region,
                    "the topic for bounces and complaints tells us nothing any more: somebody \
                     ended the subscription. Subscribe again"
                );
                Ok(Notice::Nothing)
            }
            Err(sns::NotTaken::NotJson) => Err(NotTaken::NotJson),
            Err(sns::NotTaken::Refused(why)) => {
                self.tell_refusal(&why, now);
                Err(NotTaken::Refused)
            }
            Err(sns::NotTaken::Unavailable(why)) => Err(NotTaken::Unavailable(why)),
        }
    }
}

/// What follows from an event. Both ways in which SES reports, notifications of an identity and events
/// of a configuration set, differ in one name.
fn notice(message: &str, now: Timestamp) -> Notice {
    // SES tries a topic out with a sentence.
    let event: Value = serde_json::from_str(message).unwrap_or_default();
    let kind = event.get("notificationType").or(event.get("eventType"));
    match kind.and_then(Value::as_str) {
        Some("Bounce") => bounce(&event["bounce"], now),
        Some("Complaint") => complaint(&event["complaint"], now),
        _ => Notice::Nothing,
    }
}

/// Only what will bounce for ever: a full mailbox is emptied one day.
fn bounce(bounce: &Value, now: Timestamp) -> Notice {
    if bounce["bounceType"] != "Permanent" {
        return Notice::Nothing;
    }
    let detail = &bounce["bounceSubType"];
    suppress(&bounce["bouncedRecipients"], Reason::Bounce, detail, now)
}

/// Some providers report the contrary too.
fn complaint(complaint: &Value, now: Timestamp) -> Notice {
    let detail = &complaint["complaintFeedbackType"];
    if detail == "not-spam" {
        return Notice::Nothing;
    }
    let recipients = &complaint["complainedRecipients"];
    suppress(recipients, Reason::Complaint, detail, now)
}

fn suppress(recipients: &Value, reason: Reason, detail: &Value, now: Timestamp) -> Notice {
    let recipients = recipients.as_array().map(Vec::as_slice).unwrap_or_default();
    let addresses = recipients.iter().take(RECIPIENTS_MAX);
    let addresses = addresses.filter_map(|it| address(it["emailAddress"].as_str()?));
    let because = Suppression {
        reason,
        detail: word(detail),
        at: now,
    };
    Notice::Suppress {
        addresses: addresses.collect(),
        because,
    }
}

/// As we wrote it, or as a mail server repeated it: perhaps between angle brackets.
fn address(text: &str) -> Option<EmailAddress> {
    let bare = text.rsplit_once('<').map_or(text, |(_, rest)| rest);
    EmailAddress::parse(bare.trim_end_matches('>')).ok()
}

fn word(detail: &Value) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let word = detail.as_str().filter(|word| word.bytes().all(is_plain));
    let word = word.filter(|word| (1..=DETAIL_BYTES_MAX).contains(&word.len()));
    word.unwrap_or("unspecified").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T09:05:00Z".parse().unwrap()
    }

    fn suppressed(event: &Value) -> Option<(Vec<String>, Reason, String)> {
        match notice(&event.to_string(), now()) {
            Notice::Suppress { addresses, because } => {
                let addresses = addresses.iter().map(|it| it.normal().to_owned());
                Some((addresses.collect(), because.reason, because.detail))
            }
            Notice::Nothing => None,
        }
    }

    fn bounce(kind: &str, sub_kind: &str) -> Value {
        json!({
            "bounceType": kind, "bounceSubType": sub_kind,
            "bouncedRecipients": [{"emailAddress": "Ada@example.org", "status": "5.1.1"}],
        })
    }

    #[test]
    fn a_permanent_bounce_suppresses_in_both_of_ses_s_shapes() {
        for name in ["notificationType", "eventType"] {
            let event = json!({name: "Bounce", "bounce": bounce("Permanent", "NoEmail")});
            let expected = (
                vec!["ada@example.org".into()],
                Reason::Bounce,
                "NoEmail".into(),
            );
            assert_eq!(suppressed(&event), Some(expected));
        }
    }

    #[test]
    fn what_may_pass_suppresses_nobody() {
        for kind in ["Transient", "Undetermined", ""] {
            let event = json!({"eventType": "Bounce", "bounce": bounce(kind, "General")});
            assert_eq!(suppressed(&event), None, "{kind}");
        }
        for kind in ["Delivery", "Send", "Open", "Reject", "Bounces"] {
            let event = json!({"eventType": kind, "bounce": bounce("Permanent", "General")});
            assert_eq!(suppressed(&event), None, "{kind}");
        }
        let tried_out = "Successfully validated SNS topic for Amazon SES event publishing.";
        assert_eq!(notice(tried_out, now()), Notice::Nothing);
    }

    #[test]
    fn a_complaint_suppresses_unless_it_is_none() {
        let complaint = |kind: Value| {
            let complaint = json!({
                "complainedRecipients": [{"emailAddress": "ada@example.org"}, {"emailAddress": "<eve@example.org>"}],
                "complaintFeedbackType": kind,
            });
            suppressed(&json!({"eventType": "Complaint", "complaint": complaint}))
        };
        let both = vec!["ada@example.org".to_owned(), "eve@example.org".to_owned()];
        for (kind, detail) in [
            (json!("abuse"), "abuse"),
            (Value::Null, "unspecified"),
            (json!("a b\n"), "unspecified"),
        ] {
            let expected = (both.clone(), Reason::Complaint, detail.to_owned());
            assert_eq!(complaint(kind), Some(expected));
        }
        assert_eq!(complaint(json!("not-spam")), None);
    }

    #[test]
    fn what_is_no_address_is_left_out() {
        for recipients in [
            json!([{"emailAddress": "nobody"}, {}]),
            json!("x"),
            Value::Null,
        ] {
            let bounce = json!({"bounceType": "Permanent", "bouncedRecipients": recipients});
            let event = json!({"notificationType": "Bounce", "bounce": bounce});
            assert_eq!(suppressed(&event).unwrap().0, [""; 0]);
        }
    }
}
