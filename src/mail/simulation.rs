//! A transport that sends nothing: it writes the mail, with its code, to the log.
//!
//! The one exception to "no code in a log". Production refuses it.

use async_trait::async_trait;

use super::{Mail, Message, NotSent, Transport};

/// Writes mails to the log, where operators search for `📧 이메일 발송 시뮬레이션`.
pub struct Simulation;

#[async_trait]
impl Transport for Simulation {
    async fn send(&self, mail: &Mail, message: &Message) -> Result<(), NotSent> {
        let code = mail.letter.code();
        tracing::info!(
            to = mail.to.as_str(),
            subject = message
                .headers()
                .get::<lettre::message::header::Subject>()
                .as_ref()
                .map(AsRef::as_ref),
            code = code.map(|code| code.code.as_str()),
            long_code = code.map(|code| code.long_code.as_str()),
            expires_at = code.map(|code| code.expires_at.to_string()),
            "📧 이메일 발송 시뮬레이션"
        );
        Ok(())
    }

    async fn check(&self) -> Result<(), NotSent> {
        Ok(())
    }

    fn name(&self) -> &'static str {
        "simulation"
    }
}
