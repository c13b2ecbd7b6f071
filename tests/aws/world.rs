//! A clock to be moved, credentials to be lent, and AWS as this process would reach it.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aidlc_auth::aws::secret::FromSecret;
use aidlc_auth::aws::{Api, Aws, Call, Error};
use aidlc_auth::clock::Clock;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::stand_in::{ARN, KEY, SecretsManager};

/// What RDS keeps of a database.
pub const SECRET: &str = r#"{"username": "svc", "password": "a@b:/?#%", "host": "db.test"}"#;

/// Longer than anything takes here unless it hangs.
pub const PATIENT: Duration = Duration::from_secs(30);

/// A clock that stands still until a test moves it. All clones are one clock.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub fn new() -> Self {
        let start: Timestamp = "2026-11-22T09:05:00Z".parse().unwrap();
        Self(Arc::new(AtomicI64::new(start.as_second())))
    }

    pub fn advance(&self, secs: i64) {
        self.0.fetch_add(secs, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// Lends credentials as a test wants them lent.
#[derive(Debug, Clone, Default)]
pub struct Lender(Arc<Desk>);

#[derive(Debug, Default)]
struct Desk {
    lent: AtomicUsize,
    next: Mutex<Option<Credentials>>,
}

impl Lender {
    /// Lends a key for good.
    pub fn of((access_key, secret_key): (&str, &str)) -> Self {
        let lender = Self::default();
        lender.lends(access_key, secret_key, None, None);
        lender
    }

    pub fn lends(
        &self,
        access_key: &str,
        secret_key: &str,
        token: Option<&str>,
        until: Option<Timestamp>,
    ) {
        let token = token.map(str::to_owned);
        let until = until.map(SystemTime::from);
        let credentials = Credentials::new(access_key, secret_key, token, until, "test");
        *self.0.next.lock().unwrap() = Some(credentials);
    }

    /// Has none from now on.
    pub fn fails(&self) {
        *self.0.next.lock().unwrap() = None;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.0.lent.load(Ordering::Relaxed)
    }
}

impl ProvideCredentials for Lender {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.0.lent.fetch_add(1, Ordering::Relaxed);
        let next = self.0.next.lock().unwrap().clone();
        let away = || CredentialsError::provider_error("the lender is away");
        future::ProvideCredentials::ready(next.ok_or_else(away))
    }
}

/// Everything that a call needs.
pub struct World {
    pub clock: TestClock,
    /// The stand-in goes by a clock of its own, so that the two can disagree.
    pub their_clock: TestClock,
    pub manager: SecretsManager,
    pub lender: Lender,
    pub aws: Arc<Aws>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Lender::of(KEY)).await
    }

    pub async fn with(lender: Lender) -> Self {
        let (clock, their_clock) = (TestClock::new(), TestClock::new());
        let manager = SecretsManager::start(Arc::new(their_clock.clone()), SECRET).await;
        let config = config(&manager.url(), &lender);
        let aws = Aws::with(config, None, Arc::new(clock.clone())).unwrap();
        Self {
            clock,
            their_clock,
            manager,
            lender,
            aws: Arc::new(aws),
        }
    }

    /// The call itself.
    pub async fn call(&self) -> Result<Value, Error> {
        self.aws.call(get_secret_value(PATIENT)).await
    }

    /// What the database's credentials come from.
    pub fn secret(&self) -> FromSecret {
        FromSecret::new(Arc::clone(&self.aws), ARN, PATIENT)
    }
}

pub fn config(url: &str, lender: &Lender) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("ap-northeast-2"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(lender.clone()))
        .build()
}

pub fn get_secret_value(within: Duration) -> Call<'static> {
    Call {
        api: Api {
            id: "Secrets Manager",
            host: "secretsmanager",
            signed_as: "secretsmanager",
        },
        region: None,
        path: "/",
        headers: &[
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "secretsmanager.GetSecretValue"),
        ],
        body: Some(json!({ "SecretId": ARN, "VersionStage": "AWSCURRENT" })),
        within,
    }
}
