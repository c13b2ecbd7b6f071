//! Findings as they are shown: JSON for programs, lines for people.

use serde::Serialize;

use super::catalogue::{Catalogue, Entry, Words};
use crate::model::finding::{Finding, Status};
use crate::model::language::Language;
use crate::telemetry::Escaped;

/// A finding with what it means, as `deploy/aidlc-deploy preflight --json` writes it too.
#[derive(Serialize)]
struct Told<'a> {
    code: &'a str,
    number: Option<u16>,
    status: Status,
    evidence: &'a str,
    what: Option<InBoth<'a>>,
    remedy: Option<InBoth<'a>>,
}

#[derive(Serialize)]
struct InBoth<'a> {
    en: &'a str,
    ko: &'a str,
}

/// One JSON array, each finding on a line of its own: a log cuts long lines, and these are short.
pub fn json(found: &[Finding], catalogue: &Catalogue) -> String {
    let lines = found.iter().map(|finding| {
        let entry = catalogue.entry(finding.code);
        let both = |part: fn(&Words) -> &str| {
            entry.map(|entry| InBoth {
                en: part(&entry.en),
                ko: part(&entry.ko),
            })
        };
        let told = Told {
            code: finding.code,
            number: entry.and_then(|entry| entry.number),
            status: finding.status,
            evidence: &finding.evidence,
            what: both(|words| &words.what),
            remedy: both(|words| &words.remedy),
        };
        serde_json::to_string(&told).expect("it is plain data")
    });
    let lines: Vec<_> = lines.collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

/// A line for each thing that was looked at; what is amiss first, with what it means and what to do.
pub fn text(found: &[Finding], catalogue: &Catalogue, language: Language) -> String {
    let mut text = String::new();
    for status in [Status::Failed, Status::Warning, Status::Ok] {
        for finding in found.iter().filter(|finding| finding.status == status) {
            let entry = catalogue.entry(finding.code);
            text += &heading(finding, entry);
            let Some(entry) = entry.filter(|_| status != Status::Ok) else {
                continue;
            };
            let words = match language {
                Language::En => &entry.en,
                Language::Ko => &entry.ko,
            };
            text += &format!("        {}\n     -> {}\n", words.what, words.remedy);
        }
    }
    text
}

fn heading(finding: &Finding, entry: Option<&Entry>) -> String {
    let status = match finding.status {
        Status::Ok => "ok",
        Status::Warning => "warning",
        Status::Failed => "FAILED",
    };
    let number = entry.and_then(|entry| entry.number);
    let number = number.map_or_else(String::new, |number| format!(" ({number})"));
    let evidence = Escaped::words(&finding.evidence);
    format!("{status:<7} {}{number}: {evidence}\n", finding.code)
}
