//! What went wrong with the database, in the words of whoever can mend it, English and Korean on one
//! line. Nothing of it carries a secret: of a server's error only its first sentence is taken, since
//! the details quote rows.

use std::error::Error as _;
use std::{fmt, io};

use rustls::CertificateError;
use tokio_postgres::error::{DbError, Severity, SqlState};

use super::tls::{self, HandshakeFailed};
use crate::messages::{DatabaseMessages, EN, KO};
use crate::store::Error;

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct NotConnected {
    /// Which server, if it came to that.
    server: Option<String>,
    reason: Reason,
    /// Whether TLS had begun.
    is_encrypted: bool,
    /// What the other way of connecting came to, with TLS or without, tried before.
    before: Option<Box<NotConnected>>,
}

/// The things that can be in the way.
#[derive(Debug)]
pub(super) enum Reason {
    /// Whoever keeps user and password could not tell them, and says why.
    Login(String),
    /// Neither URL nor secret names a host.
    NoHost,
    /// Neither URL nor secret names a user.
    NoUser,
    /// The host's name leads nowhere.
    NotFound(io::Error),
    /// It took the connection and said nothing.
    Silent,
    /// It only follows another server.
    Follower,
    /// Whatever the driver says.
    Driver(tokio_postgres::Error),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NotAnswered {
    /// There was nobody to ask.
    NotConnected(NotConnected),
    /// Every connection stayed taken.
    AllTaken,
    /// The server said nothing for too long.
    Late,
    /// It said that it takes no writes.
    ReadOnly,
    /// Whatever the driver says.
    Driver(tokio_postgres::Error),
}

pub(super) type Words = fn(&DatabaseMessages) -> &'static str;

impl NotConnected {
    pub(super) fn new(server: String, reason: Reason, is_encrypted: bool) -> Self {
        Self {
            server: Some(server),
            reason,
            is_encrypted,
            before: None,
        }
    }

    pub(super) fn before_any_server(reason: Reason) -> Self {
        Self {
            server: None,
            reason,
            is_encrypted: false,
            before: None,
        }
    }

    pub(super) fn after(self, before: NotConnected) -> Self {
        Self {
            before: Some(Box::new(before)),
            ..self
        }
    }

    /// Whether the server refused with this code.
    pub(super) fn is(&self, code: &SqlState) -> bool {
        matches!(&self.reason, Reason::Driver(error) if error.code() == Some(code))
    }

    /// Whether connecting without TLS may go better than with, or the other way round: the handshake
    /// failed, or no rule of the server's lets this user in this way. A wrong password is wrong
    /// either way, and is not shown to the network for that.
    pub(super) fn is_about_encryption(&self) -> bool {
        self.handshake().is_some() || self.is(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
    }

    /// Whether TLS had begun when it went wrong.
    pub(super) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    fn handshake(&self) -> Option<&HandshakeFailed> {
        match &self.reason {
            Reason::Driver(error) => error.source()?.downcast_ref(),
            _ => None,
        }
    }

    /// Why nobody could tell user and password, if that is it.
    pub(super) fn of_login(&self) -> Option<&str> {
        match &self.reason {
            Reason::Login(why) => Some(why),
            _ => None,
        }
    }

    /// What happened, without what to do about it.
    pub(super) fn told(&self) -> String {
        let server = self.server.as_ref();
        let mut told = server.map_or_else(String::new, |server| format!("{server}: "));
        told += &self.reason.to_string();
        if let Some(before) = &self.before {
            let way = if before.is_encrypted {
                "with TLS"
            } else {
                "without TLS"
            };
            told += &format!(" (before, {way}: {})", before.reason);
        }
        told
    }

    /// What to do about it.
    pub(super) fn words(&self) -> Option<Words> {
        match &self.before {
            // With both ways closed, what was wrong with the certificate is the thing to mend.
            Some(before) if before.handshake().is_some() => before.remedy(),
            _ => self.remedy(),
        }
    }

    fn remedy(&self) -> Option<Words> {
        match &self.reason {
            Reason::Login(_) => None,
            Reason::NoHost => Some(|words| words.no_host),
            Reason::NoUser => Some(|words| words.no_user),
            Reason::NotFound(_) => Some(|words| words.name_not_found),
            Reason::Silent => Some(|words| words.silent),
            Reason::Follower => Some(|words| words.follower),
            Reason::Driver(error) => match (self.handshake(), error.as_db_error()) {
                (Some(failed), _) => Some(certificate(&failed.0)),
                (None, Some(refusal)) => self.of_refusal(refusal),
                (None, None) => of_transport(error),
            },
        }
    }

    fn of_refusal(&self, refusal: &DbError) -> Option<Words> {
        let code = refusal.code();
        // The server may speak Korean; where it stands in its source does not.
        let is_rule = refusal.routine() == Some("ClientAuthentication");
        if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION && is_rule {
            return Some(match self.is_encrypted {
                _ if refusal.message().contains("client certificate") => {
                    |words| words.client_certificate
                }
                false => |words| words.no_encryption,
                true => |words| words.no_rule,
            });
        }
        of_code(code)
    }
}

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told())?;
        self.words()
            .map_or(Ok(()), |words| write!(f, ". {}", both(words)))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login(why) => f.write_str(why),
            Self::NoHost => f.write_str("there is no host to connect to"),
            Self::NoUser => f.write_str("there is no user to sign in as"),
            Self::NotFound(error) => write!(f, "the host's name was not found: {error}"),
            Self::Silent => {
                f.write_str("the server took the connection and did not answer in time")
            }
            Self::Follower => f.write_str("the server is a replica, in recovery"),
            Self::Driver(error) => f.write_str(&said(error)),
        }
    }
}

impl std::error::Error for NotConnected {}

impl NotAnswered {
    /// Whether it was the connection's fault: on another one the question may be answered.
    pub(super) fn is_of_the_connection(&self) -> bool {
        matches!(self, Self::Driver(_)) && !self.leaves_the_connection()
    }

    /// Whether the connection is as good as before: the server said no, and means this question only.
    pub(super) fn leaves_the_connection(&self) -> bool {
        let Self::Driver(error) = self else {
            return false;
        };
        error.as_db_error().is_some_and(|told| {
            let about_the_connection = [
                // A primary that became a replica: others are asked at the next connect.
                SqlState::READ_ONLY_SQL_TRANSACTION,
                // Statements prepared on it are not what they were.
                SqlState::FEATURE_NOT_SUPPORTED,
                SqlState::INVALID_SQL_STATEMENT_NAME,
                SqlState::DUPLICATE_PSTATEMENT,
            ];
            told.parsed_severity() == Some(Severity::Error)
                && !about_the_connection.contains(told.code())
        })
    }
}

impl From<NotAnswered> for Error {
    fn from(why: NotAnswered) -> Self {
        let error = match why {
            NotAnswered::NotConnected(why) => {
                return Self::Unavailable(format!("PostgreSQL: {why}"));
            }
            NotAnswered::AllTaken => {
                return unavailable("every pooled connection is taken", |it| it.all_taken);
            }
            NotAnswered::Late => return unavailable("no answer in time", |it| it.late),
            NotAnswered::ReadOnly => {
                return unavailable("the server takes no writes", |it| it.read_only);
            }
            NotAnswered::Driver(error) => error,
        };
        let words = match error.as_db_error() {
            Some(told) => of_code(told.code()),
            None => of_transport(&error),
        };
        let text = match words {
            Some(words) => format!("PostgreSQL: {}. {}", said(&error), both(words)),
            None => format!("PostgreSQL: {}", said(&error)),
        };
        if will_pass(&error) {
            Self::Unavailable(text)
        } else {
            Self::Broken(text)
        }
    }
}

pub(super) fn unavailable(what: &str, words: Words) -> Error {
    Error::Unavailable(format!("PostgreSQL: {what}. {}", both(words)))
}

/// For what no waiting mends.
pub(super) fn broken(error: &tokio_postgres::Error, words: Words) -> Error {
    Error::Broken(format!("PostgreSQL: {}. {}", said(error), both(words)))
}

/// Whether the same question may be answered later, when someone did something about the server.
fn will_pass(error: &tokio_postgres::Error) -> bool {
    let Some(told) = error.as_db_error() else {
        return error.is_closed() || io_error(error).is_some();
    };
    // Connections, authorization, resources, operators, the system around it; a transaction that lost
    // to another; a lock that was not to be had.
    let classes = ["08", "28", "3D", "40", "53", "55", "57", "58"];
    let codes = [
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::INVALID_SQL_STATEMENT_NAME,
        SqlState::DUPLICATE_PSTATEMENT,
        SqlState::UNDEFINED_TABLE,
        SqlState::INSUFFICIENT_PRIVILEGE,
    ];
    classes.contains(&&told.code().code()[..2]) || codes.contains(told.code())
}

fn of_code(code: &SqlState) -> Option<Words> {
    let known: [(&SqlState, Words); 17] = [
        (&SqlState::INVALID_PASSWORD, |words| words.password),
        (&SqlState::INVALID_AUTHORIZATION_SPECIFICATION, |words| {
            words.role
        }),
        (&SqlState::INVALID_CATALOG_NAME, |words| words.no_database),
        (&SqlState::TOO_MANY_CONNECTIONS, |words| {
            words.too_many_connections
        }),
        (&SqlState::CANNOT_CONNECT_NOW, |words| words.starting),
        (&SqlState::ADMIN_SHUTDOWN, |words| words.starting),
        (&SqlState::CRASH_SHUTDOWN, |words| words.starting),
        (&SqlState::READ_ONLY_SQL_TRANSACTION, |words| {
            words.read_only
        }),
        (&SqlState::QUERY_CANCELED, |words| words.slow),
        (&SqlState::LOCK_NOT_AVAILABLE, |words| words.slow),
        (&SqlState::DISK_FULL, |words| words.disk_full),
        (&SqlState::INSUFFICIENT_PRIVILEGE, |words| words.privilege),
        (&SqlState::UNDEFINED_TABLE, |words| words.not_migrated),
        (&SqlState::PROTOCOL_VIOLATION, |words| words.pooler),
        (&SqlState::FEATURE_NOT_SUPPORTED, |words| words.pooler),
        (&SqlState::INVALID_SQL_STATEMENT_NAME, |words| words.pooler),
        (&SqlState::DUPLICATE_PSTATEMENT, |words| words.pooler),
    ];
    known
        .into_iter()
        .find(|(it, _)| *it == code)
        .map(|(_, words)| words)
}

/// What can be done about a certificate.
fn certificate(error: &io::Error) -> Words {
    let Some(rustls::Error::InvalidCertificate(why)) = tls_error(error) else {
        return |words| words.handshake;
    };
    match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            |words| words.wrong_name
        }
        // Of another authority; of another of the same name; or signed by the server itself.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            |words| words.unknown_authority
        }
        why if tls::is_of_an_authority(why) => |words| words.unknown_authority,
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => |words| words.expired,
        _ => |words| words.certificate,
    }
}

fn of_transport(error: &tokio_postgres::Error) -> Option<Words> {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    match (cause.as_str(), io_error(error)) {
        ("server does not support TLS", _) => Some(|words| words.no_tls),
        ("password missing", _) => Some(|words| words.password),
        (_, Some(error)) => Some(match error.kind() {
            // In TLS 1.3 a server says only after the handshake that it does not take the client.
            _ if matches!(tls_error(error), Some(rustls::Error::AlertReceived(_))) => {
                |words| words.client_certificate
            }
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                |words| words.connection_refused
            }
            io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => |words| words.unreachable,
            _ => |words| words.lost,
        }),
        _ => error.is_closed().then_some(|words| words.lost),
    }
}

fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// An error in its own words, without the details that quote rows and keys.
fn said(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(told), _) => format!(
            "{} {}: {}",
            told.severity(),
            told.code().code(),
            told.message()
        ),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

/// What to do about it, in both languages.
pub(super) fn both(words: Words) -> String {
    format!("{} / {}", words(&EN.database), words(&KO.database))
}
