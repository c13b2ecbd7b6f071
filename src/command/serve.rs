//! `aidlc-auth serve`: opens the stores, starts the workers, serves until told to stop.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{App, rules};
use crate::clock::SystemClock;
use crate::config::{Config, DatabaseUrl, MailTransport, SecretKey};
use crate::http::serve::{self, Drain, Limits};
use crate::mail::Transport;
use crate::mail::simulation::Simulation;
use crate::mail::smtp::{Smtp, SmtpUrl};
use crate::secret::Keys;
use crate::store::sqlite::Use;
use crate::work::{Workers, sweep};
use crate::{entropy, http, store, telemetry};

/// How long the workers have for what they hold, once the last request is answered.
const LAST_LETTERS: Duration = Duration::from_secs(10);

/// Runs the service to its end.
pub fn run(config: Config) -> Result<()> {
    telemetry::init(config.logs.format, &config.logs.level)?;
    // Only if something else in this process chose before; then that one stays.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(service(config))
}

async fn service(config: Config) -> Result<()> {
    let stores =
        store::open(&config.stores, Use::Serve, rules(&config)).map_err(|why| anyhow!(why))?;
    let (keys, keys_from) = keys(&config)?;
    let transport = transport(&config).map_err(|why| anyhow!(why))?;
    let limits = limits(&config);
    let listener = serve::bind(&config.http.host, config.http.port)
        .await
        .map_err(|why| anyhow!(why))?;
    let address = listener.local_addr()?;
    let drain_delay = config.http.drain_delay;
    let (app, queues) = App::new(config, stores, keys, transport, Arc::new(SystemClock))
        .map_err(|why| anyhow!(why))?;
    sweep::compare_clocks(&app)
        .await
        .context("the store cannot be written")?;
    announce(&app, keys_from);

    let workers = Workers::start(&app, queues);
    let (drain, shutdown) = serve::shutdown();
    // Listened for before anyone is told that the service runs.
    let signals = Signals::listen().context("signals cannot be listened for")?;
    tokio::spawn(stop_on_signal(
        Arc::clone(&app),
        signals,
        drain,
        drain_delay,
    ));
    tracing::info!(%address, "listening");
    telemetry::started();
    let cut = serve::serve(listener, http::router(&app), limits, shutdown).await;
    if cut > 0 {
        tracing::warn!(
            cut,
            "connections were cut: they outlasted DRAIN_TIMEOUT_SECONDS"
        );
    }
    workers.finish(LAST_LETTERS).await;
    tracing::info!("stopped");
    Ok(())
}

/// Says what was chosen and where it lives.
fn announce(app: &App, keys_from: &str) {
    let (config, stores) = (&app.config, &app.stores);
    tracing::info!(users = stores.users.place(), "✅ DB 연결 URL 생성");
    tracing::info!(
        environment = ?config.environment,
        public_url = config.http.public_url.as_str(),
        challenges = stores.challenges.place(),
        sessions = stores.sessions.place(),
        mail = app.transport.name(),
        keys = keys_from,
        version = env!("CARGO_PKG_VERSION"),
        "what was chosen"
    );
    if matches!(config.stores.database_url, DatabaseUrl::Memory) {
        tracing::warn!(
            "everything is kept in memory and is GONE when this process ends: memory: is for emergencies"
        );
    }
    if !config.limits.enabled {
        tracing::warn!("limits are off: anyone may ask for any number of mails");
    }
    if app.password_rules().length_min < 8 {
        tracing::warn!("passwords of 6 characters are taken outside ENVIRONMENT=production");
    }
}

/// The keys that were set; in development with the embedded store, those that the first start made.
fn keys(config: &Config) -> Result<(Keys, &'static str)> {
    let (keys, from) = match (&config.secret_keys[..], &config.stores.database_url) {
        ([], DatabaseUrl::Sqlite(path)) => {
            let folder = path.parent().unwrap_or(Path::new("."));
            (
                vec![kept_key(&folder.join("secret-key"))?],
                "made by the first start, beside the database",
            )
        }
        ([], _) => (vec![new_key()?], "made by this start, in memory"),
        (_, _) => (Vec::new(), "SECRET_KEYS"),
    };
    let keys = if keys.is_empty() {
        &config.secret_keys
    } else {
        &keys
    };
    Ok((
        Keys::new(
            keys.iter()
                .map(|key| (key.id.as_str(), key.bytes.expose_secret())),
        ),
        from,
    ))
}

/// The key of a development database: made once, kept beside it, for this user's eyes only.
fn kept_key(path: &Path) -> Result<SecretKey> {
    let unusable = || format!("the key in {}", path.display());
    if !path.exists() {
        let mut file = std::fs::File::options()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(path)
            .with_context(unusable)?;
        file.write_all(key_text().as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(unusable)?;
    }
    let text = std::fs::read_to_string(path).with_context(unusable)?;
    SecretKey::parse(text.trim()).map_err(|why| anyhow!("{}: {why:?}", unusable()))
}

fn new_key() -> Result<SecretKey> {
    SecretKey::parse(&key_text()).map_err(|why| anyhow!("a fresh key is refused: {why:?}"))
}

fn key_text() -> String {
    format!("dev:{}", STANDARD.encode(entropy::random::<32>()))
}

fn transport(config: &Config) -> Result<Arc<dyn Transport>, String> {
    Ok(match config.mail.transport {
        MailTransport::Simulation => Arc::new(Simulation),
        MailTransport::Smtp => {
            let url = config.mail.smtp_url.as_ref().ok_or("SMTP_URL is not set")?;
            let url =
                SmtpUrl::parse(url.expose_secret()).map_err(|why| format!("SMTP_URL: {why}"))?;
            let ca = config
                .mail
                .smtp_ca_file
                .as_deref()
                .map(std::fs::read)
                .transpose();
            let ca = ca.map_err(|error| format!("SMTP_CA_FILE cannot be read: {error}"))?;
            Arc::new(Smtp::new(url, ca)?)
        }
    })
}

fn limits(config: &Config) -> Limits {
    let http = &config.http;
    Limits {
        max_connections: http.max_connections,
        header_timeout: http.header_timeout,
        body_timeout: http.body_timeout,
        idle_timeout: http.idle_timeout,
        drain_timeout: http.drain_timeout,
        ..Limits::default()
    }
}

/// The two ways of asking a process to stop.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.term.recv() => {}, _ = self.int.recv() => {} }
    }
}

/// At the first SIGTERM or SIGINT: not ready, then no new connections, then the end. At the second: the end.
async fn stop_on_signal(app: Arc<App>, mut signals: Signals, drain: Drain, delay: Duration) {
    signals.next().await;
    tracing::info!("stopping: not ready any more, finishing what is under way");
    app.drain();
    let finishing = async {
        // Load balancers need a moment to notice before connections are refused.
        tokio::time::sleep(delay).await;
        drain.begin();
        std::future::pending().await
    };
    tokio::select! {
        () = finishing => {}
        () = signals.next() => {}
    }
    tracing::warn!("stopped at once, as asked twice; nothing that was acknowledged is lost");
    std::process::exit(1);
}
