//! The letters that the service writes, and how they leave: one trait, a transport behind it.
//!
//! Whether a mail goes out, and when, is the outbox's business. Here a letter becomes bytes that
//! every mail server takes, and nothing in those bytes was typed by whoever asked for them.

mod page;
#[cfg(feature = "aws")]
pub mod ses;
pub mod simulation;
pub mod smtp;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use jiff::Timestamp;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, MultiPart, SinglePart};
use secrecy::ExposeSecret as _;

pub use lettre::message::{Mailbox, Message};

use crate::config::{self, MailTransport};
use crate::model::device::Device;
use crate::model::email_address::EmailAddress;
use crate::model::language::Language;
use crate::model::suppression::Suppression;
use simulation::Simulation;
use smtp::{Smtp, SmtpUrl};

/// The transport that the settings name. It does not connect yet; the error says what to do.
pub fn transport(settings: &config::Mail) -> Result<Arc<dyn Transport>, String> {
    Ok(match settings.transport {
        MailTransport::Simulation => Arc::new(Simulation),
        MailTransport::Smtp => Arc::new(smtp(settings)?),
        MailTransport::Ses => ses(settings)?,
    })
}

fn smtp(settings: &config::Mail) -> Result<Smtp, String> {
    let url = settings.smtp_url.as_ref().ok_or("SMTP_URL is not set")?;
    let url = SmtpUrl::parse(url.expose_secret()).map_err(|why| format!("SMTP_URL: {why}"))?;
    let ca = settings.smtp_ca_file.as_deref();
    let ca = ca.map(std::fs::read).transpose();
    let ca = ca.map_err(|error| format!("SMTP_CA_FILE cannot be read: {error}"))?;
    Smtp::new(url, ca)
}

#[cfg(feature = "aws")]
fn ses(settings: &config::Mail) -> Result<Arc<dyn Transport>, String> {
    let region = settings.ses_region.clone().ok_or("AWS_REGION is not set")?;
    let clock = Arc::new(crate::clock::SystemClock);
    let aws = crate::aws::Aws::from_environment(clock)?;
    let configuration_set = settings.ses_configuration_set.clone();
    Ok(Arc::new(ses::Ses::new(
        Arc::new(aws),
        region,
        configuration_set,
    )))
}

/// The settings refuse it before.
#[cfg(not(feature = "aws"))]
fn ses(_: &config::Mail) -> Result<Arc<dyn Transport>, String> {
    Err("MAIL_TRANSPORT=ses needs the feature `aws`, which this program was built without".into())
}

/// Where the mail service reports what became of mails, if the settings name a place.
#[cfg(feature = "aws")]
pub fn notices(settings: &config::Mail) -> Result<Option<Arc<dyn Notices>>, String> {
    use crate::aws::sns::Topic;

    let topic = settings.ses_topic_arn.as_deref().map(Topic::new);
    let notices = topic.transpose()?.map(ses::notices::TopicNotices::of);
    Ok(notices.map(|notices| Arc::new(notices) as _))
}

/// The settings refuse to name one.
#[cfg(not(feature = "aws"))]
pub fn notices(_: &config::Mail) -> Result<Option<Arc<dyn Notices>>, String> {
    Ok(None)
}

/// A letter to one person, before it is put into words.
pub struct Mail {
    /// `id@domain` without the angle brackets; the same at every attempt, so that a mail that
    /// was delivered twice is shown once.
    pub message_id: String,
    /// The address in the spelling that is mailed to.
    pub to: String,
    /// The language that it is written in.
    pub language: Language,
    /// What it says.
    pub letter: Letter,
}

/// What a mail is for. A new kind needs a variant here, its words in `messages.{ko,en}.toml`
/// and an arm in `mail/page.rs`.
#[derive(Debug)]
pub enum Letter {
    /// The code that completes a registration.
    RegistrationCode(CodeLetter),
    /// The code that signs in.
    LoginCode(CodeLetter),
    /// Somebody tried to register an address that has an account.
    AccountExists(NoticeLetter),
}

/// A letter that carries a code.
pub struct CodeLetter {
    /// Six digits.
    pub code: String,
    /// 28 letters that do the same and that no guess count refuses.
    pub long_code: String,
    /// When both stop working.
    pub expires_at: Timestamp,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// What it was asked with.
    pub device: Device,
}

/// A letter that only tells something.
#[derive(Debug)]
pub struct NoticeLetter {
    /// When it happened.
    pub requested_at: Timestamp,
    /// What it was done with.
    pub device: Device,
}

/// How mails leave.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Hands one mail over. `Ok` means that the next server answers for it from now on; after an
    /// error it may still have gone out, so an attempt repeats the same `Message-ID`.
    async fn send(&self, mail: &Mail, message: &Message) -> Result<(), NotSent>;

    /// Tries whether mails could leave, without sending one: for `/health` and the doctor.
    /// [`NotSent::Permanent`] means that this sender is refused, until somebody mends that.
    async fn check(&self) -> Result<(), NotSent>;

    /// The name in the settings, logs and `/health`.
    fn name(&self) -> &'static str;
}

/// What becomes of mails that left, as the mail service reports it.
#[async_trait]
pub trait Notices: Send + Sync {
    /// Takes what was posted to us, if it is the mail service's own word.
    async fn take(&self, posted: &[u8], now: Timestamp) -> Result<Notice, NotTaken>;
}

/// What follows from a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// These addresses get no mail any more.
    Suppress {
        /// Whose.
        addresses: Vec<EmailAddress>,
        /// Why.
        because: Suppression,
    },
    /// Nothing.
    Nothing,
}

/// Why a report was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// It is no JSON.
    NotJson,
    /// It is not the mail service's word; the log says why.
    Refused,
    /// That cannot be told now: it should be posted again.
    Unavailable(String),
}

/// Why a mail did not leave. The sentences name no address and no code, so they can be logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// Worth another attempt.
    #[error("{0}")]
    Temporary(String),
    /// Will be refused for ever.
    #[error("{0}")]
    Permanent(String),
}

/// Puts a mail into words and bytes: text and HTML, every header but the transport's own.
///
/// `date` is when the mail was accepted, not when this attempt runs: every attempt makes the
/// same bytes. An address or a `message_id` that fits into no header is [`NotSent::Permanent`].
pub fn render(
    mail: &Mail,
    from: &Mailbox,
    public_url: &str,
    date: Timestamp,
) -> Result<Message, NotSent> {
    let page = page::Page::of(mail, public_url);
    let (text, html) = page.write().map_err(|error| permanent(&error))?;
    Message::builder()
        .message_id(Some(header_id(&mail.message_id)?))
        .date(SystemTime::from(date))
        .from(from.clone())
        .to(recipient(&mail.to)?)
        .subject(page.subject)
        // RFC 3834 §5: no out-of-office answer comes back to us.
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("Content-Language", mail.language.as_str()))
        .multipart(
            MultiPart::alternative()
                // Base64 has no `_`, so no body can contain this line; a fixed one keeps the
                // bytes equal between attempts.
                .boundary("=_aidlc-auth_=")
                .singlepart(part(ContentType::TEXT_PLAIN, text)?)
                .singlepart(part(ContentType::TEXT_HTML, html)?),
        )
        .map_err(|error| permanent(&error))
}

/// Always base64. Left to itself lettre sends ASCII bodies as they are, and up to 0.11.23 it does
/// not dot-stuff after a bare LF or CR (RUSTSEC-2026-0561, RUSTSEC-2026-0562).
fn part(kind: ContentType, body: String) -> Result<SinglePart, NotSent> {
    let body = Body::new_with_encoding(body, ContentTransferEncoding::Base64)
        .map_err(|_| NotSent::Permanent("the body cannot be written in base64".into()))?;
    Ok(SinglePart::builder().content_type(kind).body(body))
}

fn recipient(address: &str) -> Result<Mailbox, NotSent> {
    // lettre takes any non-ASCII character, and some of those (U+0085) end a line for somebody.
    if address.contains(char::is_control) {
        return Err(NotSent::Permanent(
            "the address has a control character".into(),
        ));
    }
    let address = address
        .parse()
        .map_err(|_| NotSent::Permanent("the address does not fit into a mail header".into()))?;
    Ok(Mailbox::new(None, address))
}

fn header_id(id: &str) -> Result<String, NotSent> {
    let plain = |c: char| c.is_ascii_graphic() && c != '<' && c != '>';
    if !id.contains('@') || !id.chars().all(plain) {
        return Err(NotSent::Permanent(
            "the Message-ID is not `id@domain`".into(),
        ));
    }
    Ok(format!("<{id}>"))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.into())
}

fn permanent(error: &dyn std::error::Error) -> NotSent {
    NotSent::Permanent(format!("the mail cannot be written: {error}"))
}

impl Letter {
    /// The code in it, when it carries one.
    pub fn code(&self) -> Option<&CodeLetter> {
        match self {
            Letter::RegistrationCode(code) | Letter::LoginCode(code) => Some(code),
            Letter::AccountExists(_) => None,
        }
    }
}

/// Names no address: this may end up in a log.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("message_id", &self.message_id)
            .field("language", &self.language)
            .field("letter", &self.letter)
            .finish_non_exhaustive()
    }
}

/// Names no code: this may end up in a log.
impl fmt::Debug for CodeLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeLetter")
            .field("expires_at", &self.expires_at)
            .field("requested_at", &self.requested_at)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}
