//! The words of `messages.{ko,en}.toml`, as `build.rs` turned them into a struct.

use crate::model::language::Language;

include!(concat!(env!("OUT_DIR"), "/messages.rs"));

impl Messages {
    /// The words in a language.
    pub fn of(language: Language) -> &'static Messages {
        match language {
            Language::Ko => &KO,
            Language::En => &EN,
        }
    }
}
