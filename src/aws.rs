//! Calls to AWS: JSON in, JSON out, signed (Signature Version 4), each bounded in time.
//!
//! The only place that names AWS. Its whole SDK for the one or two calls we make would weigh more
//! than the rest of the service (`docs/decisions/0009-signed-calls-to-aws.md`), so trying again and
//! wrong clocks are ours to see to.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_types::service_config::ServiceConfigKey;
use bytes::Bytes;
use hyper::{Method, Request};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;

mod answer;
mod http;
mod identity;
pub mod secret;
pub mod sns;

use crate::clock::Clock;
use crate::entropy;
use answer::Remedy;
use http::Http;
use identity::Identity;

/// How often a call is made at most, while AWS is busy or out of reach.
const ATTEMPTS_MAX: u32 = 4;
/// The longest wait before the second attempt; it doubles with each. The wait is drawn from all of
/// it ("full jitter"), so that many copies do not come back together.
const BACK_OFF: Duration = Duration::from_millis(100);

/// A service of AWS, by the three names it has.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    /// In `AWS_ENDPOINT_URL_…` and profiles.
    pub id: &'static str,
    /// In its host's name.
    pub host: &'static str,
    /// In signatures.
    pub signed_as: &'static str,
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// Of which service.
    pub api: Api,
    /// In which region, where what is called says so; else the environment's.
    pub region: Option<&'a str>,
    /// The URL's path.
    pub path: &'a str,
    /// The content type, and the operation where it is told by a header.
    pub headers: &'a [(&'static str, &'a str)],
    /// What is sent, by POST; a call without it is a GET.
    pub body: Option<Value>,
    /// For everything, credentials and further attempts included.
    pub within: Duration,
}

/// A call that did not succeed. No text has a key, a token or anything of a secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody told this process who it is.
    #[error("no AWS credentials: {0}")]
    NoCredentials(String),
    /// Nobody told which region to call.
    #[error("no AWS region is set")]
    NoRegion,
    /// The endpoint does not answer.
    #[error("{endpoint} cannot be reached: {why}")]
    Unreachable {
        /// Where it should be.
        endpoint: String,
        /// What happened.
        why: String,
    },
    /// AWS said no.
    #[error("AWS refused: {code} (HTTP {status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// AWS's name for the reason.
        code: String,
        /// AWS's words for it.
        message: String,
    },
    /// The answer is not what AWS answers.
    #[error("{endpoint} does not answer as AWS does: {why}")]
    Strange {
        /// Who answered.
        endpoint: String,
        /// What is strange.
        why: String,
    },
}

/// AWS, as this process reaches it. It keeps connections and credentials.
pub struct Aws {
    http: Http,
    clock: Arc<dyn Clock>,
    config: OnceCell<SdkConfig>,
    identity: Identity,
    /// How far AWS's clock is ahead of ours, once a signature was refused for its time.
    ahead_secs: AtomicI64,
}

impl Aws {
    /// As the process's environment says: credentials, region, `AWS_ENDPOINT_URL`, `AWS_CA_BUNDLE`.
    /// Reads no more than the latter yet.
    pub fn from_environment(clock: Arc<dyn Clock>) -> Result<Self, String> {
        let ca_bundle = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty());
        Self::new(OnceCell::new(), ca_bundle.as_deref().map(Path::new), clock)
    }

    /// With what was set up elsewhere, and nothing from the environment.
    pub fn with(
        config: SdkConfig,
        ca_bundle: Option<&Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        Self::new(OnceCell::new_with(Some(config)), ca_bundle, clock)
    }

    fn new(
        config: OnceCell<SdkConfig>,
        ca_bundle: Option<&Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        Ok(Self {
            http: Http::new(ca_bundle)?,
            clock,
            config,
            identity: Identity::default(),
            ahead_secs: AtomicI64::new(0),
        })
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Makes a call, again where that may help, and gives the answer's JSON.
    pub async fn call(&self, call: Call<'_>) -> Result<Value, Error> {
        let deadline = Instant::now() + call.within;
        let looking = async {
            let config = self.config(call.region).await;
            let target = Target::of(&call, config)?;
            // Once before the attempts, so that a slow look is not taken for a slow endpoint.
            self.identity.get(config, self.now()).await?;
            Ok((config, target))
        };
        let (config, target) = tokio::time::timeout_at(deadline, looking)
            .await
            .unwrap_or_else(|_| {
                let why = format!("none were found within {:?}", call.within);
                Err(Error::NoCredentials(why))
            })?;
        let mut last = Error::Unreachable {
            endpoint: target.endpoint.clone(),
            why: format!("no answer within {:?}", call.within),
        };
        let attempts = self.attempts(&call, config, &target, &mut last);
        match tokio::time::timeout_at(deadline, attempts).await {
            Ok(outcome) => outcome,
            Err(_) => Err(last),
        }
    }

    /// Leaves in `last` why the latest attempt failed, for when the time is over.
    async fn attempts(
        &self,
        call: &Call<'_>,
        config: &SdkConfig,
        target: &Target,
        last: &mut Error,
    ) -> Result<Value, Error> {
        let mut longest = BACK_OFF;
        let (mut is_clock_set, mut is_identity_new) = (false, false);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let credentials = self.identity.get(config, self.now()).await?;
            let signed_at =
                self.now() + SignedDuration::from_secs(self.ahead_secs.load(Ordering::Relaxed));
            let request = target.signed(call, &credentials, signed_at)?;
            let (why, remedy) = match self.http.send(request).await {
                Ok(answer) => match answer::read(&target.endpoint, &answer, signed_at) {
                    Ok(value) => return Ok(value),
                    Err(refused) => refused,
                },
                Err(failed) => {
                    let endpoint = target.endpoint.clone();
                    let why = failed.why;
                    (Error::Unreachable { endpoint, why }, Remedy::Wait)
                }
            };
            match remedy {
                Remedy::Wait if attempt < ATTEMPTS_MAX => {
                    *last = why;
                    let share =
                        f64::from(u32::from_le_bytes(entropy::random())) / f64::from(u32::MAX);
                    tokio::time::sleep(longest.mul_f64(share)).await;
                    longest *= 2;
                }
                Remedy::SetClock(theirs) if !is_clock_set => {
                    is_clock_set = true;
                    self.set_clock(theirs);
                }
                Remedy::RenewIdentity if !is_identity_new => {
                    is_identity_new = true;
                    self.identity.forget(&credentials).await;
                }
                _ => return Err(why),
            }
        }
    }

    fn set_clock(&self, theirs: Timestamp) {
        let ahead = theirs.duration_since(self.now()).as_secs();
        self.ahead_secs.store(ahead, Ordering::Relaxed);
        tracing::warn!(
            ahead_secs = ahead,
            "AWS's clock and this machine's disagree; signing with theirs. Set this machine's clock"
        );
    }

    /// What the environment and profiles say, read when first needed.
    async fn config(&self, region: Option<&str>) -> &SdkConfig {
        let load = || {
            // Without the last one, aws-config asks the metadata service of EC2 for the region, and
            // waits seconds for it where there is none.
            let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(ProfileFileRegionProvider::new())
                .or_else(region.map(|region| Region::new(region.to_owned())));
            aws_config::defaults(BehaviorVersion::latest())
                .http_client(self.http.clone())
                .region(region)
                .load()
        };
        self.config.get_or_init(load).await
    }
}

/// Where a call goes.
struct Target {
    endpoint: String,
    region: String,
}

impl Target {
    fn of(call: &Call<'_>, config: &SdkConfig) -> Result<Self, Error> {
        let region = call
            .region
            .or_else(|| config.region().map(AsRef::as_ref))
            .ok_or(Error::NoRegion)?
            .to_owned();
        let endpoint = configured(call.api, config).unwrap_or_else(|| {
            let domain = match region.starts_with("cn-") {
                true => "amazonaws.com.cn",
                false => "amazonaws.com",
            };
            format!("https://{}.{region}.{domain}", call.api.host)
        });
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        Ok(Self { endpoint, region })
    }

    fn signed(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
        at: Timestamp,
    ) -> Result<Request<Bytes>, Error> {
        let strange = |why: String| Error::Strange {
            endpoint: self.endpoint.clone(),
            why,
        };
        let url = format!("{}{}", self.endpoint, call.path);
        let (method, body) = match &call.body {
            Some(body) => (Method::POST, Bytes::from(body.to_string())),
            None => (Method::GET, Bytes::new()),
        };
        let mut request = Request::builder().method(&method).uri(&url);
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        let mut request = request
            .body(body.clone())
            .map_err(|error| strange(format!("its URL cannot be used: {error}")))?;

        let identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(call.api.signed_as)
            .time(SystemTime::from(at))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| strange(error.to_string()))?
            .into();
        let headers = call.headers.iter().copied();
        let signable =
            SignableRequest::new(method.as_str(), &url, headers, SignableBody::Bytes(&body));
        let signature = signable.and_then(|signable| sign(signable, &params));
        let (instructions, _) = signature
            .map_err(|error| strange(format!("the call cannot be signed: {error}")))?
            .into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// `AWS_ENDPOINT_URL_<SERVICE>`, else `AWS_ENDPOINT_URL`, else the same of the profile.
fn configured(api: Api, config: &SdkConfig) -> Option<String> {
    let of_service = config.service_config().and_then(|settings| {
        let key = ServiceConfigKey::builder()
            .service_id(api.id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build();
        settings.load_config(key.ok()?)
    });
    of_service.or_else(|| config.endpoint_url().map(str::to_owned))
}
