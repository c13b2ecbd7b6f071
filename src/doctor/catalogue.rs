//! `deploy/failures.toml`: what each failure means and what to do about it, in English and Korean.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The failures that can be told apart, by their codes.
pub struct Catalogue(BTreeMap<String, Entry>);

/// What is known of one.
#[derive(Deserialize)]
pub struct Entry {
    /// Its place in the list of failures of a deployment, if it is on it.
    pub number: Option<u16>,
    /// For those who read English.
    pub en: Words,
    /// For those who read Korean.
    pub ko: Words,
}

/// An entry in one language.
#[derive(Deserialize)]
pub struct Words {
    /// What has happened.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Catalogue {
    /// The one that is built in.
    pub fn read() -> Self {
        let text = include_str!("../../deploy/failures.toml");
        Self(toml::from_str(text).expect("a test reads the same text"))
    }

    /// What is known of a failure.
    pub fn entry(&self, code: &str) -> Option<&Entry> {
        self.0.get(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_told_in_both_languages() {
        let Catalogue(entries) = Catalogue::read();
        let numbers: Vec<_> = entries.values().filter_map(|entry| entry.number).collect();
        assert_eq!(numbers.len(), 33);
        let is_korean = |text: &str| text.contains(|c: char| ('가'..='힣').contains(&c));
        for (code, entry) in &entries {
            for (english, korean) in [
                (&entry.en.what, &entry.ko.what),
                (&entry.en.remedy, &entry.ko.remedy),
            ] {
                assert!(
                    !english.is_empty() && !is_korean(english),
                    "{code}: {english}"
                );
                assert!(is_korean(korean), "{code}: {korean}");
            }
        }
    }
}
