//! Reads settings out of TOML text: flat keys, with the line each stands on.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Source};

/// Every setting, its default and a sentence, as it is shipped.
pub const DEFAULTS: &str = include_str!("../../config.default.toml");

/// A key in a file with its value as the environment would spell it.
pub struct Line {
    /// As it was typed, known or not.
    pub key: String,
    /// Lists joined by commas.
    pub value: String,
    /// Where it stands, counted from 1.
    pub line: usize,
}

/// The names of all settings in the order of `config.default.toml`, those without a default included.
pub fn known_keys() -> Vec<&'static str> {
    let key = |line: &'static str| {
        let (key, _) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        is_key.then_some(key)
    };
    DEFAULTS.lines().filter_map(key).collect()
}

/// What the file says, and everything that is wrong with how it says it.
pub fn parse(path: &Path, text: &str) -> (Vec<Line>, Vec<Problem>) {
    let line_at = |offset: usize| 1 + text.bytes().take(offset).filter(|&b| b == b'\n').count();
    let problem = |key: &str, line: usize, wrong: String, remedy: &str| Problem {
        key: key.to_owned(),
        source: Source::File {
            path: path.to_owned(),
            line,
        },
        wrong,
        remedy: remedy.to_owned(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    // Only the parser's sentence: its `Display` would quote the line, and a secret with it.
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| {
            let line = line_at(error.span().map_or(0, |span| span.start));
            let wrong = format!("not TOML: {}", error.message());
            problem(
                "config",
                line,
                wrong,
                "Write each setting as `name = value`, text in quotes",
            )
        })
        .collect();
    // A line that did not parse leaves odd values behind; only the syntax is worth reporting then.
    let broken: Vec<usize> = problems.iter().filter_map(line_of).collect();

    let mut lines = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line_at(key.span().start);
        let key = key.get_ref().as_ref();
        match spelled(value.get_ref()) {
            _ if broken.contains(&line) => {}
            Ok(value) => lines.push(Line {
                key: key.to_owned(),
                value,
                line,
            }),
            Err(found) => problems.push(problem(
                key,
                line,
                format!("is {found}, where text, a whole number, true or false belongs"),
                "Settings are flat: write `name = value`, without sections",
            )),
        }
    }
    lines.sort_by_key(|line| line.line);
    (lines, problems)
}

fn line_of(problem: &Problem) -> Option<usize> {
    match problem.source {
        Source::File { line, .. } => Some(line),
        _ => None,
    }
}

/// The value as an environment variable would spell it; what it is instead, when it cannot be one.
fn spelled(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Boolean(flag) => Ok(flag.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "a number out of range"),
        DeValue::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|i| spelled(i.get_ref())).collect();
            Ok(items?.join(","))
        }
        other => Err(match other {
            DeValue::Table(_) => "a section",
            DeValue::Float(_) => "a number with a fraction",
            _ => "a date or time",
        }),
    }
}

/// The known key nearest to a mistyped one, if any is near enough to be meant.
pub fn nearest<'k>(known: &[&'k str], typed: &str) -> Option<&'k str> {
    let typed = typed.to_ascii_lowercase().replace('-', "_");
    let (distance, key) = known
        .iter()
        .map(|key| (distance(key, &typed), *key))
        .min()?;
    (distance <= typed.len().min(key.len()) / 3 + 1).then_some(key)
}

/// How many letters must be put in, left out or changed to make one word the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    // A key as long as a novel is no typing slip, and the table below grows with it.
    if b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
