//! What the doctor saw of one thing that it looked at.

use serde::Serialize;

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, and will not always.
    Warning,
    /// It keeps the service from its work, or will under load.
    Failed,
}

/// A thing that was looked at, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The failure that was looked for: the name of its table in `deploy/failures.toml`.
    pub code: &'static str,
    /// Whether it is there.
    pub status: Status,
    /// What was seen, on one line and without secrets.
    pub evidence: String,
}

impl Finding {
    /// The failure is not there.
    pub fn ok(code: &'static str, evidence: impl Into<String>) -> Self {
        Self::new(code, Status::Ok, evidence)
    }

    /// It may come.
    pub fn warning(code: &'static str, evidence: impl Into<String>) -> Self {
        Self::new(code, Status::Warning, evidence)
    }

    /// It is there.
    pub fn failed(code: &'static str, evidence: impl Into<String>) -> Self {
        Self::new(code, Status::Failed, evidence)
    }

    /// Failed if so, else all right.
    pub fn failed_if(failed: bool, code: &'static str, evidence: impl Into<String>) -> Self {
        let status = if failed { Status::Failed } else { Status::Ok };
        Self::new(code, status, evidence)
    }

    fn new(code: &'static str, status: Status, evidence: impl Into<String>) -> Self {
        Self {
            code,
            status,
            evidence: evidence.into(),
        }
    }
}
