//! `SMTP_URL`: where the mail server is, how it is reached, and as whom.

use std::fmt;
use std::net::IpAddr;

use secrecy::SecretString;

/// `smtp://[user:password@]host[:587]` or `smtps://[user:password@]host[:465]`.
#[derive(Clone)]
pub struct SmtpUrl {
    pub(super) security: Security,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) login: Option<(String, SecretString)>,
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// Never: the connection does not leave this machine.
    Plain,
    /// After STARTTLS, or nothing is sent (RFC 3207).
    StartTls,
    /// At once (RFC 8314).
    Implicit,
}

impl SmtpUrl {
    /// Reads the setting. The error is a sentence for the operator and repeats no part of the
    /// value, since any part may be the password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("it must begin with smtp:// (STARTTLS) or smtps:// (TLS at once)")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(
                "nothing may follow host and port; inside a user or password write / as %2F, \
                 ? as %3F, # as %23"
                    .into(),
            );
        }
        let (login, server) = match rest.rsplit_once('@') {
            Some((login, server)) => (Some(parse_login(login)?), server),
            None => (None, rest),
        };
        let (host, port) = parse_server(server)?;
        let (security, usual_port) = match scheme.to_ascii_lowercase().as_str() {
            "smtps" => (Security::Implicit, 465),
            "smtp" if is_loopback(&host) => (Security::Plain, 587),
            "smtp" => (Security::StartTls, 587),
            _ => return Err("the scheme must be smtp (STARTTLS) or smtps (TLS at once)".into()),
        };
        Ok(Self {
            security,
            host,
            port: port.unwrap_or(usual_port),
            login,
        })
    }
}

/// Without user and password: this is what logs and the printed settings show.
impl fmt::Display for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            Security::Implicit => "smtps",
            Security::StartTls | Security::Plain => "smtp",
        };
        let login = if self.login.is_some() { "***@" } else { "" };
        let port = self.port;
        if self.host.contains(':') {
            write!(f, "{scheme}://{login}[{}]:{port}", self.host)
        } else {
            write!(f, "{scheme}://{login}{}:{port}", self.host)
        }
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parse_login(text: &str) -> Result<(String, SecretString), String> {
    let (user, password) = text
        .split_once(':')
        .ok_or("a user needs a password: user:password@host")?;
    let user = percent_decoded(user)?;
    if user.is_empty() {
        return Err("the user before the : is empty".into());
    }
    Ok((user, SecretString::from(percent_decoded(password)?)))
}

fn parse_server(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest
                .split_once(']')
                .ok_or("the ] after the host is missing")?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err("only :port may follow the ]".into()),
            };
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("between [ and ] belongs an IPv6 address".into());
            }
            (host, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(plain) {
        return Err("the host is missing or not a host name".into());
    }
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return Err("the port must be a number from 1 to 65535".into()),
    };
    Ok((host.to_ascii_lowercase(), port))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn percent_decoded(text: &str) -> Result<String, String> {
    const WRONG: &str = "user and password are percent-encoded: % must be written as %25";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(WRONG.into());
        };
        bytes.extend(u8::try_from(high * 16 + low));
    }
    let text = String::from_utf8(bytes).map_err(|_| "user and password must be UTF-8")?;
    // AUTH PLAIN separates by NUL (RFC 4616), and no server takes the others.
    if text.contains(char::is_control) {
        return Err("user and password must not contain control characters".into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn what_is_no_smtp_url_is_refused_without_repeating_it() {
        let cases = [
            ("", "begin with"),
            ("s3cret", "begin with"),
            ("http://s3cret", "scheme must be"),
            ("smtp://", "host is missing"),
            ("smtp://u:s3cret@", "host is missing"),
            ("smtp://s3cret@host", "needs a password"),
            ("smtp://:s3cret@host", "is empty"),
            ("smtp://u:s3cret%@host", "%25"),
            ("smtp://u:s3cret%4@host", "%25"),
            ("smtp://u:s3cret%+1@host", "%25"),
            ("smtp://u:s3cret%FF@host", "UTF-8"),
            ("smtp://u:s3cret%00@host", "control"),
            ("smtp://u:s3cret/x@host", "%2F"),
            ("smtp://host/s3cret", "%2F"),
            ("smtp://host:s3cret", "the port"),
            ("smtp://host:0", "the port"),
            ("smtp://host:65536", "the port"),
            ("smtp://host:", "the port"),
            ("smtp://s3cret host", "not a host name"),
            ("smtp://[s3cret]:25", "IPv6"),
            ("smtp://[::1]s3cret", "follow the ]"),
            ("smtp://[::1", "] after"),
        ];
        for (text, expected) in cases {
            let error = SmtpUrl::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{text}: {error}");
        }
    }

    #[test]
    fn tls_may_be_missing_on_loopback_only() {
        let security = |text: &str| SmtpUrl::parse(text).unwrap().security;
        assert_eq!(security("smtp://localhost:1025"), Security::Plain);
        assert_eq!(security("smtp://127.0.0.1"), Security::Plain);
        assert_eq!(security("smtp://[::1]"), Security::Plain);
        assert_eq!(security("smtp://localhost.example.org"), Security::StartTls);
        assert_eq!(security("smtp://127.0.0.1.example.org"), Security::StartTls);
        assert_eq!(security("smtp://10.0.0.5"), Security::StartTls);
        assert_eq!(security("smtps://localhost"), Security::Implicit);
    }

    #[test]
    fn user_and_password_are_decoded_and_not_shown() {
        let url = SmtpUrl::parse("SMTPS://ada%40example.org:p%3Ass%25w%C3%B6rd@Mail.Example.org")
            .unwrap();
        let (user, password) = url.login.as_ref().unwrap();
        assert_eq!(user, "ada@example.org");
        assert_eq!(password.expose_secret(), "p:ss%wörd");
        assert_eq!(url.to_string(), "smtps://***@mail.example.org:465");
        assert_eq!(format!("{url:?}"), url.to_string());
        assert_eq!(
            SmtpUrl::parse("smtp://[2001:db8::1]:25/")
                .unwrap()
                .to_string(),
            "smtp://[2001:db8::1]:25"
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "smtps?://.{0,40}") {
            let _ = SmtpUrl::parse(&text);
        }
    }
}
