//! Why an address gets no mail: something was heard of an earlier one.

use jiff::Timestamp;

/// What was heard first. It holds until an operator lifts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// What happened.
    pub reason: Reason,
    /// The mail service's word for it, such as `NoEmail`; no more than a word.
    pub detail: String,
    /// When it was heard.
    pub at: Timestamp,
}

/// What can happen to a mail that nobody should repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It came back, and so would every other.
    Bounce,
    /// Its reader called it unwanted.
    Complaint,
}

impl Reason {
    /// The name in stores, logs and the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Bounce => "bounce",
            Reason::Complaint => "complaint",
        }
    }

    /// Reads what [`Reason::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Reason::Bounce, Reason::Complaint]
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }
}
