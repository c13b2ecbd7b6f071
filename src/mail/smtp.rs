//! Mails over SMTP (RFC 5321), one at a time over connections that are kept.
//!
//! lettre speaks the protocol; the pool, the deadline and the dot-stuffing are ours (why: [`Smtp`]).

mod url;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Noop, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;

use self::url::Security;
pub use self::url::SmtpUrl;
use super::{Mail, Message, NotSent, Transport};

/// From connecting to the reply after the last dot. Shorter than the 15 seconds for which the
/// outbox leases a mail, so that no second worker sends it while this one still waits.
const DEADLINE: Duration = Duration::from_secs(10);
/// For one address of the server: a dead IPv6 leaves time for IPv4.
const CONNECT: Duration = Duration::from_secs(4);
/// For a kept connection to prove that it still lives.
const NOOP: Duration = Duration::from_secs(2);
/// As many workers as send at once; what is above is closed after its mail.
const PARKED_MAX: usize = 8;

/// The mail server, and connections to it that wait for the next mail.
///
/// lettre's own pool takes a connection back when its future is dropped half-way, so after a
/// time-out the next mail would read the previous one's reply and believe it; its async commands
/// have no time-out; and it writes the final dot apart from the body, which costs 40 ms a mail
/// (Nagle's algorithm against the delayed acknowledgement).
pub struct Smtp {
    url: SmtpUrl,
    tls: TlsParameters,
    dialled: Option<SocketAddr>,
    deadline: Duration,
    parked: Mutex<Vec<AsyncSmtpConnection>>,
}

impl Smtp {
    /// A transport to this server, which does not connect yet. `ca_pem` holds certificates that
    /// are trusted beside the built-in roots; the error is a sentence for the operator.
    pub fn new(url: SmtpUrl, ca_pem: Option<Vec<u8>>) -> Result<Self, String> {
        let mut tls = TlsParameters::builder(url.host.clone());
        if let Some(pem) = ca_pem {
            tls = trust(tls, &pem)?;
        }
        let tls = tls
            .build_rustls()
            .map_err(|error| format!("TLS towards the mail server cannot be set up: {error}"))?;
        Ok(Self {
            url,
            tls,
            dialled: None,
            deadline: DEADLINE,
            parked: Mutex::default(),
        })
    }

    /// Connects to this address instead of the one that the host's name resolves to. The name
    /// still decides about TLS: what is checked, and whether it may be missing.
    pub fn dialling(mut self, address: SocketAddr) -> Self {
        self.dialled = Some(address);
        self
    }

    /// Gives up on a mail after this time.
    pub fn giving_up_after(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    async fn within_deadline<T>(
        &self,
        exchange: impl Future<Output = Result<T, NotSent>>,
    ) -> Result<T, NotSent> {
        // Dropping the exchange closes its connection: whatever the server says later, no other
        // mail takes it for its own reply.
        match tokio::time::timeout(self.deadline, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(NotSent::Temporary(format!(
                "the mail server did not finish within {:?}",
                self.deadline
            ))),
        }
    }

    /// A connection that is ready for a mail: a kept one that still answers, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, NotSent> {
        while let Some(mut connection) = self.take_parked() {
            let answer = tokio::time::timeout(NOOP, connection.command(Noop)).await;
            if let Ok(Ok(reply)) = answer
                && reply.has_code(250)
            {
                return Ok(connection);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, NotSent> {
        let refused = |stage| move |error| not_sent(stage, &error);
        let hello = ClientId::default();
        let implicit = (self.url.security == Security::Implicit).then(|| self.tls.clone());
        let limit = Some(CONNECT);
        let mut connection = match self.dialled {
            Some(address) => {
                AsyncSmtpConnection::connect_tokio1(address, limit, &hello, implicit, None).await
            }
            None => {
                let server = (self.url.host.as_str(), self.url.port);
                AsyncSmtpConnection::connect_tokio1(server, limit, &hello, implicit, None).await
            }
        }
        .map_err(refused("the connection"))?;
        if self.url.security == Security::StartTls {
            // Nothing goes out in the clear, and somebody in between may have struck the offer.
            if !connection.can_starttls() {
                return Err(NotSent::Temporary(
                    "the mail server does not offer STARTTLS; if it speaks TLS at once, write \
                     smtps:// in SMTP_URL"
                        .into(),
                ));
            }
            connection
                .starttls(self.tls.clone(), &hello)
                .await
                .map_err(refused("STARTTLS"))?;
        }
        if let Some((user, password)) = &self.url.login {
            let login = Credentials::new(user.clone(), password.expose_secret().to_owned());
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], &login)
                .await
                .map_err(refused("the login"))?;
        }
        Ok(connection)
    }

    fn take_parked(&self) -> Option<AsyncSmtpConnection> {
        self.parked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn park(&self, connection: AsyncSmtpConnection) {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        if parked.len() < PARKED_MAX {
            parked.push(connection);
        }
    }
}

#[async_trait]
impl Transport for Smtp {
    async fn send(&self, _mail: &Mail, message: &Message) -> Result<(), NotSent> {
        self.within_deadline(async {
            // What is refused before a mail is on its way says nothing about the mail: a wrong
            // password is the operator's to mend, and the mails wait for that.
            let connected = self.connection().await;
            let mut connection = connected.map_err(|why| NotSent::Temporary(why.to_string()))?;
            hand_over(&mut connection, message).await?;
            // Only now: after an error nobody knows where in the dialogue the server is.
            self.park(connection);
            Ok(())
        })
        .await
    }

    /// Connects and logs in, or asks a kept connection whether it lives.
    async fn check(&self) -> Result<(), NotSent> {
        self.within_deadline(async {
            let connection = self.connection().await?;
            self.park(connection);
            Ok(())
        })
        .await
    }

    fn name(&self) -> &'static str {
        "smtp"
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Smtp").field(&self.url).finish()
    }
}

fn trust(mut tls: TlsParametersBuilder, pem: &[u8]) -> Result<TlsParametersBuilder, String> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the CA file is not PEM: {error}"))?;
    if certificates.is_empty() {
        // lettre would trust nobody more and say nothing.
        return Err("the CA file holds no `-----BEGIN CERTIFICATE-----`".into());
    }
    for certificate in certificates {
        let certificate = Certificate::from_der(certificate.to_vec())
            .map_err(|error| format!("the CA file holds a broken certificate: {error}"))?;
        tls = tls.add_root_certificate(certificate);
    }
    Ok(tls)
}

/// One mail over a connection that waits for one.
async fn hand_over(connection: &mut AsyncSmtpConnection, message: &Message) -> Result<(), NotSent> {
    let bytes = message.formatted();
    let envelope = message.envelope();
    let options = mail_options(connection, bytes.is_ascii())?;

    let from = MailFrom::new(envelope.from().cloned(), options);
    command(connection, "MAIL FROM", from, &[250]).await?;
    for recipient in envelope.to() {
        let recipient = Rcpt::new(recipient.clone(), Vec::new());
        command(connection, "RCPT TO", recipient, &[250, 251]).await?;
    }
    command(connection, "DATA", Data, &[354]).await?;
    command(connection, "the mail", dot_stuffed(&bytes)?, &[250]).await
}

/// Our bodies are base64, so a byte beyond ASCII is in an address: that needs SMTPUTF8
/// (RFC 6531), and a server that does not offer it will not offer it tomorrow.
fn mail_options(
    connection: &AsyncSmtpConnection,
    ascii: bool,
) -> Result<Vec<MailParameter>, NotSent> {
    if ascii {
        return Ok(Vec::new());
    }
    if !connection
        .server_info()
        .supports_feature(Extension::SmtpUtfEight)
    {
        return Err(NotSent::Permanent(
            "the mail server takes no addresses beyond ASCII (it does not offer SMTPUTF8)".into(),
        ));
    }
    Ok(vec![
        MailParameter::SmtpUtfEight,
        MailParameter::Body(MailBodyParameter::EightBitMime),
    ])
}

/// Sends a command in one write and insists on a reply that fits: any other means that we
/// and the server are at different places of the dialogue.
async fn command(
    connection: &mut AsyncSmtpConnection,
    stage: &str,
    command: impl fmt::Display,
    due: &[u16],
) -> Result<(), NotSent> {
    match connection.command(command).await {
        Ok(reply) if due.contains(&u16::from(reply.code())) => Ok(()),
        Ok(reply) => Err(NotSent::Temporary(format!(
            "the mail server answered {} to {stage}, where {due:?} was due",
            reply.code()
        ))),
        Err(error) => Err(not_sent(stage, &error)),
    }
}

/// The mail as DATA takes it, its end included (RFC 5321 §4.5.2). Every line end becomes CRLF
/// first, so that no bare one can hide a line that begins with a dot.
fn dot_stuffed(mail: &[u8]) -> Result<String, NotSent> {
    let text = str::from_utf8(mail)
        .map_err(|_| NotSent::Permanent("the mail is not UTF-8".into()))?
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let mut data = String::with_capacity(mail.len() + 64);
    for line in text.lines() {
        if line.starts_with('.') {
            data.push('.');
        }
        data.push_str(line);
        data.push_str("\r\n");
    }
    data.push_str(".\r\n");
    Ok(data)
}

/// The reply's code without its text, in which servers like to repeat the address.
fn not_sent(stage: &str, error: &SmtpError) -> NotSent {
    if let Some(code) = error.status() {
        let why = format!("the mail server answered {code} to {stage}");
        if error.is_permanent() {
            NotSent::Permanent(why)
        } else {
            NotSent::Temporary(why)
        }
    } else if error.is_response() {
        NotSent::Temporary(format!("the mail server's answer to {stage} is not SMTP"))
    } else {
        NotSent::Temporary(format!("{stage}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_end_hides_a_dot() {
        let stuff = |mail: &str| dot_stuffed(mail.as_bytes()).unwrap();
        assert_eq!(stuff("a\r\n.\r\nb\r\n"), "a\r\n..\r\nb\r\n.\r\n");
        assert_eq!(stuff("a\n.\nb"), "a\r\n..\r\nb\r\n.\r\n");
        assert_eq!(stuff("a\r.\rb"), "a\r\n..\r\nb\r\n.\r\n");
        assert_eq!(stuff("a\n\r.\r\n"), "a\r\n\r\n..\r\n.\r\n");
        assert_eq!(stuff(".a\r\n\r\n.."), "..a\r\n\r\n...\r\n.\r\n");
        assert_eq!(stuff(""), ".\r\n");
        assert!(dot_stuffed(b"\xff").is_err());
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        let new = |pem: &str| {
            let url = SmtpUrl::parse("smtps://mail.example.org").unwrap();
            Smtp::new(url, Some(pem.into())).map(|_| ()).unwrap_err()
        };
        assert!(new("").contains("no `-----BEGIN CERTIFICATE-----`"));
        assert!(new("-----BEGIN CERTIFICATE-----\n!\n").contains("not PEM"));
        let not_a_certificate =
            "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(new(not_a_certificate).contains("cannot be set up"));
    }
}
