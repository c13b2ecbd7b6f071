//! `POST /api/mail/notifications`: what the mail service reports of mails that came back.
//!
//! There only where `SES_TOPIC_ARN` is set.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::app::App;
use crate::error::Error;
use crate::http::describe::{NotificationProblems, RawBodyProblems};
use crate::http::request::{Caller, Raw};
use crate::mail::{NotTaken, Notice};

/// SES reports bounces and complaints, by its SNS topic.
///
/// Only where `SES_TOPIC_ARN` is set; elsewhere there is nothing at this path. Not for people: a message that
/// SNS did not sign for that very topic is refused. An address that bounces for good, or whose reader complains,
/// gets no mail any more.
#[utoipa::path(
    post, operation_id = "report_mail", path = "/api/mail/notifications", tag = "mail",
    request_body(
        content = String, content_type = "text/plain", description = "JSON, as SNS posts it.",
        example = json!(
            "{\"Type\": \"Notification\", \"MessageId\": \"…\", \"TopicArn\": \"arn:aws:sns:…\", \"Message\": \
             \"…\", \"Timestamp\": \"2026-11-22T09:04:59.655Z\", \"SignatureVersion\": \"2\", \"Signature\": \
             \"…\", \"SigningCertURL\": \"https://sns.….amazonaws.com/….pem\"}"
        ),
    ),
    responses(
        (status = 200, description = "Taken, or nothing follows from it."),
        RawBodyProblems, NotificationProblems,
    ),
)]
pub async fn post(
    State(app): State<Arc<App>>,
    caller: Caller,
    Raw(body): Raw,
) -> Result<StatusCode, Error> {
    let notices = app.notices.as_ref().ok_or(Error::NotFound)?;
    // Not counted against its client: SNS posts for all of AWS from a few addresses, and a storm of
    // bounces is when its word matters most. What a forged message costs is bounded instead.
    let now = app.now();
    match notices.take(&body, now).await {
        Ok(Notice::Nothing) => {}
        Ok(Notice::Suppress { addresses, because }) => {
            for address in &addresses {
                let what = ("suppression", because.reason.as_str());
                let audit = app.event(&caller, what, None, Some(address), now);
                // All of them again after one that failed: those that are noted stay as they are.
                if app.stores.users.suppress(address, &because, &audit).await? {
                    app.audit.log(&audit);
                }
            }
        }
        Err(NotTaken::NotJson) => return Err(Error::NotJson),
        Err(NotTaken::Refused) => return Err(Error::NotificationRefused),
        Err(NotTaken::Unavailable(why)) => return Err(Error::Unavailable(why)),
    }
    Ok(StatusCode::OK)
}
