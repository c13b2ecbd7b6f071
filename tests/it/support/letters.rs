//! One mail of every kind, to ada@example.org, as the tests send and read them.

#![allow(dead_code, reason = "each test binary uses a part")]

use aidlc_auth::mail::{CodeLetter, Letter, Mail, Mailbox, Message, NoticeLetter, render};
use aidlc_auth::model::device::Device;
use aidlc_auth::model::language::Language;
use jiff::Timestamp;

pub const PUBLIC_URL: &str = "https://auth.example.org";
pub const LONG_CODE: &str = "abcdefghijklmnopqrstuvwxyzab";

pub trait Sample {
    fn registration(language: Language) -> Self;
    fn login(language: Language) -> Self;
    fn account_exists(language: Language) -> Self;
}

impl Sample for Mail {
    fn registration(language: Language) -> Self {
        with(Letter::RegistrationCode(code_letter()), language)
    }

    fn login(language: Language) -> Self {
        with(Letter::LoginCode(code_letter()), language)
    }

    fn account_exists(language: Language) -> Self {
        let notice = NoticeLetter {
            requested_at: sent_at(),
            device: Device::parse("kakaotalk/android"),
        };
        with(Letter::AccountExists(notice), language)
    }
}

pub fn every_mail() -> Vec<Mail> {
    let both = [Language::Ko, Language::En];
    both.into_iter()
        .flat_map(|language| {
            [
                Mail::registration(language),
                Mail::login(language),
                Mail::account_exists(language),
            ]
        })
        .collect()
}

pub fn with(letter: Letter, language: Language) -> Mail {
    Mail {
        message_id: "0193b0de-7e5a-7000-8000-000000000001@auth.example.org".into(),
        to: "ada@example.org".into(),
        language,
        letter,
    }
}

pub fn code_letter() -> CodeLetter {
    CodeLetter {
        code: "482913".into(),
        long_code: LONG_CODE.into(),
        expires_at: instant("2026-11-22T09:20:00Z"),
        requested_at: sent_at(),
        device: Device::parse("chrome/windows"),
    }
}

pub fn sent_at() -> Timestamp {
    instant("2026-11-22T09:05:00Z")
}

pub fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn from() -> Mailbox {
    "aidlc-auth <no-reply@example.org>".parse().unwrap()
}

pub fn rendered(mail: &Mail) -> Message {
    render(mail, &from(), PUBLIC_URL, sent_at()).unwrap()
}
