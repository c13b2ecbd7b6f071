//! Who this process is to AWS: looked up where AWS puts it, and kept until shortly before it expires.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::Error;

/// Credentials are renewed this long before they expire; a role's live for an hour or more.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// The credentials of this process. Whoever asks while they are looked up waits for that one look.
#[derive(Debug, Default)]
pub struct Identity {
    kept: Mutex<Option<Credentials>>,
}

impl Identity {
    /// The present credentials.
    pub async fn get(&self, config: &SdkConfig, now: Timestamp) -> Result<Credentials, Error> {
        let mut kept = self.kept.lock().await;
        if let Some(credentials) = kept.as_ref().filter(|c| lasts(c, now + RENEWED_BEFORE)) {
            return Ok(credentials.clone());
        }
        match look_up(config).await {
            Ok(credentials) => {
                *kept = Some(credentials.clone());
                Ok(credentials)
            }
            // What is kept works a little longer, and the endpoint may be back by then.
            Err(why) => match kept.as_ref().filter(|c| lasts(c, now)) {
                Some(credentials) => {
                    tracing::warn!(%why, "AWS credentials are about to expire and cannot be renewed");
                    Ok(credentials.clone())
                }
                None => Err(why),
            },
        }
    }

    /// Forgets these credentials, because AWS refused them.
    pub async fn forget(&self, refused: &Credentials) {
        let mut kept = self.kept.lock().await;
        // Somebody else may have renewed them meanwhile.
        kept.take_if(|kept| kept.access_key_id() == refused.access_key_id());
    }
}

fn lasts(credentials: &Credentials, until: Timestamp) -> bool {
    let expiry = credentials.expiry();
    expiry.is_none_or(|expiry| Timestamp::try_from(expiry).is_ok_and(|expiry| expiry > until))
}

async fn look_up(config: &SdkConfig) -> Result<Credentials, Error> {
    let provider = config.credentials_provider();
    let provider = provider.ok_or_else(|| Error::NoCredentials("none are set up".into()))?;
    let found = provider.provide_credentials().await;
    found.map_err(|error| {
        let mut why = match error {
            CredentialsError::CredentialsNotLoaded(_) => "none were found".to_owned(),
            ref other => other.to_string(),
        };
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            why = format!("{why}: {error}");
            cause = error.source();
        }
        Error::NoCredentials(why)
    })
}
