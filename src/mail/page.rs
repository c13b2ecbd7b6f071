//! A letter in words: what its text and its HTML show, in the reader's language.

use askama::Template;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::{CodeLetter, Letter, Mail};
use crate::messages::{MailMessages, Messages};
use crate::model::device::Device;
use crate::model::language::Language;

/// Everything that the two templates show, in the order in which it is read.
pub(super) struct Page<'a> {
    language: &'static str,
    pub(super) subject: &'static str,
    purpose: &'static str,
    code: Option<CodeLines<'a>>,
    place: &'static str,
    public_url: &'a str,
    facts: [Fact; 2],
    not_you: &'static str,
    never_asked: &'static str,
    automatic: &'static str,
}

struct CodeLines<'a> {
    digits: &'a str,
    validity: String,
    long_code_is_for: &'static str,
    long_code: String,
}

struct Fact {
    name: &'static str,
    value: String,
}

/// The sentences that differ between the kinds of letter.
struct Words {
    subject: &'static str,
    purpose: &'static str,
    place: &'static str,
    not_you: &'static str,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Text<'a> {
    page: &'a Page<'a>,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    page: &'a Page<'a>,
}

impl<'a> Page<'a> {
    pub(super) fn of(mail: &'a Mail, public_url: &'a str) -> Self {
        let mail_words = &Messages::of(mail.language).mail;
        let words = words(&mail.letter, mail_words);
        let (requested_at, device) = asked(&mail.letter);
        Self {
            language: mail.language.as_str(),
            subject: words.subject,
            purpose: words.purpose,
            code: mail
                .letter
                .code()
                .map(|code| code_lines(code, mail.language, mail_words)),
            place: words.place,
            public_url,
            facts: [
                Fact {
                    name: mail_words.requested_at,
                    value: local_time(requested_at, mail.language, mail_words),
                },
                Fact {
                    name: mail_words.device,
                    value: device.say(mail.language),
                },
            ],
            not_you: words.not_you,
            never_asked: mail_words.never_asked,
            automatic: mail_words.automatic,
        }
    }

    /// The text and the HTML.
    pub(super) fn write(&self) -> Result<(String, String), askama::Error> {
        let text = Text { page: self }.render()?;
        let html = Html { page: self }.render()?;
        Ok((text, html))
    }
}

fn words(letter: &Letter, mail: &'static MailMessages) -> Words {
    /// Every kind has the same keys in its section.
    macro_rules! section {
        ($section:ident) => {
            Words {
                subject: mail.$section.subject,
                purpose: mail.$section.purpose,
                place: mail.$section.place,
                not_you: mail.$section.not_you,
            }
        };
    }
    match letter {
        Letter::RegistrationCode(_) => section!(registration_code),
        Letter::LoginCode(_) => section!(login_code),
        Letter::AccountExists(_) => section!(account_exists),
    }
}

fn asked(letter: &Letter) -> (Timestamp, Device) {
    match letter {
        Letter::RegistrationCode(code) | Letter::LoginCode(code) => {
            (code.requested_at, code.device)
        }
        Letter::AccountExists(notice) => (notice.requested_at, notice.device),
    }
}

fn code_lines<'a>(
    code: &'a CodeLetter,
    language: Language,
    mail: &'static MailMessages,
) -> CodeLines<'a> {
    // A code that is sent again keeps its end, so this is not always the whole lifetime.
    let left = code.expires_at.duration_since(code.requested_at);
    let minutes = left.as_mins().max(1).to_string();
    CodeLines {
        digits: &code.code,
        validity: mail
            .validity
            .replace("{until}", &local_time(code.expires_at, language, mail))
            .replace("{minutes}", &minutes),
        long_code_is_for: mail.long_code_is_for,
        long_code: in_fours(&code.long_code),
    }
}

/// `abcd efgh …`: whoever reads it from another screen keeps their place. The spaces do no harm
/// when they are pasted; verification drops them.
fn in_fours(letters: &str) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(String::from_iter).collect();
    groups.join(" ")
}

fn local_time(instant: Timestamp, language: Language, mail: &'static MailMessages) -> String {
    let zone = match language {
        // Korea has kept no summer time since 1988, and a fixed offset needs no zone files,
        // which a scratch image does not have.
        Language::Ko => TimeZone::fixed(Offset::constant(9)),
        Language::En => TimeZone::UTC,
    };
    instant
        .to_zoned(zone)
        .strftime(mail.time_format)
        .to_string()
}
