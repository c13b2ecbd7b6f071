//! How a connection to a server is made: TCP, TLS, signing in.
//!
//! Ours and not the crate's, so that a refusal keeps its words, TLS is set up once, and whoever
//! waits learns at once when a connection ends.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::socket2::{SockRef, TcpKeepalive};
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, Value};

use rustls::CertificateError;
use rustls::pki_types::ServerName;
use secrecy::{ExposeSecret as _, SecretSlice};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::trouble::{SILENT, Trouble, unavailable};
use super::url::{Address, Shape, Url};
use crate::config;
use crate::store::Error;
use crate::tls;

/// A silent connection is asked for a sign of life this often, which also keeps firewalls and NATs
/// on the way from forgetting it.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Requests that wait to be written; more wait outside.
const QUEUE: usize = 1024;

/// What is said where one side speaks TLS and the other does not; the doctor knows it by that.
pub(super) const OF_TLS: [&str; 3] = [
    "it closed the connection at once: does it want TLS (rediss://)?",
    "it does not answer in TLS: if it speaks none on this port, write redis:// in REDIS_URL, or the \
     TLS port",
    "it does not speak TLS on this port: write redis:// in REDIS_URL, or the TLS port",
];

/// How each sentence begins on a certificate that is not believed.
pub(super) const OF_CERTIFICATE: [&str; 3] = [
    "its certificate is from an authority that is not trusted: name the right REDIS_CA_FILE",
    "its certificate is for another name: write that name in REDIS_URL",
    "TLS with it failed",
];

/// How each sentence begins on a server that is not there.
pub(super) const NOT_THERE: &str = "cannot be connected to";

/// What is needed to reach any server of this URL.
pub(super) struct Dial {
    tls: Option<TlsConnector>,
    username: Option<String>,
    password: Option<SecretSlice<u8>>,
    database: u32,
    /// To connect, and for an answer.
    pub timeout: Duration,
}

/// A connection, and what drives it: it ends with the connection.
pub(super) struct Dialled {
    pub connection: MultiplexedConnection,
    pub driver: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// When it has to be ready.
    until: Instant,
}

impl Dial {
    /// Settings go before what the URL says. The error is for the operator.
    pub fn new(url: &Url, redis: &config::Redis) -> Result<Self, String> {
        let password = redis
            .password
            .as_ref()
            .map(|password| password.expose_secret().as_bytes().to_vec().into());
        let password: Option<SecretSlice<u8>> = password.or_else(|| url.password.clone());
        let username = redis.username.clone().or_else(|| url.username.clone());
        if username.is_some() && password.is_none() {
            return Err(
                "a user of Redis is named, and no password: set REDIS_PASSWORD, or write it in \
                 REDIS_URL"
                    .into(),
            );
        }
        if redis.ca_file.is_some() && !url.is_tls {
            return Err(
                "REDIS_CA_FILE is set, and REDIS_URL does not ask for TLS: write rediss:// there"
                    .into(),
            );
        }
        let tls = url
            .is_tls
            .then(|| connector(redis.ca_file.as_deref()))
            .transpose()?;
        Ok(Self {
            tls,
            username,
            password,
            database: match url.shape {
                Shape::Single { database, .. } => database,
                _ => 0,
            },
            timeout: redis.timeout,
        })
    }

    /// Whether there is a password to sign in with.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Connects and signs in.
    pub async fn connect(&self, to: &Address) -> Result<Dialled, Error> {
        let mut dialled = self.reach(to).await?;
        let mut hello = Vec::new();
        if let Some(password) = &self.password {
            let mut auth = redis::cmd("AUTH");
            auth.arg(&self.username).arg(password.expose_secret());
            hello.push(auth);
        }
        if self.database != 0 {
            hello.push(redis::cmd("SELECT").arg(self.database).to_owned());
        }
        for command in hello {
            dialled
                .ask(&command, to)
                .await
                .map_err(Trouble::explained)?;
        }
        Ok(dialled)
    }

    /// Connects without signing in.
    pub async fn reach(&self, to: &Address) -> Result<Dialled, Error> {
        let until = Instant::now() + self.timeout;
        let stream = match timeout_at(until, self.tcp(to)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err(unavailable(to, format!("{NOT_THERE}: {error}")));
            }
            Err(_) => {
                let within = self.timeout;
                return Err(unavailable(to, format!("{NOT_THERE} within {within:?}")));
            }
        };
        let Some(tls) = &self.tls else {
            return self.speak(stream, to, until).await;
        };
        let name = ServerName::try_from(to.host.clone())
            .map_err(|_| unavailable(to, "its name cannot be in a certificate"))?;
        match timeout_at(until, tls.connect(name, stream)).await {
            Ok(Ok(stream)) => self.speak(stream, to, until).await,
            Ok(Err(error)) => Err(unavailable(to, tls_refused(&error))),
            Err(_) => Err(unavailable(to, OF_TLS[1])),
        }
    }

    /// The name is resolved anew each time: that is how a fail-over by DNS is followed.
    async fn tcp(&self, to: &Address) -> io::Result<TcpStream> {
        let addresses: Vec<_> = tokio::net::lookup_host((to.host.as_str(), to.port))
            .await?
            .collect();
        // A dead first address leaves time for the others.
        let share = self.timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return self.configured(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    fn configured(&self, stream: TcpStream) -> io::Result<TcpStream> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE / 3)
            .with_retries(3);
        socket.set_tcp_keepalive(&keepalive)?;
        // Longer than we wait ourselves: it only frees what nobody waits for any more.
        socket.set_tcp_user_timeout(Some(self.timeout * 3))?;
        Ok(stream)
    }

    async fn speak<S>(&self, stream: S, to: &Address, until: Instant) -> Result<Dialled, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // The crate would swallow why it is not let in, so it does not sign in for us.
        let nobody = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(QUEUE);
        let (connection, driver) = MultiplexedConnection::new_with_config(&nobody, stream, config)
            .await
            .map_err(|error| unavailable(to, error))?;
        Ok(Dialled {
            connection,
            driver: Box::pin(driver),
            until,
        })
    }
}

impl Dialled {
    /// Asks something before the connection is everyone's.
    pub async fn ask(&mut self, what: &Cmd, server: &Address) -> Result<Value, Trouble> {
        let lost = |what: &str| Err(Trouble::Lost(unavailable(server, what)));
        tokio::select! {
            biased;
            answer = what.query_async(&mut self.connection) => {
                answer.map_err(|error| Trouble::of(error, server))
            }
            () = &mut self.driver => lost(OF_TLS[0]),
            () = sleep_until(self.until) => lost(SILENT),
        }
    }
}

/// Checks a server's name and certificate against the public roots and those of the file.
fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, String> {
    let config = tls::trusting(ca_file).map_err(|why| {
        let path = ca_file.unwrap_or(Path::new("")).display();
        format!("REDIS_CA_FILE ({path}): it {why}")
    })?;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What stands in the way of TLS, and what to do about it.
fn tls_refused(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => OF_CERTIFICATE[0].into(),
        Some(rustls::Error::InvalidCertificate(
            why @ (CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }),
        )) => format!("{} ({why})", OF_CERTIFICATE[1]),
        Some(rustls::Error::InvalidMessage(_)) => OF_TLS[2].into(),
        _ => format!("{}: {error}", OF_CERTIFICATE[2]),
    }
}
