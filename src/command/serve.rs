//! `aidlc-auth serve`: opens the stores, starts the workers, serves until told to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::keys;
use crate::app::{App, rules};
use crate::clock::SystemClock;
use crate::config::{Config, DatabaseUrl, RedisUrl};
use crate::http::serve::{self, Drain, Limits};
use crate::store::sqlite::Use;
use crate::work::{LAST_LETTERS, Workers, prepare};
use crate::{http, mail, store, telemetry};

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
    let (keys, keys_from) = keys::to_serve(&config)?;
    let transport = mail::transport(&config.mail).map_err(|why| anyhow!(why))?;
    let notices = mail::notices(&config.mail).map_err(|why| anyhow!(why))?;
    let limits = limits(&config);
    let listener = serve::bind(&config.http.host, config.http.port)
        .await
        .map_err(|why| anyhow!(why))?;
    let address = listener.local_addr()?;
    let drain_delay = config.http.drain_delay;
    let (app, queues) = App::new(
        config,
        stores,
        keys,
        (transport, notices),
        Arc::new(SystemClock),
    )
    .map_err(|why| anyhow!(why))?;
    if app.config.stores.are_embedded() {
        // Nobody else will mend it: say so and end.
        let prepared = prepare::once(&app).await;
        prepared.context("the store cannot be written")?;
    }
    announce(&app, keys_from);
    tokio::spawn(try_mail(Arc::clone(&app)));

    let workers = Workers::start(&app, queues, true);
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
    let starting = Arc::clone(&app);
    tokio::spawn(async move {
        starting.prepared().await;
        telemetry::started();
    });
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
    match (&config.stores.database_url, &config.stores.redis_url) {
        (DatabaseUrl::Memory, _) => tracing::warn!(
            "everything is kept in memory and is GONE when this process ends: memory: is for emergencies"
        ),
        (_, RedisUrl::Memory) => tracing::warn!(
            "codes and sessions are kept in memory and are GONE when this process ends: memory: is for \
             emergencies, and for a single copy of the service"
        ),
        (DatabaseUrl::Postgres(_), RedisUrl::Sqlite(_)) => tracing::warn!(
            "codes and sessions are kept in a file of this copy: there must not be a second copy"
        ),
        _ => {}
    }
    if !config.limits.enabled {
        tracing::warn!("limits are off: anyone may ask for any number of mails");
    }
    if app.password_rules().length_min < 8 {
        tracing::warn!("passwords of 6 characters are taken outside ENVIRONMENT=production");
    }
}

/// Says early what would else be found when someone waits for a code.
async fn try_mail(app: Arc<App>) {
    if let Err(why) = app.transport.check().await {
        tracing::warn!(%why, "mails cannot leave yet; those that are owed wait for it");
    }
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
