//! Whether mail could leave. Nothing is sent.

use crate::config;
use crate::mail::{NotSent, transport};
use crate::model::finding::Finding;

/// Tries it.
pub async fn of(settings: &config::Mail) -> Finding {
    let transport = match transport(settings) {
        Ok(transport) => transport,
        Err(why) => return Finding::failed("settings", why),
    };
    let (name, checked) = (transport.name(), transport.check().await);
    match (name, checked) {
        (_, Ok(())) => Finding::ok("mail_unreachable", format!("{name} takes mail")),
        (_, Err(NotSent::Permanent(why))) => Finding::failed("mail_rejected", why),
        // Whatever is between us and SES, there is one list of what to look at.
        ("ses", Err(why)) => Finding::failed("mail_rejected", why.to_string()),
        (_, Err(NotSent::Temporary(why))) => Finding::failed("mail_unreachable", why),
    }
}
