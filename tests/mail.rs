//! The mails as people read them, as bytes, and in the log of the simulation.

#[path = "it/support/letters.rs"]
mod letters;
#[path = "it/support/smtp_server.rs"]
mod smtp_server;

use std::sync::{Arc, Mutex};

use aidlc_auth::mail::simulation::Simulation;
use aidlc_auth::mail::{Letter, Mail, Mailbox, NotSent, Transport, render};
use aidlc_auth::model::language::Language;
use letters::{
    LONG_CODE, PUBLIC_URL, Sample, code_letter, every_mail, from, instant, rendered, sent_at, with,
};
use smtp_server::body_of;

// What people read

#[test]
fn registration_code_in_english() {
    insta::assert_snapshot!(read(&Mail::registration(Language::En)));
}

#[test]
fn registration_code_in_korean() {
    insta::assert_snapshot!(read(&Mail::registration(Language::Ko)));
}

#[test]
fn login_code_in_english() {
    insta::assert_snapshot!(read(&Mail::login(Language::En)));
}

#[test]
fn login_code_in_korean() {
    insta::assert_snapshot!(read(&Mail::login(Language::Ko)));
}

#[test]
fn account_exists_in_english() {
    insta::assert_snapshot!(read(&Mail::account_exists(Language::En)));
}

#[test]
fn account_exists_in_korean() {
    insta::assert_snapshot!(read(&Mail::account_exists(Language::Ko)));
}

#[test]
fn a_code_sent_again_says_how_long_it_still_works() {
    let mut letter = code_letter();
    letter.requested_at = instant("2026-11-22T09:12:30Z");
    let text = text_of(&with(Letter::LoginCode(letter), Language::En));
    assert!(text.contains("within 7 minutes of the request"), "{text}");
    assert!(
        text.contains("until 22 November 2026, 09:20 UTC."),
        "{text}"
    );
}

#[test]
fn the_code_is_in_the_bodies_and_in_no_header() {
    for mail in every_mail() {
        let bytes = String::from_utf8(rendered(&mail).formatted()).unwrap();
        let (head, _) = bytes.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("482913"), "{head}");
        let carries = mail.letter.code().is_some();
        for kind in ["text/plain", "text/html"] {
            let body = body_of(&bytes, kind);
            assert_eq!(body.contains("482913"), carries, "{body}");
            assert_eq!(body.contains("abcd efgh ijkl"), carries, "{body}");
            assert!(body.contains("https://auth.example.org"), "{body}");
            assert!(!body.contains(['{', '}']) || kind == "text/html", "{body}");
            assert!(!body.contains("{until}") && !body.contains("{minutes}"));
        }
    }
}

#[test]
fn what_is_logged_about_a_mail_names_no_code_and_no_address() {
    let shown = format!("{:?}", Mail::login(Language::Ko));
    assert!(shown.contains("LoginCode"), "{shown}");
    for secret in ["482913", "abcdef", "ada@"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

// What mail servers take

#[test]
fn every_mail_is_ascii_in_short_lines_that_end_in_crlf() {
    for mail in every_mail() {
        let bytes = rendered(&mail).formatted();
        assert!(bytes.is_ascii());
        assert!(bytes.ends_with(b"\r\n"));
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        for line in text.split("\r\n") {
            assert!(line.len() <= 76, "{} bytes: {line}", line.len());
            assert!(!line.starts_with('.'), "{line}");
        }
        let (_, parts) = text.split_once("\r\n\r\n").unwrap();
        let encodings = parts.matches("Content-Transfer-Encoding: ").count();
        let base64 = parts
            .matches("Content-Transfer-Encoding: base64\r\n")
            .count();
        assert_eq!((encodings, base64), (2, 2));
    }
}

#[test]
fn every_attempt_makes_the_same_bytes() {
    let mail = Mail::login(Language::Ko);
    assert_eq!(rendered(&mail).formatted(), rendered(&mail).formatted());
}

#[test]
fn nothing_in_an_address_or_an_id_becomes_a_header() {
    let addresses = [
        "",
        "ada",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\nBcc: eve@example.org",
        "ada\r\nBcc: eve@example.org",
        "ada\u{85}x@example.org",
        "ada@example.org>\r\nDATA",
        "ada@example.org, eve@example.org",
        "Ada <ada@example.org>",
        "ada@exam\0ple.org",
    ];
    for address in addresses {
        let mail = Mail {
            to: address.into(),
            ..Mail::login(Language::En)
        };
        let error = refusal(&mail);
        assert!(matches!(error, NotSent::Permanent(_)), "{address:?}");
        assert!(!error.to_string().contains("ada"), "{error}");
    }
    for id in [
        "",
        "x",
        "a@b>\r\nBcc: <eve@example.org",
        "<a@b>",
        "a b@c",
        "é@b",
    ] {
        let mail = Mail {
            message_id: id.into(),
            ..Mail::login(Language::En)
        };
        assert!(matches!(refusal(&mail), NotSent::Permanent(_)), "{id:?}");
    }
}

#[test]
fn a_senders_name_in_korean_is_encoded() {
    let name = "인증 서비스 \"알림\"".to_owned();
    let from = Mailbox::new(Some(name), "no-reply@example.org".parse().unwrap());
    let message = render(&Mail::login(Language::Ko), &from, PUBLIC_URL, sent_at()).unwrap();
    let bytes = String::from_utf8(message.formatted()).unwrap();
    assert!(bytes.is_ascii());
    assert!(bytes.split("\r\n").all(|line| line.len() <= 78), "{bytes}");
}

#[test]
fn a_public_url_cannot_leave_its_place_in_the_html() {
    let url = "https://auth.example.org/\"><script>";
    let message = render(&Mail::login(Language::En), &from(), url, sent_at()).unwrap();
    let html = body_of(
        &String::from_utf8(message.formatted()).unwrap(),
        "text/html",
    );
    assert!(!html.contains("<script>"), "{html}");
}

// The simulation

#[tokio::test]
async fn the_simulation_writes_the_code_to_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let mail = Mail::registration(Language::Ko);
    Simulation.send(&mail, &rendered(&mail)).await.unwrap();
    let mail = Mail::account_exists(Language::En);
    Simulation.send(&mail, &rendered(&mail)).await.unwrap();

    let lines = log.0.lock().unwrap().clone();
    let lines = String::from_utf8(lines).unwrap();
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].contains("📧 이메일 발송 시뮬레이션"),
        "{}",
        lines[0]
    );
    assert!(lines[0].contains("ada@example.org"), "{}", lines[0]);
    assert!(lines[0].contains("code=\"482913\""), "{}", lines[0]);
    assert!(lines[0].contains(LONG_CODE), "{}", lines[0]);
    assert!(
        lines[0].contains("subject=\"회원가입 인증 코드 안내\""),
        "{}",
        lines[0]
    );
    assert!(lines[0].contains("2026-11-22T09:20:00Z"), "{}", lines[0]);
    assert!(!lines[1].contains("code="), "{}", lines[1]);
}

fn refusal(mail: &Mail) -> NotSent {
    render(mail, &from(), PUBLIC_URL, sent_at()).unwrap_err()
}

fn text_of(mail: &Mail) -> String {
    body_of(
        &String::from_utf8(rendered(mail).formatted()).unwrap(),
        "text/plain",
    )
}

/// The whole mail with its bodies decoded.
fn read(mail: &Mail) -> String {
    let bytes = String::from_utf8(rendered(mail).formatted()).unwrap();
    let (head, _) = bytes.split_once("\r\n\r\n").unwrap();
    let (text, html) = (body_of(&bytes, "text/plain"), body_of(&bytes, "text/html"));
    format!(
        "{}\n\n{text}\n=== HTML ===\n{html}",
        head.replace("\r\n", "\n")
    )
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
