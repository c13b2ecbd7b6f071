//! Lays the sources over one another and hands out values key by key, collecting every problem.
//!
//! After a problem the reader hands out a placeholder and goes on, so that one start shows them all;
//! whoever takes what [`Reader::finish`] gives sees to it that no placeholder is worked with.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::file;
use super::parse;
use super::problem::{Problem, Refused, Source};

/// A setting as it took effect, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub key: &'static str,
    /// Its value, secrets hidden; `None` when it is not set.
    pub shown: Option<String>,
    /// Where the value came from.
    pub source: Source,
}

struct Given {
    value: String,
    source: Source,
}

/// The settings under way from their sources to their types.
pub struct Reader {
    known: Vec<&'static str>,
    given: BTreeMap<&'static str, Given>,
    settings: BTreeMap<&'static str, Setting>,
    problems: Vec<Problem>,
}

impl Reader {
    /// The environment over the file over the defaults. An empty variable counts as not set.
    pub fn new(env: impl Iterator<Item = (String, String)>, file: Option<(&Path, &str)>) -> Self {
        let mut reader = Self {
            known: file::known_keys(),
            given: BTreeMap::new(),
            settings: BTreeMap::new(),
            problems: Vec::new(),
        };
        reader.lay_file(Path::new("config.default.toml"), file::DEFAULTS);
        for given in reader.given.values_mut() {
            given.source = Source::Default;
        }
        if let Some((path, text)) = file {
            reader.lay_file(path, text);
        }
        for (name, value) in env {
            let known = reader.known.iter().find(|key| key.to_uppercase() == name);
            if let Some(key) = known.filter(|_| !value.trim().is_empty()) {
                reader.given.insert(
                    key,
                    Given {
                        value,
                        source: Source::Environment,
                    },
                );
            }
        }
        reader
    }

    fn lay_file(&mut self, path: &Path, text: &str) {
        let (lines, problems) = file::parse(path, text);
        self.problems.extend(problems);
        for file::Line { key, value, line } in lines {
            let source = Source::File {
                path: path.to_owned(),
                line,
            };
            if let Some(known) = self.known.iter().find(|known| **known == key) {
                // As with a variable: empty is not set.
                if value.trim().is_empty() {
                    continue;
                }
                self.given.insert(known, Given { value, source });
                continue;
            }
            let remedy = file::nearest(&self.known, &key).map_or_else(
                || "Remove the line; `aidlc-auth config` lists all settings".to_owned(),
                |near| format!("Perhaps `{near}` was meant"),
            );
            let wrong = "is no setting of this service".to_owned();
            self.problems.push(Problem {
                key,
                source,
                wrong,
                remedy,
            });
        }
    }

    /// What to assume when nobody set the key.
    pub fn assume(&mut self, key: &'static str, value: impl Into<String>) {
        let value = value.into();
        self.given.entry(key).or_insert(Given {
            value,
            source: Source::Default,
        });
    }

    /// Whether anybody, the defaults included, set the key.
    pub fn has(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Whether anybody put an item into the list: `","` has none.
    pub fn has_items(&self, key: &str) -> bool {
        let given = self.given.get(key);
        given.is_some_and(|given| split(&given.value).next().is_some())
    }

    /// The value, in the words that `parse` makes of it; `None` when it is not set or is refused.
    pub fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Refused>,
    ) -> Option<T> {
        self.read_shown(key, str::to_owned, parse)
    }

    /// As [`Reader::read`]; the value is shown as `show` masks it.
    pub fn read_shown<T>(
        &mut self,
        key: &'static str,
        show: impl FnOnce(&str) -> String,
        parse: impl FnOnce(&str) -> Result<T, Refused>,
    ) -> Option<T> {
        let Some(Given { value, source }) = self.given.get(key) else {
            self.settings.insert(
                key,
                Setting {
                    key,
                    shown: None,
                    source: Source::Default,
                },
            );
            return None;
        };
        let (value, source) = (value.trim(), source.clone());
        let (shown, parsed) = (show(value), parse(value));
        self.settings.insert(
            key,
            Setting {
                key,
                shown: Some(shown),
                source,
            },
        );
        parsed.map_err(|refused| self.refuse(key, refused)).ok()
    }

    /// As [`Reader::read_shown`], for a value of which nothing is ever shown.
    pub fn read_secret<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Refused>,
    ) -> Option<T> {
        self.read_shown(key, |_| "(set, hidden)".to_owned(), parse)
    }

    /// A whole number in the range.
    pub fn number<N>(&mut self, key: &'static str, range: RangeInclusive<u64>) -> N
    where
        N: TryFrom<u64, Error: std::fmt::Debug>,
    {
        let (least, most) = (*range.start(), *range.end());
        let read = self.required(key, |text| {
            let number = text.parse().ok().filter(|number| range.contains(number));
            number.ok_or_else(|| {
                let remedy = format!("Give a whole number from {least} to {most}");
                Refused::new(format!("{text:?} is not a whole number in range"), remedy)
            })
        });
        N::try_from(read.unwrap_or(least)).expect("the range is within the type")
    }

    /// A time in whole seconds.
    pub fn seconds(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(key, range))
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str) -> bool {
        self.choice(key, &[("true", true), ("false", false)])
    }

    /// One of the words, each with what it means. The first stands in for a wrong one.
    pub fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> T {
        let read = self.required(key, |text| parse::one_of(words, text));
        read.unwrap_or(words[0].1)
    }

    /// A setting that must have a value; its absence is a problem of its own.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Refused>,
    ) -> Option<T> {
        let read = self.read(key, parse);
        if self
            .settings
            .get(key)
            .is_some_and(|setting| setting.shown.is_none())
        {
            let remedy = format!(
                "Set {}; `config.default.toml` describes it",
                key.to_uppercase()
            );
            self.refuse(key, Refused::new("is not set", remedy));
        }
        read
    }

    /// Items separated by commas; none when it is not set. Every item that is wrong is a problem.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Refused>,
    ) -> Vec<T> {
        let items = self.read(key, |text| Ok(split(text).map(parse).collect::<Vec<_>>()));
        self.sort_out(key, items.unwrap_or_default())
    }

    /// As [`Reader::list`], for items of which nothing is ever shown.
    pub fn secret_list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Refused>,
    ) -> Vec<T> {
        let items = self.read_secret(key, |text| Ok(split(text).map(parse).collect::<Vec<_>>()));
        self.sort_out(key, items.unwrap_or_default())
    }

    fn sort_out<T>(&mut self, key: &'static str, items: Vec<Result<T, Refused>>) -> Vec<T> {
        let numbered = (1..).zip(items);
        let good = numbered.filter_map(|(n, item)| {
            // By its place, never by its text: an item of a secret list is a secret.
            let place = |refused: Refused| Refused {
                wrong: format!("item {n} {}", refused.wrong),
                ..refused
            };
            item.map_err(|refused| self.refuse(key, place(refused)))
                .ok()
        });
        good.collect()
    }

    /// Notes a problem with the key, wherever its value came from.
    pub fn refuse(&mut self, key: &str, Refused { wrong, remedy }: Refused) {
        let source = self
            .given
            .get(key)
            .map_or(Source::Default, |given| given.source.clone());
        self.problems.push(Problem {
            key: key.to_owned(),
            source,
            wrong,
            remedy,
        });
    }

    /// All settings in the order of `config.default.toml`, and all problems with them.
    pub fn finish(self) -> (Vec<Setting>, Vec<Problem>) {
        let place = |setting: &Setting| self.known.iter().position(|key| *key == setting.key);
        let mut settings: Vec<_> = self.settings.into_values().collect();
        settings.sort_by_key(place);
        (settings, self.problems)
    }
}

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}
