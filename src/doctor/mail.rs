//! Whether mail could leave. Nothing is sent.

use std::sync::Arc;

use crate::mail::{NotSent, Transport};
use crate::model::finding::Finding;

/// Tries it.
pub async fn of(transport: Result<Arc<dyn Transport>, String>) -> Finding {
    let transport = match transport {
        Ok(transport) => transport,
        Err(why) => return Finding::failed("settings", why),
    };
    match transport.check().await {
        Ok(()) => Finding::ok(
            "mail_unreachable",
            format!("{} takes mail", transport.name()),
        ),
        Err(NotSent::Permanent(why)) => Finding::failed("mail_rejected", why),
        Err(NotSent::Temporary(why)) => Finding::failed("mail_unreachable", why),
    }
}
