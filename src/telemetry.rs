//! The log: one line per event on standard output, for people or as JSON, that nobody else can write into.

use std::any::Any;
use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::clock::SystemClock;
use crate::config::LogFormat;

mod escape;
mod fields;
mod line;

pub use escape::Escaped;

use line::Lines;

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The level is not a list of levels.
    #[error("LOG_LEVEL is not a list of levels")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// Something else in this process logs already.
    #[error("another logger was installed before")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging to standard output, panics included. Once per process.
pub fn init(format: LogFormat, level: &str) -> Result<(), NotStarted> {
    let filter = EnvFilter::builder().parse(level)?;
    let lines = Lines::new(format, Arc::new(SystemClock), write_to_stdout);
    tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(is_fit_to_print))
        .with(lines)
        .try_init()?;
    std::panic::set_hook(Box::new(report_panic));
    Ok(())
}

/// At `debug` the PostgreSQL driver writes every statement with its values, and among them are
/// addresses and password hashes; at `trace` AWS's crates write what they send and receive, and
/// among that is a role's secret key. They are in no log, whatever the level.
fn is_fit_to_print(metadata: &Metadata<'_>) -> bool {
    let tells_all = ["tokio_postgres", "aws_"];
    let tells_all = |target: &str| tells_all.iter().any(|name| target.starts_with(name));
    *metadata.level() <= Level::INFO || !tells_all(metadata.target())
}

/// Logs the line that operators and deploy scripts wait for, the same in both formats.
pub fn started() {
    // The level stands in the message because JSON has it in a field of its own; text does not repeat it.
    tracing::info!("INFO: Application startup complete");
}

/// One write per line, so that lines of two threads do not mix. A reader that went away costs its
/// lines and nothing else.
fn write_to_stdout(line: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    // There is nowhere left to report that the log itself cannot be written.
    let _ = stdout.write_all(line).and_then(|()| stdout.flush());
}

/// Logs a panic with its place, instead of the default hook's lines on standard error.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let place = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let words = panic_words(panic.payload());
    tracing::error!(%place, thread, "panicked: {words}");
}

/// What may be logged of a panic's message: a literal whole, a formatted one up to its first value.
///
/// `called Result::unwrap() on an Err value: …` and `… out of bounds of "…"` carry whatever failed,
/// and that may be a request's body; the place in the source says the rest.
fn panic_words(payload: &(dyn Any + Send)) -> &str {
    if let Some(literal) = payload.downcast_ref::<&'static str>() {
        return literal;
    }
    let Some(formatted) = payload.downcast_ref::<String>() else {
        return "(no message)";
    };
    let value = [": ", "; ", " of `", " '", " \"", "\n"]
        .iter()
        .filter_map(|mark| formatted.find(mark))
        .min();
    &formatted[..value.unwrap_or(formatted.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, PoisonError};

    /// What the work logs, as it would stand on standard output.
    pub(super) fn logged(format: LogFormat, work: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let write = move |line: &[u8]| {
            sink.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(line);
        };
        let lines = Lines::new(format, Arc::new(fixed::Noon), write);
        let subscriber = tracing_subscriber::registry()
            .with(filter_fn(is_fit_to_print))
            .with(lines);
        tracing::subscriber::with_default(subscriber, work);
        let written = written.lock().unwrap().clone();
        String::from_utf8(written).unwrap()
    }

    mod fixed {
        use crate::clock::Clock;
        use jiff::Timestamp;

        pub struct Noon;

        impl Clock for Noon {
            fn now(&self) -> Timestamp {
                "2026-11-22T09:41:29.123456Z".parse().unwrap()
            }
        }
    }

    #[test]
    fn operators_find_their_phrases_in_both_formats() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = logged(format, || {
                started();
                tracing::info!(to = "가나다@example.org", "📧 이메일 발송 시뮬레이션");
                tracing::info!("✅ DB 연결 URL 생성");
            });
            for phrase in [
                "INFO: Application startup complete",
                "📧 이메일 발송 시뮬레이션",
                "✅ DB 연결 URL 생성",
                "가나다@example.org",
            ] {
                assert!(log.contains(phrase), "{phrase} is not in {log}");
            }
            assert!(!log.contains("INFO: INFO:"), "{log}");
        }
    }

    #[test]
    fn no_level_lets_through_what_others_write_without_care() {
        let log = logged(LogFormat::Text, || {
            tracing::debug!(target: "tokio_postgres::query", "with parameters: hunter2");
            tracing::trace!(target: "aws_smithy_runtime::client", "received: hunter2");
            tracing::info!(target: "tokio_postgres::connection", "NOTICE: all is well");
        });
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("all is well"), "{log}");
    }

    #[test]
    fn a_panic_is_one_line_without_its_values() {
        let log = logged(LogFormat::Text, || {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(report_panic));
            let fell = std::panic::catch_unwind(|| {
                "hunter2\nINFO: all is well"
                    .parse::<u8>()
                    .map_err(|_| "hunter2\nINFO: forged")
                    .unwrap();
            });
            std::panic::set_hook(before);
            assert!(fell.is_err());
        });
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("ERROR: panicked: called `Result::unwrap()` on an `Err` value place=src/telemetry.rs:"), "{log}");
        assert!(!log.contains("hunter2"), "{log}");
    }

    #[test]
    fn a_panics_words_end_where_its_values_begin() {
        let words = |message: &str| panic_words(&message.to_owned()).to_owned();
        assert_eq!(
            words("index out of bounds: the len is 1"),
            "index out of bounds"
        );
        assert_eq!(
            words("end byte index 9 is out of bounds of `hunter2`"),
            "end byte index 9 is out of bounds"
        );
        assert_eq!(words("the key is read once"), "the key is read once");
        assert_eq!(panic_words(&"a literal: whole"), "a literal: whole");
        assert_eq!(panic_words(&7), "(no message)");
    }
}
