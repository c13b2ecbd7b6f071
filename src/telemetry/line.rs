//! Turns each event, with the fields of the spans it happened in, into one line of text or JSON.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::escape::Escaped;
use super::fields::{Fields, Value};
use crate::clock::Clock;
use crate::config::LogFormat;

/// Writes every event as one line, in one call of `W`.
///
/// In place of the `fmt` layer of tracing-subscriber, which leaves U+2028 and direction marks as they
/// are in both formats, does not quote values, and prints a failed write to standard error.
pub struct Lines<W> {
    format: LogFormat,
    clock: Arc<dyn Clock>,
    write: W,
}

impl<W> Lines<W> {
    /// Lines in the format, stamped by the clock, given to `write` with their line feed.
    pub fn new(format: LogFormat, clock: Arc<dyn Clock>, write: W) -> Self
    where
        W: Fn(&[u8]),
    {
        Self {
            format,
            clock,
            write,
        }
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&[u8]) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        // Collected before the span is locked: a value's `Display` may log, too.
        let mut later = Fields::default();
        values.record(&mut later);
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            fields.extend(later);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        let message = own.take("message").unwrap_or_default();
        let mut fields = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.extend(outer.clone());
            }
        }
        fields.extend(own);
        let (now, level) = (self.clock.now(), *event.metadata().level());
        // What comes by way of the `log` crate carries its origin in fields.
        let target = fields.take("log.target");
        let target = target.as_deref().unwrap_or(event.metadata().target());
        let mut line = match self.format {
            LogFormat::Text => text(now, level, &message, target, &fields),
            LogFormat::Json => json(now, level, &message, target, &fields),
        };
        line.push('\n');
        (self.write)(line.as_bytes());
    }
}

/// `2026-11-22T09:41:29.123Z INFO: message key=value`; whose line it is only when it is not ours.
fn text(now: Timestamp, level: Level, message: &str, target: &str, fields: &Fields) -> String {
    let prefix = format!("{level}: ");
    // `telemetry::started` has the level in its message already.
    let message = message.strip_prefix(&prefix).unwrap_or(message);
    let mut line = format!("{now:.3} {prefix}{}", Escaped::words(message));
    for (name, value) in shown(fields) {
        put(&mut line, format_args!(" {name}="));
        match value {
            Value::Plain(plain) => line.push_str(plain),
            Value::Text(text) => put(&mut line, format_args!("{}", Escaped::value(text))),
        }
    }
    if !target.starts_with(env!("CARGO_CRATE_NAME")) {
        put(
            &mut line,
            format_args!(" target={}", Escaped::value(target)),
        );
    }
    line
}

/// One flat object: `timestamp`, `level`, `message`, `target`, then the fields.
fn json(now: Timestamp, level: Level, message: &str, target: &str, fields: &Fields) -> String {
    let (message, target) = (Escaped::json(message), Escaped::json(target));
    let mut line = format!(
        r#"{{"timestamp":"{now:.3}","level":"{level}","message":{message},"target":{target}"#
    );
    for (name, value) in shown(fields) {
        // A field of one of these names would make the key stand twice, and readers differ on which counts.
        let taken = ["timestamp", "level", "message", "target"].contains(&name);
        let name = if taken {
            format!("field.{name}")
        } else {
            name.to_owned()
        };
        put(&mut line, format_args!(",{}:", Escaped::json(&name)));
        match value {
            Value::Plain(plain) => line.push_str(plain),
            Value::Text(text) => put(&mut line, format_args!("{}", Escaped::json(text))),
        }
    }
    line.push('}');
    line
}

fn shown(fields: &Fields) -> impl Iterator<Item = (&'static str, &Value)> {
    fields.iter().filter(|(name, _)| !name.starts_with("log."))
}

fn put(line: &mut String, text: std::fmt::Arguments<'_>) {
    line.write_fmt(text).expect("a string can be written to");
}

#[cfg(test)]
mod tests {
    use super::super::tests::logged;
    use super::*;
    use serde_json::Value as Json;
    use tracing::{info, info_span, warn};

    const HOSTILE: &str = "ada\n2026-11-22T09:41:29.123Z INFO: forged\r\x1b[2J\u{9b}1m\u{85}\u{2028}\u{2029}\u{202e}\u{2066}end";
    const TREACHEROUS: [char; 9] = [
        '\r', '\x1b', '\u{9b}', '\u{85}', '\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}', '\0',
    ];

    #[derive(Debug)]
    struct Shown;

    impl std::fmt::Display for Shown {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(HOSTILE)
        }
    }

    #[test]
    fn nobody_forges_a_line() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = logged(format, || {
                let span = info_span!("request", path = HOSTILE, later = tracing::field::Empty);
                span.record("later", tracing::field::display(Shown));
                let _entered = span.enter();
                info!(email = HOSTILE, shown = %Shown, debug = ?HOSTILE, "a message with {HOSTILE}");
            });
            assert_eq!(log.lines().count(), 1, "{log:?}");
            assert!(log.ends_with('\n'));
            assert!(!log.contains(TREACHEROUS), "{log:?}");
            assert!(
                log.contains("forged"),
                "the words themselves are kept: {log:?}"
            );
        }
    }

    #[test]
    fn text_is_a_time_a_level_a_sentence_and_values() {
        let log = logged(LogFormat::Text, || {
            warn!(
                tries = 3,
                ratio = 0.5,
                right = false,
                name = "김 철수",
                empty = "",
                "코드가 틀렸습니다"
            );
        });
        let expected = "2026-11-22T09:41:29.123Z WARN: 코드가 틀렸습니다 tries=3 ratio=0.5 right=false name=\"김 철수\" empty=\"\"\n";
        assert_eq!(log, expected);
    }

    #[test]
    fn json_is_one_flat_object_that_reads_back() {
        let log = logged(LogFormat::Json, || {
            let _span = info_span!("request", request_id = "r-1", user = "outer").entered();
            info!(
                user = HOSTILE,
                tries = 3,
                ratio = f64::NAN,
                level = "forged",
                "\"quoted\" 인증"
            );
        });
        let line: Json = serde_json::from_str(&log).unwrap();
        assert_eq!(line["timestamp"], "2026-11-22T09:41:29.123Z");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "\"quoted\" 인증");
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["user"], HOSTILE);
        assert_eq!(line["tries"], 3);
        assert_eq!(line["ratio"], "NaN");
        assert_eq!(line["field.level"], "forged");
        assert!(
            line["target"]
                .as_str()
                .unwrap()
                .starts_with("aidlc_auth::telemetry")
        );
        assert_eq!(log.matches("\"user\"").count(), 1, "{log}");
    }

    #[test]
    fn a_line_of_a_library_says_whose_it_is() {
        let log = logged(LogFormat::Text, || info!(target: "hyper::proto", "closed"));
        assert!(log.ends_with("INFO: closed target=hyper::proto\n"), "{log}");
    }
}
