//! A mail server for tests, on a free port of this machine: it does what its script says and keeps
//! what it was given.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// How the server behaves; `Script::default()` takes every mail, without TLS and login.
#[derive(Clone, Default)]
pub struct Script {
    pub tls: Tls,
    /// The only login that is accepted, `AUTH PLAIN` or `LOGIN`; without it none is offered.
    pub login: Option<(&'static str, &'static str)>,
    /// Offers `LOGIN` only.
    pub auth_login_only: bool,
    pub smtputf8: bool,
    /// Replies in place of the usual ones, each used once, in order: the verb they answer
    /// (`.` for the end of a mail), and the line. An empty line answers nothing, ever.
    pub replies: Vec<(&'static str, &'static str)>,
}

/// When the server speaks TLS.
#[derive(Clone, Default)]
pub enum Tls {
    #[default]
    Never,
    OnRequest(TlsAcceptor),
    AtOnce(TlsAcceptor),
}

/// One mail as it came over the wire.
#[derive(Debug)]
pub struct Received {
    pub from: String,
    pub recipients: Vec<String>,
    /// Everything after `MAIL FROM:<…>`, e.g. `SMTPUTF8`.
    pub parameters: String,
    /// The bytes of DATA, still dot-stuffed.
    pub wire: Vec<u8>,
    pub encrypted: bool,
    /// Who had logged in, with which mechanism.
    pub login: Option<String>,
    /// 0 for the first connection that the server took.
    pub connection: usize,
}

/// A running server; it ends with this value.
pub struct SmtpServer {
    pub address: SocketAddr,
    received: mpsc::UnboundedReceiver<Received>,
    /// Every command line that came, logins blotted out.
    commands: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl SmtpServer {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mails, received) = mpsc::unbounded_channel();
        let commands = Arc::<Mutex<Vec<String>>>::default();
        let replies: VecDeque<_> = script.replies.iter().copied().collect();
        let replies = Arc::new(Mutex::new(replies));
        let seen = commands.clone();
        let task = tokio::spawn(async move {
            let mut dialogues = tokio::task::JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let dialogue = Dialogue {
                    script: script.clone(),
                    replies: replies.clone(),
                    commands: seen.clone(),
                    mails: mails.clone(),
                    connection,
                    encrypted: false,
                    login: None,
                };
                // A client that hangs up ends its dialogue, and only that.
                dialogues.spawn(async move { dialogue.run(stream).await.ok() });
            }
        });
        Self {
            address,
            received,
            commands,
            task,
        }
    }

    /// The next mail, waited for.
    pub async fn mail(&mut self) -> Received {
        tokio::time::timeout(Duration::from_secs(10), self.received.recv())
            .await
            .expect("a mail within ten seconds")
            .expect("the server still runs")
    }

    /// Whether there is no mail that nobody has read yet.
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// Ends the server; from here on its port refuses connections.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// The verbs of all commands so far.
    pub fn verbs(&self) -> Vec<String> {
        let commands = self.commands.lock().unwrap();
        commands.iter().map(|line| verb(line)).collect()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Received {
    /// The mail without the dots that only the wire needs.
    pub fn content(&self) -> String {
        let wire = str::from_utf8(&self.wire).expect("mails are UTF-8");
        let lines = wire.split_inclusive("\r\n");
        lines
            .map(|line| line.strip_prefix('.').unwrap_or(line))
            .collect()
    }

    /// The text that a person reads.
    pub fn text(&self) -> String {
        body_of(&self.content(), "text/plain")
    }

    /// The HTML that a person sees.
    pub fn html(&self) -> String {
        body_of(&self.content(), "text/html")
    }

    /// The six digits in the text.
    pub fn code(&self) -> String {
        let digits = |line: &&str| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit());
        let text = self.text();
        let code = text.lines().map(str::trim).find(digits);
        code.expect("a line of six digits").to_owned()
    }
}

/// The decoded body of one part of a mail in our one shape: multipart/alternative, base64.
pub fn body_of(mail: &str, content_type: &str) -> String {
    let part = mail
        .split("\r\n--")
        .find(|part| part.contains(&format!("Content-Type: {content_type}")))
        .unwrap_or_else(|| panic!("a part that is {content_type} in:\n{mail}"));
    let (head, body) = part.split_once("\r\n\r\n").expect("a body after the head");
    assert!(head.contains("Content-Transfer-Encoding: base64"), "{head}");
    let bytes = BASE64.decode(body.replace("\r\n", "")).expect("base64");
    String::from_utf8(bytes)
        .expect("UTF-8")
        .replace("\r\n", "\n")
}

/// A certificate authority that exists for one test, and a server certificate of it.
pub struct Certificates {
    pub ca_pem: String,
    pub acceptor: TlsAcceptor,
}

impl Certificates {
    pub fn for_host(host: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();

        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &ca).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        Self {
            ca_pem: ca.pem(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
type Wire = BufReader<Box<dyn Stream>>;

struct Dialogue {
    script: Script,
    replies: Arc<Mutex<VecDeque<(&'static str, &'static str)>>>,
    commands: Arc<Mutex<Vec<String>>>,
    mails: mpsc::UnboundedSender<Received>,
    connection: usize,
    encrypted: bool,
    login: Option<String>,
}

impl Dialogue {
    async fn run(mut self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match self.script.tls.clone() {
            Tls::AtOnce(acceptor) => {
                self.encrypted = true;
                Box::new(acceptor.accept(stream).await?)
            }
            Tls::Never | Tls::OnRequest(_) => Box::new(stream),
        };
        let mut wire = BufReader::new(stream);
        self.reply(&mut wire, "connect", "220 mail.test ESMTP")
            .await?;
        let (mut from, mut parameters, mut recipients) = (String::new(), String::new(), Vec::new());
        while let Some(line) = read_line(&mut wire).await? {
            let verb = verb(&line);
            self.note(&line, &verb);
            match verb.as_str() {
                "EHLO" => {
                    let offers = self.offers();
                    self.reply(&mut wire, "EHLO", &offers).await?;
                }
                "STARTTLS" => {
                    let Tls::OnRequest(acceptor) = self.script.tls.clone() else {
                        self.reply(&mut wire, "STARTTLS", "502 5.5.1 no").await?;
                        continue;
                    };
                    self.reply(&mut wire, "STARTTLS", "220 2.0.0 go ahead")
                        .await?;
                    let stream = acceptor.accept(wire.into_inner()).await?;
                    self.encrypted = true;
                    wire = BufReader::new(Box::new(stream));
                }
                "AUTH" => self.authenticate(&mut wire, &line).await?,
                "MAIL" => {
                    let (path, rest) = line["MAIL FROM:<".len()..].split_once('>').unwrap();
                    (from, parameters) = (path.to_owned(), rest.trim().to_owned());
                    recipients.clear();
                    self.reply(&mut wire, "MAIL", "250 2.1.0 ok").await?;
                }
                "RCPT" => {
                    let path = line["RCPT TO:<".len()..].trim_end_matches('>');
                    recipients.push(path.to_owned());
                    self.reply(&mut wire, "RCPT", "250 2.1.5 ok").await?;
                }
                "DATA" => {
                    let reply = self.reply(&mut wire, "DATA", "354 go on").await?;
                    if !reply.starts_with("354") {
                        continue;
                    }
                    let data = read_data(&mut wire).await?;
                    let reply = self.reply(&mut wire, ".", "250 2.0.0 kept").await?;
                    if reply.starts_with("250") {
                        let _ = self.mails.send(Received {
                            from: from.clone(),
                            recipients: recipients.clone(),
                            parameters: parameters.clone(),
                            wire: data,
                            encrypted: self.encrypted,
                            login: self.login.clone(),
                            connection: self.connection,
                        });
                    }
                }
                "QUIT" => {
                    self.reply(&mut wire, "QUIT", "221 bye").await?;
                    return Ok(());
                }
                "NOOP" | "RSET" => {
                    self.reply(&mut wire, &verb, "250 2.0.0 ok").await?;
                }
                _ => {
                    self.reply(&mut wire, &verb, "502 5.5.1 what").await?;
                }
            }
        }
        Ok(())
    }

    fn offers(&self) -> String {
        let mut offers = "250-mail.test\r\n250-8BITMIME\r\n".to_owned();
        if self.script.smtputf8 {
            offers.push_str("250-SMTPUTF8\r\n");
        }
        if matches!(self.script.tls, Tls::OnRequest(_)) && !self.encrypted {
            offers.push_str("250-STARTTLS\r\n");
        }
        if self.script.login.is_some() {
            let mechanisms = if self.script.auth_login_only {
                "LOGIN"
            } else {
                "PLAIN LOGIN"
            };
            offers.push_str(&format!("250-AUTH {mechanisms}\r\n"));
        }
        offers + "250 SIZE 1000000"
    }

    async fn authenticate(&mut self, wire: &mut Wire, line: &str) -> std::io::Result<()> {
        let decoded = |text: &str| String::from_utf8(BASE64.decode(text).unwrap()).unwrap();
        let (mechanism, user, password) = match line.split(' ').collect::<Vec<_>>()[..] {
            ["AUTH", "PLAIN", initial] => {
                let initial = decoded(initial);
                let mut fields = initial.split('\0').skip(1).map(str::to_owned);
                let mut next = || fields.next().unwrap_or_default();
                ("PLAIN", next(), next())
            }
            _ => {
                write(wire, "334 VXNlcm5hbWU6").await?;
                let user = read_line(wire).await?.unwrap_or_default();
                write(wire, "334 UGFzc3dvcmQ6").await?;
                let password = read_line(wire).await?.unwrap_or_default();
                ("LOGIN", decoded(&user), decoded(&password))
            }
        };
        let right = self.script.login == Some((&user, &password));
        let usual = if right {
            self.login = Some(format!("{mechanism} {user}"));
            "235 2.7.0 welcome"
        } else {
            "535 5.7.8 no"
        };
        self.reply(wire, "AUTH", usual).await?;
        Ok(())
    }

    /// Writes the scripted reply when the next one is for this verb, else the usual one.
    async fn reply(&self, wire: &mut Wire, verb: &str, usual: &str) -> std::io::Result<String> {
        let scripted = {
            let mut replies = self.replies.lock().unwrap();
            let due = replies.front().is_some_and(|(next, _)| *next == verb);
            due.then(|| replies.pop_front()).flatten()
        };
        let reply = scripted.map_or(usual, |(_, reply)| reply);
        if reply.is_empty() {
            // Says nothing until the client hangs up.
            while read_line(wire).await?.is_some() {}
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        write(wire, reply).await?;
        Ok(reply.to_owned())
    }

    fn note(&self, line: &str, verb: &str) {
        let shown = if verb == "AUTH" { verb } else { line };
        self.commands.lock().unwrap().push(shown.to_owned());
    }
}

fn verb(line: &str) -> String {
    let verb = line.split([' ', ':']).next().unwrap_or_default();
    verb.to_ascii_uppercase()
}

async fn write(wire: &mut Wire, reply: &str) -> std::io::Result<()> {
    wire.write_all(format!("{reply}\r\n").as_bytes()).await?;
    wire.flush().await
}

async fn read_line(wire: &mut Wire) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    if wire.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Up to the line that is one dot, as strictly as a server can be: CRLF only.
async fn read_data(wire: &mut Wire) -> std::io::Result<Vec<u8>> {
    let mut data = b"\r\n".to_vec();
    while !data.ends_with(b"\r\n.\r\n") {
        if wire.read_until(b'\n', &mut data).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    data.truncate(data.len() - ".\r\n".len());
    Ok(data.split_off(2))
}
