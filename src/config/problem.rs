//! What is wrong with a setting, where it came from, and what to do. Never carries a secret's value.

use std::fmt;
use std::path::PathBuf;

use crate::telemetry::Escaped;

/// Where the value of a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The environment variable that is the key in upper case.
    Environment,
    /// The operator's file, and the line in it, counted from 1.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line in it, counted from 1.
        line: usize,
    },
    /// Nobody set it: `config.default.toml`, or what development assumes.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Environment => f.write_str("environment"),
            Source::File { path, line } => {
                write!(f, "{}:{line}", Escaped::words(&path.to_string_lossy()))
            }
            Source::Default => f.write_str("default"),
        }
    }
}

/// One thing that keeps the service from starting. Its `Display` is the line for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, in lower case.
    pub key: String,
    /// Where its value came from.
    pub source: Source,
    /// What is wrong with it.
    pub wrong: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name is spelled as it has to be looked for: variables in upper case, keys of a file in lower.
        let name = match self.source {
            Source::File { .. } => self.key.clone(),
            _ => self.key.to_uppercase(),
        };
        let (name, wrong) = (Escaped::words(&name), Escaped::words(&self.wrong));
        write!(
            f,
            "{name} ({}): {wrong}. {}.",
            self.source,
            Escaped::words(&self.remedy)
        )
    }
}

/// Why a value was refused, before it is known whose value it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong, without the value.
    pub wrong: String,
    /// What to do about it.
    pub remedy: String,
}

impl Refused {
    /// Says what is wrong and what to do.
    pub fn new(wrong: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            wrong: wrong.into(),
            remedy: remedy.into(),
        }
    }
}
