//! A service of one's own: store, clock, inbox and clients, over real HTTP on a free port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aidlc_auth::app::{App, rules};
use aidlc_auth::clock::Clock;
use aidlc_auth::config::Config;
use aidlc_auth::entropy;
use aidlc_auth::http;
use aidlc_auth::http::serve::{Drain, Limits, serve, shutdown};
use aidlc_auth::mail::Notices;
use aidlc_auth::model::email_address::EmailAddress;
use aidlc_auth::model::user::{Status, User};
use aidlc_auth::secret::Keys;
use aidlc_auth::store::{AuditRow, Stores};
use aidlc_auth::work::{Workers, follow_up, send_mail};
use jiff::Timestamp;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::answer::Answer;
use super::call::Call;
use super::inbox::{Inbox, Received};
use super::steps::Steps;
use super::stores::counted;
use crate::backend::{Backend, Place};

/// What everyone registers with, unless a test says otherwise.
pub const PASSWORD: &str = "pass123";

/// Who calls, unless a test says otherwise.
pub const CLIENT: &str = "198.51.100.1";

/// A stranger elsewhere.
pub const STRANGER: &str = "203.0.113.66";

const SETTINGS: [(&str, &str); 2] = [
    ("TRUSTED_PROXIES", "127.0.0.1/32"),
    (
        "SECRET_KEYS",
        "k1:QmVjYXVzZSBhIHRlc3QgbmVlZHMgc29tZSBrZXkgdG9vLg==",
    ),
];

/// A clock that stands still until a test moves it. All clones are one clock.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    fn new() -> Self {
        let start: Timestamp = "2026-11-22T09:05:00Z".parse().unwrap();
        Self(Arc::new(AtomicI64::new(start.as_microsecond())))
    }

    pub fn advance(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).unwrap();
        self.0.fetch_add(micros, Ordering::Relaxed);
    }

    pub fn set_back(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).unwrap();
        self.0.fetch_sub(micros, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// The service, running, and everything around it.
pub struct World {
    pub app: Arc<App>,
    pub clock: TestClock,
    pub inbox: Arc<Inbox>,
    pub steps: Arc<Steps>,
    /// Uncounted.
    pub stores: Stores,
    pub address: SocketAddr,
    client: reqwest::Client,
    _workers: Workers,
    _drain: Drain,
    /// Kept until the last process is gone.
    place: Arc<Place>,
}

/// What a process finds when it starts.
struct Surroundings {
    place: Arc<Place>,
    stores: Stores,
    clock: TestClock,
    inbox: Arc<Inbox>,
    /// Whether a letter pauses before it is begun.
    pauses: bool,
    /// Who reports what became of mails.
    notices: Option<Arc<dyn Notices>>,
}

impl World {
    /// With the settings of development.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With these settings over the usual ones.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::on(Backend::Memory, settings, |_| ()).await
    }

    /// On stores that outlive a service, and with its pauses: for where it matters how long it takes.
    pub async fn lasting(settings: &[(&str, &str)]) -> Self {
        Self::on(Backend::File, settings, |_| ()).await
    }

    /// With a body time-out too short to be set.
    pub async fn impatient() -> Self {
        let shorten = |config: &mut Config| config.http.body_timeout = Duration::from_millis(100);
        Self::on(Backend::Memory, &[], shorten).await
    }

    /// At a place of the test's choice.
    pub async fn at(place: Place) -> Self {
        let config = config(&place, &[]);
        Self::begin(place, config, false, None).await
    }

    /// With somebody who reports what became of mails.
    pub async fn told_by(notices: Arc<dyn Notices>, settings: &[(&str, &str)]) -> Self {
        let place = Place::on(Backend::chosen().unwrap_or(Backend::Memory));
        let config = config(&place, settings);
        Self::begin(place, config, false, Some(notices)).await
    }

    /// On the embedded store, or on the servers that the run is about.
    async fn on(
        embedded: Backend,
        settings: &[(&str, &str)],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let place = Place::on(Backend::chosen().unwrap_or(embedded));
        let mut config = config(&place, settings);
        change(&mut config);
        // Elsewhere the clock leaps before a pause is over.
        let pauses = embedded == Backend::File;
        Self::begin(place, config, pauses, None).await
    }

    async fn begin(
        place: Place,
        config: Config,
        pauses: bool,
        notices: Option<Arc<dyn Notices>>,
    ) -> Self {
        let stores = place.open(&config, rules(&config)).await;
        place.keep_accounts(&*stores.users).await;
        let surroundings = Surroundings {
            stores,
            place: Arc::new(place),
            clock: TestClock::new(),
            inbox: Arc::default(),
            pauses,
            notices,
        };
        Self::start(config, surroundings).await
    }

    /// Another process on the same stores, with settings of its own.
    pub async fn beside(&self, settings: &[(&str, &str)]) -> Self {
        let config = config(&self.place, settings);
        let surroundings = Surroundings {
            stores: match Backend::chosen() {
                Some(_) => self.place.open(&config, rules(&config)).await,
                // The embedded store is one process's own.
                None => self.stores.clone(),
            },
            place: Arc::clone(&self.place),
            clock: self.clock.clone(),
            inbox: Arc::clone(&self.inbox),
            pauses: false,
            notices: None,
        };
        Self::start(config, surroundings).await
    }

    async fn start(config: Config, around: Surroundings) -> Self {
        let Surroundings {
            place,
            stores,
            clock,
            inbox,
            pauses,
            notices,
        } = around;
        let steps = Arc::<Steps>::default();
        let keys = config.secret_keys.iter();
        let keys = Keys::new(keys.map(|key| (key.id.as_str(), key.bytes.expose_secret())));
        let counted = counted(&stores, &steps, &clock);
        let mail = (Arc::clone(&inbox) as _, notices);
        let (app, queues) = App::new(config, counted, keys, mail, Arc::new(clock.clone())).unwrap();
        let workers = Workers::start(&app, queues, pauses);
        app.prepared().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (drain, heard) = shutdown();
        tokio::spawn(serve(
            listener,
            http::router(&app),
            Limits::default(),
            heard,
        ));
        // The sweep at the start compares clocks and counts, as tests do that follow.
        steps.taken("users.erase", 1).await;
        Self {
            app,
            clock,
            inbox,
            steps,
            stores,
            address,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            _workers: workers,
            _drain: drain,
            place,
        }
    }

    // Calls, to be varied and then awaited

    pub fn call(&self, method: Method, path: &str) -> Call {
        Call::new(self.client.clone(), self.address, method, path, CLIENT)
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: Value) -> Call {
        self.call(Method::POST, path).json(body)
    }

    /// A whole form, filled in.
    pub fn register(&self, email: &str) -> Call {
        let form = json!({"email": email, "password": PASSWORD, "full_name": "Ada Lovelace"});
        self.post("/api/auth/register", form)
    }

    pub fn verify_registration(&self, email: &str, code: &str) -> Call {
        let form = json!({"email": email, "verification_code": code});
        self.post("/api/auth/verify-registration", form)
    }

    pub fn login(&self, email: &str) -> Call {
        self.post("/api/auth/login", json!({"email": email}))
    }

    pub fn verify_login(&self, email: &str, code: &str) -> Call {
        let form = json!({"email": email, "verification_code": code});
        self.post("/api/auth/verify-login", form)
    }

    pub fn resend(&self, email: &str, purpose: &str) -> Call {
        let form = json!({"email": email, "purpose": purpose});
        self.post("/api/auth/resend", form)
    }

    pub fn session(&self, token: &str) -> Call {
        self.get("/api/auth/session").bearer(token)
    }

    pub fn refresh(&self, token: &str) -> Call {
        self.call(Method::POST, "/api/auth/refresh-session")
            .bearer(token)
    }

    pub fn logout(&self, token: &str) -> Call {
        self.call(Method::POST, "/api/auth/logout").bearer(token)
    }

    pub fn sessions(&self, token: &str) -> Call {
        self.get("/api/auth/sessions").bearer(token)
    }

    pub fn profile(&self, token: &str) -> Call {
        self.get("/api/profile").bearer(token)
    }

    // Journeys

    /// Asks for a sign-in code and reads it from the mail.
    pub async fn ask_to_sign_in(&self, email: &str) -> String {
        self.login(email).await.is_accepted();
        self.mail_to(email).await.code
    }

    /// Asks for a registration code and reads it from the mail.
    pub async fn ask_to_register(&self, email: &str) -> String {
        self.register(email).await.is_accepted();
        self.mail_to(email).await.code
    }

    /// Makes an account. The answer has its first session.
    pub async fn sign_up(&self, email: &str) -> Answer {
        let code = self.ask_to_register(email).await;
        let answer = self.verify_registration(email, &code).await;
        answer.is_signed_in();
        answer
    }

    /// Signs in to an account. The answer has the session.
    pub async fn sign_in(&self, email: &str) -> Answer {
        let code = self.ask_to_sign_in(email).await;
        let answer = self.verify_login(email, &code).await;
        answer.is_signed_in();
        answer
    }

    /// Switches an account off or on, as an operator does.
    pub async fn set_status(&self, email: &str, status: Status) {
        let (now, audit) = (self.clock.now(), self.operator());
        let address = address(email);
        let changed = self.stores.users.set_status(&address, status, &audit);
        let follow_up = changed.await.unwrap();
        let follow_up = follow_up.expect("there is such an account");
        follow_up::perform(&self.stores, &follow_up, now)
            .await
            .unwrap();
    }

    /// What an operator's doings leave in the audit trail.
    pub fn operator(&self) -> AuditRow {
        let now = self.clock.now();
        AuditRow {
            id: entropy::row_id(now),
            at: now,
            event: "account",
            outcome: "changed",
            user: None,
            subject: None,
            client: None,
            request_id: "operator".into(),
        }
    }

    /// The account at an address, as it is stored.
    pub async fn user(&self, email: &str) -> Option<User> {
        self.stores.users.find(&address(email)).await.unwrap()
    }

    // Mail

    /// What a worker does every few seconds: takes over letters whose time has come.
    pub async fn send_what_is_due(&self) {
        let due = self.stores.challenges.take_letters(8, self.clock.now());
        for letter in due.await.unwrap() {
            // A test's clock leaps over leases; whoever has a letter in hand still has it.
            if !self.steps.hand_out(&letter) {
                continue;
            }
            let done = send_mail::deliver(&self.app, letter).await;
            let done: Vec<_> = done.into_iter().collect();
            let challenges = &self.app.stores.challenges;
            challenges.letters_done(&done).await.unwrap();
        }
    }

    /// The newest mail to an address (in this spelling), as soon as it is there.
    pub async fn mail_to(&self, email: &str) -> Received {
        self.inbox.tried(&self.steps.message_ids()).await;
        let newest = self.inbox.all().into_iter().rfind(|mail| mail.to == email);
        newest.unwrap_or_else(|| panic!("a mail to {email}"))
    }

    /// Every mail to an address, oldest first.
    pub async fn mails_to(&self, email: &str) -> Vec<Received> {
        let mails = self.mails().await.into_iter();
        mails.filter(|mail| mail.to == email).collect()
    }

    /// Every mail, oldest first, once no more are on their way.
    pub async fn mails(&self) -> Vec<Received> {
        self.steps.settled().await;
        self.inbox.all()
    }
}

fn config(place: &Place, settings: &[(&str, &str)]) -> Config {
    let of_place = place.settings.iter().map(|(name, value)| (*name, &**value));
    let all = SETTINGS.into_iter().chain(of_place);
    let all = all.chain(settings.iter().copied());
    let env = all.map(|(name, value)| (name.to_string(), value.to_string()));
    Config::load(env, None).unwrap()
}

pub fn address(email: &str) -> EmailAddress {
    EmailAddress::parse(email).unwrap()
}

/// One of many clients.
pub fn client(number: u32) -> String {
    std::net::Ipv4Addr::from(0x6440_0000 + number).to_string()
}

/// Six digits that are not the code's.
pub fn other_than(code: &str) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:06}", (number + 1) % 1_000_000)
}
