//! What every story works with, put together once at start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use tokio::sync::{SetOnce, mpsc};

use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::{Config, Environment};
use crate::entropy;
use crate::error::Error;
use crate::hashing::Hasher;
use crate::health::LastLook;
use crate::http::request::Caller;
use crate::mail::{Mailbox, Notices, Transport};
use crate::model::challenge::CodeRules;
use crate::model::email_address::EmailAddress;
use crate::model::limit::{Budget, Rate};
use crate::model::outbox::DueLetter;
use crate::model::password::PasswordRules;
use crate::model::session::SessionRules;
use crate::model::user::UserId;
use crate::secret::Keys;
use crate::store::{Admitted, AuditRow, LimitRules, Rules, Stores, Want};

/// Letters that may wait to be sent at once. Beyond that their lease runs out and a worker takes them.
const LETTERS_WAITING_MAX: usize = 1024;

/// The service, less its sockets.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The numbers that the stores' steps go by, from the settings.
    pub rules: Rules,
    /// Accounts, challenges, sessions.
    pub stores: Stores,
    /// What codes and tokens are derived with.
    pub keys: Keys,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// How mail leaves.
    pub transport: Arc<dyn Transport>,
    /// Who reports what became of it, if anyone does.
    pub notices: Option<Arc<dyn Notices>>,
    /// Who the mail is from.
    pub from: Mailbox,
    /// Where security events are reported.
    pub audit: Audit,
    /// What `/health` said last.
    pub last_look: LastLook,
    clock: Arc<dyn Clock>,
    letters: mpsc::Sender<DueLetter>,
    prepared: SetOnce<()>,
    draining: AtomicBool,
    skewed: AtomicBool,
}

/// What the workers take from the stories.
pub struct Queues {
    /// Letters to send now.
    pub letters: mpsc::Receiver<DueLetter>,
    /// Audit rows to write.
    pub audit: mpsc::Receiver<AuditRow>,
}

impl App {
    /// Puts the service together.
    pub fn new(
        config: Config,
        stores: Stores,
        keys: Keys,
        (transport, notices): (Arc<dyn Transport>, Option<Arc<dyn Notices>>),
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, Queues), String> {
        let hasher = Hasher::start(config.passwords.threads(), config.passwords.queue)
            .map_err(|error| format!("no threads to hash passwords: {error}"))?;
        let from = config.mail.from.parse().map_err(|error| {
            format!("MAIL_FROM is no mailbox ({error}). Write it like: aidlc-auth <no-reply@example.com>")
        })?;
        let (audit, audit_rows) = Audit::new();
        let (letters, letters_waiting) = mpsc::channel(LETTERS_WAITING_MAX);
        let app = Self {
            rules: rules(&config),
            config,
            stores,
            keys,
            hasher,
            transport,
            notices,
            from,
            audit,
            last_look: LastLook::default(),
            clock,
            letters,
            prepared: SetOnce::new(),
            draining: AtomicBool::new(false),
            skewed: AtomicBool::new(false),
        };
        Ok((
            Arc::new(app),
            Queues {
                letters: letters_waiting,
                audit: audit_rows,
            },
        ))
    }

    /// The present instant. Stories read it once the body is there, and again after a hash.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clock itself, for the frame.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Counts a call against its client's limits. Says whether the client was here before.
    pub async fn admit(&self, caller: &Caller, want: Want, now: Timestamp) -> Result<bool, Error> {
        match self
            .stores
            .challenges
            .admit(caller.client, want, now)
            .await?
        {
            Admitted::Yes { known } => Ok(known),
            Admitted::No { wait } => Err(Error::TooManyRequests { wait }),
        }
    }

    /// Has a letter sent now, off the answer's path.
    pub fn send(&self, letter: DueLetter) {
        // Full, or shutting down: its lease runs out and a worker takes it.
        let _ = self.letters.try_send(letter);
    }

    /// Reports a security event: logged now, its row written soon.
    pub fn audit(
        &self,
        caller: &Caller,
        what: (&'static str, &'static str),
        user: Option<UserId>,
        email: Option<&EmailAddress>,
        now: Timestamp,
    ) {
        self.audit
            .record(self.event(caller, what, user, email, now));
    }

    /// A security event, for a change of an account that writes the row itself. What came of it is
    /// logged with [`Audit::log`].
    pub fn event(
        &self,
        caller: &Caller,
        (event, outcome): (&'static str, &'static str),
        user: Option<UserId>,
        email: Option<&EmailAddress>,
        now: Timestamp,
    ) -> AuditRow {
        AuditRow {
            id: entropy::row_id(now),
            at: now,
            event,
            outcome,
            user,
            subject: email.map(|email| self.keys.pseudonym(email.normal())),
            client: Some(caller.client),
            request_id: caller.request_id.to_string(),
        }
    }

    /// What new passwords have to be.
    pub fn password_rules(&self) -> PasswordRules {
        match self.config.environment {
            Environment::Production => PasswordRules {
                length_min: 8,
                refuses_common: true,
            },
            Environment::Development | Environment::Staging => PasswordRules {
                length_min: 6,
                refuses_common: false,
            },
        }
    }

    /// Notes that the stores are up to date and can be worked with.
    pub fn note_prepared(&self) {
        // Said twice is said.
        let _ = self.prepared.set(());
    }

    /// Whether they are.
    pub fn is_prepared(&self) -> bool {
        self.prepared.initialized()
    }

    /// Waits until they are.
    pub async fn prepared(&self) {
        self.prepared.wait().await;
    }

    /// From now on load balancers are told to send nobody.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Notes whether this machine's clock and a store's disagree too much to judge what is over.
    pub fn note_skew(&self, skewed: bool) {
        self.skewed.store(skewed, Ordering::Relaxed);
    }

    /// Whether new requests should come here. Once the stores were prepared, they do not turn it: a load balancer that
    /// takes every task away because a store is down makes an outage worse.
    pub fn is_ready(&self) -> bool {
        self.is_prepared()
            && !self.draining.load(Ordering::Relaxed)
            && !self.skewed.load(Ordering::Relaxed)
    }
}

/// The numbers for the stores' steps, from the settings.
pub fn rules(config: &Config) -> Rules {
    const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);
    let (limits, day) = (&config.limits, 24 * HOUR);
    Rules {
        codes: CodeRules {
            lifetime: config.codes.ttl,
            tries_max: limits.guesses_per_code,
        },
        limits: LimitRules {
            enabled: limits.enabled,
            guesses: Budget::new(limits.guesses_per_day, day),
            password_tries: Budget::new(limits.password_tries_per_day, day),
            sends_apart: limits.resend_after,
            sends: Budget::new(limits.sends_per_hour, HOUR),
            mailbox_hour: Budget::new(limits.mailbox_sends_per_hour, HOUR),
            mailbox_day: Budget::new(limits.mailbox_sends_per_day, day),
            client_requests: Rate::new(limits.client_code_requests, limits.client_window),
            client_guesses: Rate::new(limits.client_guesses, limits.client_window),
            service_requests: Rate::new(limits.service_code_requests, limits.client_window),
            service_guesses: Rate::new(limits.service_guesses, limits.client_window),
        },
        sessions: SessionRules {
            idle: config.sessions.ttl,
            lifetime: config.sessions.lifetime,
            max: config.sessions.max as usize,
        },
    }
}
