//! Mails over real connections to a mail server that does what it is told: refusals first.

#[path = "it/support/letters.rs"]
mod letters;
#[path = "it/support/smtp_server.rs"]
mod smtp_server;

use std::time::Duration;

use aidlc_auth::mail::smtp::{Smtp, SmtpUrl};
use aidlc_auth::mail::{Mail, Message, NotSent, Transport};
use aidlc_auth::model::language::Language;
use letters::{Sample, from, rendered};
use smtp_server::{Certificates, Received, Script, SmtpServer, Tls};

const HOST: &str = "mail.example.org";

#[tokio::test]
async fn without_an_offer_of_starttls_nothing_is_sent_beyond_loopback() {
    let mut script = Script {
        login: Some(("ada", "s3cret")),
        ..Script::default()
    };
    script.tls = Tls::Never;
    let server = SmtpServer::start(script).await;
    let smtp = smtp(&format!("smtp://ada:s3cret@{HOST}"), None, &server);

    let error = send(&smtp).await.unwrap_err();
    assert!(
        error.to_string().contains("does not offer STARTTLS"),
        "{error}"
    );
    assert!(matches!(error, NotSent::Temporary(_)));
    assert_eq!(server.verbs(), ["EHLO"]);
    assert!(server.is_empty());
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    for (scheme, tls) in [
        ("smtp", Tls::OnRequest as fn(_) -> _),
        ("smtps", Tls::AtOnce),
    ] {
        let theirs = Certificates::for_host(HOST);
        let ours = Certificates::for_host(HOST);
        let script = Script {
            tls: tls(theirs.acceptor),
            ..Script::default()
        };
        let server = SmtpServer::start(script).await;
        for ca in [None, Some(ours.ca_pem.as_str())] {
            let smtp = smtp(&format!("{scheme}://{HOST}"), ca, &server);
            let error = send(&smtp).await.unwrap_err();
            assert!(matches!(error, NotSent::Temporary(_)), "{error}");
            assert!(error.to_string().contains("certificate"), "{error}");
        }
        assert!(!server.verbs().contains(&"MAIL".to_owned()));
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let certificates = Certificates::for_host("other.example.org");
    let script = Script {
        tls: Tls::AtOnce(certificates.acceptor),
        ..Script::default()
    };
    let server = SmtpServer::start(script).await;
    let smtp = smtp(
        &format!("smtps://{HOST}"),
        Some(&certificates.ca_pem),
        &server,
    );
    let error = send(&smtp).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(server.verbs().is_empty());
}

#[tokio::test]
async fn starttls_is_used_and_the_login_sent_only_after_it() {
    let certificates = Certificates::for_host(HOST);
    let script = Script {
        tls: Tls::OnRequest(certificates.acceptor),
        login: Some(("ada@example.org", "p:ss%wörd")),
        ..Script::default()
    };
    let mut server = SmtpServer::start(script).await;
    let url = format!("smtp://ada%40example.org:p%3Ass%25w%C3%B6rd@{HOST}");
    let smtp = smtp(&url, Some(&certificates.ca_pem), &server);

    send(&smtp).await.unwrap();
    let mail = server.mail().await;
    assert!(mail.encrypted);
    assert_eq!(mail.login.as_deref(), Some("PLAIN ada@example.org"));
    assert_eq!(server.verbs()[..4], ["EHLO", "STARTTLS", "EHLO", "AUTH"]);
}

#[tokio::test]
async fn tls_at_once_and_the_older_login_work_too() {
    let certificates = Certificates::for_host(HOST);
    let script = Script {
        tls: Tls::AtOnce(certificates.acceptor),
        login: Some(("ada", "s3cret")),
        auth_login_only: true,
        ..Script::default()
    };
    let mut server = SmtpServer::start(script).await;
    let url = format!("smtps://ada:s3cret@{HOST}");
    let smtp = smtp(&url, Some(&certificates.ca_pem), &server);

    send(&smtp).await.unwrap();
    let mail = server.mail().await;
    assert!(mail.encrypted);
    assert_eq!(mail.login.as_deref(), Some("LOGIN ada"));
}

#[tokio::test]
async fn a_refused_login_is_the_operators_to_mend_and_no_mail_is_lost() {
    let script = Script {
        login: Some(("ada", "right")),
        ..Script::default()
    };
    let server = SmtpServer::start(script).await;
    let smtp = smtp("smtp://ada:s3cret@localhost", None, &server);

    let error = smtp.check().await.unwrap_err();
    // Until somebody mends it; but that is not the mail's fault.
    assert!(matches!(error, NotSent::Permanent(_)));
    assert!(error.to_string().contains("535"), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    assert!(matches!(send(&smtp).await, Err(NotSent::Temporary(_))));
    assert!(!server.verbs().contains(&"MAIL".to_owned()));
}

#[tokio::test]
async fn four_hundreds_are_worth_another_attempt_and_five_hundreds_are_not() {
    let cases = [
        ("RCPT", "450 4.2.0 <ada@example.org> busy", false),
        ("RCPT", "550 5.1.1 <ada@example.org> unknown", true),
        ("MAIL", "421 4.3.2 closing", false),
        ("MAIL", "553 5.1.8 sender refused", true),
        ("DATA", "451 4.3.0 later", false),
        (".", "452 4.3.1 full", false),
        (".", "554-5.7.1 spam\r\n554 5.7.1 482913", true),
    ];
    for (verb, reply, is_permanent) in cases {
        let script = Script {
            replies: vec![(verb, reply)],
            ..Script::default()
        };
        let mut server = SmtpServer::start(script).await;
        let smtp = smtp("smtp://localhost", None, &server);

        let error = send(&smtp).await.unwrap_err();
        let found = matches!(error, NotSent::Permanent(_));
        assert_eq!(found, is_permanent, "{verb} {reply}: {error}");
        assert!(error.to_string().contains(&reply[..3]), "{error}");
        assert!(!error.to_string().contains("ada@"), "{error}");
        assert!(!error.to_string().contains("482913"), "{error}");

        // The next mail begins a dialogue of its own.
        send(&smtp).await.unwrap();
        assert_eq!(server.mail().await.connection, 1);
    }
}

#[tokio::test]
async fn replies_that_do_not_fit_are_no_success() {
    let cases = [
        ("DATA", "250 injected"),
        (".", "354 go on"),
        ("MAIL", "hello"),
        ("connect", "554 no service"),
        ("EHLO", "not smtp"),
    ];
    for (verb, reply) in cases {
        let script = Script {
            replies: vec![(verb, reply)],
            ..Script::default()
        };
        let server = SmtpServer::start(script).await;
        let smtp = smtp("smtp://localhost", None, &server);
        let error = send(&smtp).await.unwrap_err();
        assert!(
            matches!(error, NotSent::Temporary(_)),
            "{verb} {reply}: {error}"
        );
        assert!(server.is_empty());
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up_and_its_late_reply_is_not_believed() {
    for verb in ["connect", "EHLO", "MAIL", "DATA", "."] {
        let script = Script {
            replies: vec![(verb, "")],
            ..Script::default()
        };
        let mut server = SmtpServer::start(script).await;
        let smtp =
            smtp("smtp://localhost", None, &server).giving_up_after(Duration::from_millis(300));

        let error = send(&smtp).await.unwrap_err();
        assert!(matches!(error, NotSent::Temporary(_)), "{verb}: {error}");
        assert!(
            error.to_string().contains("did not finish"),
            "{verb}: {error}"
        );

        let smtp = smtp.giving_up_after(Duration::from_secs(10));
        send(&smtp).await.unwrap();
        assert_eq!(server.mail().await.connection, 1, "{verb}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_temporary() {
    let server = SmtpServer::start(Script::default()).await;
    let smtp = smtp("smtp://localhost", None, &server);
    server.stop().await;
    let error = smtp.check().await.unwrap_err();
    assert!(matches!(error, NotSent::Temporary(_)), "{error}");
}

#[tokio::test]
async fn one_connection_carries_many_mails_and_a_dead_one_is_replaced() {
    let script = Script {
        // The second NOOP is refused, as by a server that is about to hang up.
        replies: vec![
            ("NOOP", "250 2.0.0 ok"),
            ("NOOP", "421 4.4.2 idle too long"),
        ],
        ..Script::default()
    };
    let mut server = SmtpServer::start(script).await;
    let smtp = smtp("smtp://localhost", None, &server);
    let mut connections = Vec::new();
    for _ in 0..3 {
        send(&smtp).await.unwrap();
        connections.push(server.mail().await.connection);
    }
    assert_eq!(connections, [0, 0, 1]);
    smtp.check().await.unwrap();
}

#[tokio::test]
async fn the_server_gets_the_very_mail() {
    let mut server = SmtpServer::start(Script::default()).await;
    let smtp = smtp("smtp://localhost", None, &server);
    let mail = Mail::registration(Language::Ko);
    let message = rendered(&mail);
    smtp.send(&mail, &message).await.unwrap();

    let received = server.mail().await;
    assert_eq!(received.from, "no-reply@example.org");
    assert_eq!(received.recipients, ["ada@example.org"]);
    assert_eq!(received.parameters, "");
    assert_eq!(received.wire, message.formatted());
    assert_eq!(received.code(), "482913");
    assert!(received.text().contains("KST"));
    assert!(received.html().contains("482913"));
}

#[tokio::test]
async fn a_line_that_is_a_dot_does_not_end_the_mail() {
    let mut server = SmtpServer::start(Script::default()).await;
    let smtp = smtp("smtp://localhost", None, &server);
    // No mail of ours looks like this; the transport must not depend on that.
    let message = Message::builder()
        .from(from())
        .to("ada@example.org".parse().unwrap())
        .body("one\r\n.\r\nMAIL FROM:<eve@example.org>\r\n..two\r\n".to_owned())
        .unwrap();
    let mail = Mail::login(Language::En);
    smtp.send(&mail, &message).await.unwrap();

    let received: Received = server.mail().await;
    assert!(
        received
            .wire
            .ends_with(b"one\r\n..\r\nMAIL FROM:<eve@example.org>\r\n...two\r\n")
    );
    assert_eq!(received.content().as_bytes(), message.formatted());
    let mails = server.verbs().iter().filter(|verb| *verb == "MAIL").count();
    assert_eq!(mails, 1);
}

#[tokio::test]
async fn an_address_beyond_ascii_needs_a_server_that_takes_it() {
    let mail = Mail {
        to: "아다@example.org".into(),
        ..Mail::login(Language::Ko)
    };
    let message = rendered(&mail);

    let server = SmtpServer::start(Script::default()).await;
    let plain = smtp("smtp://localhost", None, &server);
    let error = plain.send(&mail, &message).await.unwrap_err();
    assert!(matches!(error, NotSent::Permanent(_)), "{error}");
    assert!(!server.verbs().contains(&"MAIL".to_owned()));

    let script = Script {
        smtputf8: true,
        ..Script::default()
    };
    let mut server = SmtpServer::start(script).await;
    let utf8 = smtp("smtp://localhost", None, &server);
    utf8.send(&mail, &message).await.unwrap();
    let received = server.mail().await;
    assert_eq!(received.recipients, ["아다@example.org"]);
    assert_eq!(received.parameters, "SMTPUTF8 BODY=8BITMIME");
}

fn smtp(url: &str, ca_pem: Option<&str>, server: &SmtpServer) -> Smtp {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ca_pem = ca_pem.map(|pem| pem.as_bytes().to_vec());
    let smtp = Smtp::new(SmtpUrl::parse(url).unwrap(), ca_pem).unwrap();
    smtp.dialling(server.address)
}

async fn send(smtp: &Smtp) -> Result<(), NotSent> {
    let mail = Mail::login(Language::En);
    smtp.send(&mail, &rendered(&mail)).await
}
