//! `DATABASE_URL` in libpq's form: where the server is, who signs in, and how much TLS is asked of it.
//!
//! Errors are sentences for the operator and repeat no part of the value that may be the password.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use tokio_postgres::config::ChannelBinding;

/// `postgres[ql]://[user[:password]@][host][:port][,…][/dbname][?parameter=…]`.
pub(super) struct PostgresUrl {
    /// Tried in order; never empty.
    pub(super) servers: Vec<Server>,
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretString>,
    pub(super) dbname: Option<String>,
    pub(super) application_name: String,
    pub(super) channel_binding: ChannelBinding,
    pub(super) sslmode: SslMode,
    pub(super) roots: Roots,
    /// The files of a client certificate and its key.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// Where a server listens. What is left out, a secret fills in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: Option<Host>,
    pub(super) port: Option<u16>,
}

/// A name or address, or the folder of a socket on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Tcp(String),
    Socket(PathBuf),
}

/// How much TLS there has to be, as libpq means it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SslMode {
    /// None.
    Disable,
    /// None, unless the server insists.
    Allow,
    /// If the server has it and takes it.
    Prefer,
    /// With whatever certificate; with roots, as [`SslMode::VerifyCa`].
    Require,
    /// With a certificate that leads to the roots.
    VerifyCa,
    /// And that is made out to the host's name.
    VerifyFull,
}

/// Whom certificates must lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// Nobody was named.
    None,
    /// The certificates in a file.
    File(PathBuf),
    /// The public authorities that come with this program.
    System,
}

/// What is said of a password that was written as it is.
pub(super) const ENCODE: &str = "a character in it means something else in a URL: inside user and password write \
                      @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25";

impl PostgresUrl {
    /// Reads the setting.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let rest = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or("it must begin with postgres:// or postgresql://")?;
        let (before, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, dbname) = before.split_once('/').unwrap_or((before, ""));
        // A password that was not encoded was cut in two here, and its rest stands where none belongs.
        if rest.contains('#') || dbname.contains(['@', '/']) || parameters.contains('@') {
            return Err(ENCODE.into());
        }
        let (login, servers) = match authority.rsplit_once('@') {
            Some((login, servers)) => (Some(login), servers),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':')) {
            Some(Some((user, password))) => (Some(user), Some(password)),
            Some(None) => (login, None),
            None => (None, None),
        };
        let mut url = Self {
            servers: servers.split(',').map(server).collect::<Result<_, _>>()?,
            user: user
                .map(decoded)
                .transpose()?
                .filter(|user| !user.is_empty()),
            password: password.map(decoded).transpose()?.map(SecretString::from),
            dbname: Some(decoded(dbname)?).filter(|name| !name.is_empty()),
            application_name: "aidlc-auth".into(),
            channel_binding: ChannelBinding::Prefer,
            sslmode: SslMode::Prefer,
            roots: Roots::None,
            client: None,
        };
        url.read_parameters(parameters)?;
        Ok(url)
    }

    /// The same server, with whoever signs in to another and the database there where this one
    /// names none.
    pub(super) fn signing_in_as(self, other: &Self) -> Self {
        let (user, password) = match self.user {
            Some(user) => (Some(user), self.password),
            None => (other.user.clone(), other.password.clone()),
        };
        Self {
            user,
            password,
            dbname: self.dbname.or_else(|| other.dbname.clone()),
            ..self
        }
    }

    fn read_parameters(&mut self, text: &str) -> Result<(), String> {
        let (mut sslmode, mut certificate, mut key) = (None, None, None);
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or("every parameter after the ? is a name=value")?;
            let value = decoded(value)?;
            match name {
                "sslmode" => sslmode = Some(SslMode::parse(&value)?),
                // Drivers for Java and Python know these.
                "ssl" if value == "true" || value == "require" => sslmode = Some(SslMode::Require),
                "sslrootcert" if value == "system" => self.roots = Roots::System,
                "sslrootcert" => self.roots = Roots::File(value.into()),
                "sslcert" => certificate = Some(PathBuf::from(value)),
                "sslkey" => key = Some(PathBuf::from(value)),
                "channel_binding" => self.channel_binding = channel_binding(&value)?,
                "application_name" => self.application_name = value,
                "user" => self.user = Some(value),
                "password" => self.password = Some(value.into()),
                "dbname" => self.dbname = Some(value),
                "host" => {
                    let host = Some(host(&value)?);
                    self.servers
                        .iter_mut()
                        .for_each(|it| it.host.clone_from(&host));
                }
                "port" => {
                    let port = Some(port(&value)?);
                    self.servers.iter_mut().for_each(|it| it.port = port);
                }
                // What we do anyway: only servers that write are kept, and GSSAPI is not spoken.
                "target_session_attrs" if value == "read-write" || value == "primary" => {}
                "gssencmode" if value == "disable" || value == "prefer" => {}
                _ => return Err(unknown(name)),
            }
        }
        // As libpq has it: the public authorities prove nothing unless the name is checked too.
        let usual = match self.roots {
            Roots::System => SslMode::VerifyFull,
            Roots::None | Roots::File(_) => SslMode::Prefer,
        };
        self.sslmode = sslmode.unwrap_or(usual);
        match (&self.roots, self.sslmode) {
            (Roots::None, SslMode::VerifyCa | SslMode::VerifyFull) => {
                return Err(
                    "sslmode=verify-ca and verify-full need sslrootcert=FILE, the authority that \
                     signed the server's certificate (for RDS the bundle from \
                     https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem), or \
                     sslrootcert=system for the public ones"
                        .into(),
                );
            }
            (Roots::System, mode) if mode != SslMode::VerifyFull => {
                return Err("sslrootcert=system goes with sslmode=verify-full only".into());
            }
            _ => {}
        }
        self.client = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("sslcert and sslkey go together: name both files or neither".into()),
        };
        Ok(())
    }
}

/// Without the password: this is what logs and the printed settings show.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        for (at, server) in self.servers.iter().enumerate() {
            f.write_str(if at > 0 { "," } else { "" })?;
            match &server.host {
                Some(Host::Tcp(host)) if host.contains(':') => write!(f, "[{host}]")?,
                Some(Host::Tcp(host)) => f.write_str(host)?,
                Some(Host::Socket(folder)) => write!(f, "{}", folder.display())?,
                None => {}
            }
            if let Some(port) = server.port {
                write!(f, ":{port}")?;
            }
        }
        let dbname = self.dbname.as_deref().unwrap_or_default();
        write!(f, "/{dbname}?sslmode={}", self.sslmode.as_str())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SslMode {
    const ALL: [Self; 6] = [
        Self::Disable,
        Self::Allow,
        Self::Prefer,
        Self::Require,
        Self::VerifyCa,
        Self::VerifyFull,
    ];

    fn parse(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| {
                "sslmode must be one of: disable, allow, prefer, require, verify-ca, verify-full"
                    .into()
            })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

fn channel_binding(text: &str) -> Result<ChannelBinding, String> {
    match text {
        "disable" => Ok(ChannelBinding::Disable),
        "prefer" => Ok(ChannelBinding::Prefer),
        "require" => Ok(ChannelBinding::Require),
        _ => Err("channel_binding must be one of: disable, prefer, require".into()),
    }
}

/// What to do instead of a parameter that is not read here.
fn unknown(name: &str) -> String {
    let setting = match name {
        "connect_timeout" => "set DATABASE_CONNECT_TIMEOUT_SECONDS",
        "statement_timeout" | "command_timeout" => "set DATABASE_QUERY_TIMEOUT_SECONDS",
        "keepalives" | "keepalives_idle" => "set DATABASE_KEEPALIVE_SECONDS",
        "tcp_user_timeout" => "set DATABASE_TCP_USER_TIMEOUT_SECONDS",
        "pool_size" | "connection_limit" | "max_connections" => "set DATABASE_POOL_SIZE",
        "pgbouncer" | "prepare_threshold" | "statement_cache_size" => {
            "behind a pooler set DATABASE_PREPARED_STATEMENTS=false"
        }
        "target_session_attrs" => "read-write and primary are the ones it may have",
        "ssl" => "write sslmode=require",
        "options" => "set what it says with ALTER ROLE … SET … at the server",
        _ => {
            "these are known: sslmode, sslrootcert, sslcert, sslkey, channel_binding, \
             application_name, target_session_attrs, user, password, host, port, dbname"
        }
    };
    // A name is shown only where it cannot be the rest of a password.
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let name = if is_name && name.len() < 32 {
        name
    } else {
        "(not shown)"
    };
    format!("the parameter {name} is not read with this value: {setting}")
}

fn server(text: &str) -> Result<Server, String> {
    let (name, port_text) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest
                .split_once(']')
                .ok_or("the ] after the host is missing")?;
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("between [ and ] belongs an IPv6 address".into());
            }
            match after.strip_prefix(':') {
                Some(port) => (address, port),
                None if after.is_empty() => (address, ""),
                None => return Err("only :port may follow the ]".into()),
            }
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    Ok(Server {
        host: if name.is_empty() {
            None
        } else {
            Some(host(&decoded(name)?)?)
        },
        port: if port_text.is_empty() {
            None
        } else {
            Some(port(port_text)?)
        },
    })
}

pub(super) fn host(text: &str) -> Result<Host, String> {
    if text.starts_with('/') {
        return Ok(Host::Socket(text.into()));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err(format!("the host is not a host name; or {ENCODE}"));
    }
    Ok(Host::Tcp(text.to_ascii_lowercase()))
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!(
            "the port must be a number from 1 to 65535; or {ENCODE}"
        )),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(ENCODE.into());
        };
        bytes.extend(u8::try_from(high * 16 + low));
    }
    // The protocol ends every text with a NUL.
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("what is percent-encoded in it must be UTF-8 without NUL".into()),
    }
}

#[cfg(test)]
mod tests;
