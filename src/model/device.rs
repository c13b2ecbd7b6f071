//! What a person used to ask: a browser and a system, each out of a fixed vocabulary.
//!
//! A User-Agent is whatever its sender typed. Only these words ever reach a mail, a list of
//! sessions or a store, so nobody can write into somebody else's mailbox through it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::messages::Messages;
use crate::model::language::Language;

/// A browser on a system, as far as the User-Agent tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Device {
    /// The program that asked.
    pub browser: Browser,
    /// What it ran on.
    pub system: System,
}

/// The programs we can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "the variants are product names")]
pub enum Browser {
    Chrome,
    Edge,
    Firefox,
    Safari,
    Opera,
    SamsungInternet,
    Whale,
    KakaoTalk,
    NaverApp,
    Curl,
    /// Anything else, and no User-Agent at all.
    #[default]
    Unknown,
}

/// The systems we can name. An iPad that asks for the desktop site says that it is a Mac.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "the variants are product names")]
pub enum System {
    Windows,
    MacOs,
    Linux,
    ChromeOs,
    Android,
    Ios,
    /// Anything else, and no User-Agent at all.
    #[default]
    Unknown,
}

impl Device {
    /// Reads a `User-Agent` header; whatever it does not know becomes `Unknown`.
    pub fn from_user_agent(header: &str) -> Self {
        Self {
            browser: first_match(BROWSER_MARKS, header),
            system: first_match(SYSTEM_MARKS, header),
        }
    }

    /// Reads what [`fmt::Display`] wrote, e.g. `chrome/android`. Words of a newer release, and
    /// damage, become `Unknown`: a stored device is never a reason to fail.
    pub fn parse(text: &str) -> Self {
        let (browser, system) = text.split_once('/').unwrap_or((text, ""));
        Self {
            browser: named(BROWSER_NAMES, browser),
            system: named(SYSTEM_NAMES, system),
        }
    }

    /// The device in a person's words, e.g. `Chrome (Android)`.
    pub fn say(self, language: Language) -> String {
        let words = &Messages::of(language).device;
        let browser = match self.browser {
            Browser::Chrome => "Chrome",
            Browser::Edge => "Edge",
            Browser::Firefox => "Firefox",
            Browser::Safari => "Safari",
            Browser::Opera => "Opera",
            Browser::SamsungInternet => words.samsung_internet,
            Browser::Whale => words.whale,
            Browser::KakaoTalk => words.kakaotalk,
            Browser::NaverApp => words.naver_app,
            Browser::Curl => "curl",
            Browser::Unknown => words.unknown_browser,
        };
        let system = match self.system {
            System::Windows => "Windows",
            System::MacOs => "macOS",
            System::Linux => "Linux",
            System::ChromeOs => "ChromeOS",
            System::Android => "Android",
            System::Ios => "iOS",
            System::Unknown => words.unknown_system,
        };
        format!("{browser} ({system})")
    }
}

/// The short form that the stores keep: `browser/system`, stable for ever.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let browser = name_of(BROWSER_NAMES, self.browser);
        let system = name_of(SYSTEM_NAMES, self.system);
        write!(f, "{browser}/{system}")
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

impl From<String> for Device {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

/// The order matters: nearly everyone also claims to be Chrome, and Chrome to be Safari.
const BROWSER_MARKS: &[(&str, Browser)] = &[
    ("KAKAOTALK", Browser::KakaoTalk),
    ("NAVER(", Browser::NaverApp),
    ("Whale/", Browser::Whale),
    ("SamsungBrowser/", Browser::SamsungInternet),
    ("Edg/", Browser::Edge),
    ("EdgA/", Browser::Edge),
    ("EdgiOS/", Browser::Edge),
    ("OPR/", Browser::Opera),
    ("OPT/", Browser::Opera),
    ("Firefox/", Browser::Firefox),
    ("FxiOS/", Browser::Firefox),
    ("Chrome/", Browser::Chrome),
    ("CriOS/", Browser::Chrome),
    ("Safari/", Browser::Safari),
    ("curl/", Browser::Curl),
];

/// The order matters: iPhones are "like Mac OS X", and Android is a Linux.
const SYSTEM_MARKS: &[(&str, System)] = &[
    ("iPhone", System::Ios),
    ("iPad", System::Ios),
    ("iPod", System::Ios),
    ("Android", System::Android),
    ("Windows", System::Windows),
    ("CrOS", System::ChromeOs),
    ("Macintosh", System::MacOs),
    ("Linux", System::Linux),
];

const BROWSER_NAMES: &[(&str, Browser)] = &[
    ("chrome", Browser::Chrome),
    ("edge", Browser::Edge),
    ("firefox", Browser::Firefox),
    ("safari", Browser::Safari),
    ("opera", Browser::Opera),
    ("samsung_internet", Browser::SamsungInternet),
    ("whale", Browser::Whale),
    ("kakaotalk", Browser::KakaoTalk),
    ("naver_app", Browser::NaverApp),
    ("curl", Browser::Curl),
];

const SYSTEM_NAMES: &[(&str, System)] = &[
    ("windows", System::Windows),
    ("macos", System::MacOs),
    ("linux", System::Linux),
    ("chromeos", System::ChromeOs),
    ("android", System::Android),
    ("ios", System::Ios),
];

fn first_match<T: Copy + Default>(marks: &[(&str, T)], header: &str) -> T {
    marks
        .iter()
        .find(|(mark, _)| header.contains(mark))
        .map_or_else(T::default, |(_, value)| *value)
}

fn named<T: Copy + Default>(names: &[(&str, T)], text: &str) -> T {
    names
        .iter()
        .find(|(name, _)| *name == text)
        .map_or_else(T::default, |(_, value)| *value)
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names
        .iter()
        .find(|(_, named)| *named == value)
        .map_or("unknown", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn real_browsers_are_recognised() {
        let cases = [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
                "chrome/windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
                "edge/windows",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
                "firefox/linux",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
                "safari/macos",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1",
                "chrome/ios",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-S928N) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
                "samsung_internet/android",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Whale/4.29.282.14 Safari/537.36",
                "whale/windows",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-S928N; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0.0.0 Mobile Safari/537.36;KAKAOTALK 2410850",
                "kakaotalk/android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 NAVER(inapp; search; 2000; 12.8.1)",
                "naver_app/ios",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
                "chrome/chromeos",
            ),
            ("curl/8.14.1", "curl/unknown"),
            ("", "unknown/unknown"),
            (
                "Call +82-2-555-0100 to unlock <b>now</b>",
                "unknown/unknown",
            ),
        ];
        for (header, expected) in cases {
            assert_eq!(
                Device::from_user_agent(header).to_string(),
                expected,
                "{header}"
            );
        }
    }

    #[test]
    fn every_name_comes_back_as_itself() {
        for (_, browser) in BROWSER_NAMES {
            for (_, system) in SYSTEM_NAMES {
                let device = Device {
                    browser: *browser,
                    system: *system,
                };
                assert_eq!(Device::parse(&device.to_string()), device);
            }
        }
        let marked = BROWSER_MARKS.iter().map(|(_, browser)| *browser);
        for browser in marked {
            assert_ne!(name_of(BROWSER_NAMES, browser), "unknown", "{browser:?}");
        }
    }

    #[test]
    fn what_a_newer_release_stored_is_unknown_and_no_failure() {
        assert_eq!(Device::parse("ladybird/haiku"), Device::default());
        assert_eq!(Device::parse(""), Device::default());
        assert_eq!(
            Device::parse("chrome/haiku").say(Language::En),
            "Chrome (unknown system)"
        );
    }

    #[test]
    fn it_is_said_in_both_languages() {
        let device = Device::parse("whale/windows");
        assert_eq!(device.say(Language::Ko), "네이버 웨일 (Windows)");
        assert_eq!(device.say(Language::En), "Naver Whale (Windows)");
    }

    proptest! {
        #[test]
        fn a_typed_header_chooses_words_but_writes_none(header in ".{0,200}") {
            let device = Device::from_user_agent(&header);
            prop_assert_eq!(Device::parse(&device.to_string()), device);
        }
    }
}
