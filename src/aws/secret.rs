//! The database's credentials from AWS Secrets Manager, as RDS writes them there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Api, Aws, Call, Error};
use crate::store::postgres::credentials::{Credentials, Login};

const SECRETS_MANAGER: Api = Api {
    id: "Secrets Manager",
    host: "secretsmanager",
    signed_as: "secretsmanager",
};

/// A pool that fills up connects ten times at once and reads once. Longer would keep a password
/// that was changed.
const KEPT: SignedDuration = SignedDuration::from_secs(3);

/// Signs in as a secret says, read when a connection is made.
pub struct FromSecret {
    aws: Arc<Aws>,
    arn: String,
    within: Duration,
    /// How many reads have begun.
    reads: AtomicU64,
    last: Mutex<Option<Reading>>,
}

struct Reading {
    /// Which one it was, counted from 1.
    number: u64,
    began: Timestamp,
    outcome: Result<Login, String>,
}

impl FromSecret {
    /// Reads the secret with this ARN (or name), taking no longer than `within`.
    pub fn new(aws: Arc<Aws>, arn: impl Into<String>, within: Duration) -> Self {
        Self {
            aws,
            arn: arn.into(),
            within,
            reads: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }

    async fn read(&self) -> Result<Login, String> {
        let call = Call {
            api: SECRETS_MANAGER,
            region: region(&self.arn),
            path: "/",
            headers: &[
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amz-target", "secretsmanager.GetSecretValue"),
            ],
            body: Some(json!({ "SecretId": self.arn, "VersionStage": "AWSCURRENT" })),
            within: self.within,
        };
        let answer = self.aws.call(call).await;
        answer
            .map_err(|error| format!("{error}. {}", remedy(&error)))
            .and_then(|answer| login(&answer))
            .map_err(|why| format!("DATABASE_SECRET_ARN={}: {why}", self.arn))
    }
}

#[async_trait]
impl Credentials for FromSecret {
    async fn login(&self, again: bool) -> Result<Login, String> {
        let begun = self.reads.load(Ordering::Relaxed);
        let mut last = self.last.lock().await;
        let now = self.aws.now();
        if let Some(reading) = &*last {
            // Whoever waited takes over what another's read got, but only if that began after this
            // was asked: an older one may have got the very password that was refused.
            let began_since = reading.number > begun;
            let age = now.duration_since(reading.began);
            let is_kept = !again && (SignedDuration::ZERO..KEPT).contains(&age);
            if began_since || is_kept && reading.outcome.is_ok() {
                return reading.outcome.clone();
            }
        }
        let number = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        let outcome = self.read().await;
        *last = Some(Reading {
            number,
            began: now,
            outcome: outcome.clone(),
        });
        outcome
    }
}

/// A secret lives in the region that its ARN names, wherever we are.
fn region(arn: &str) -> Option<&str> {
    let region = arn.strip_prefix("arn:")?.split(':').nth(2)?;
    (!region.is_empty()).then_some(region)
}

/// The JSON that RDS and its rotation write: `username` and `password`, and perhaps where it is.
fn login(answer: &Value) -> Result<Login, String> {
    let text = answer.get("SecretString").and_then(Value::as_str);
    let text =
        text.ok_or("the secret holds bytes. Write JSON with username and password into it")?;
    // serde_json's own words would quote what it read.
    let secret: Value = serde_json::from_str(text).map_err(
        |_| "the secret is no JSON. Write {\"username\": …, \"password\": …} into it, as RDS does",
    )?;
    let needed = |field: &str| {
        let value = text_of(&secret, field)?;
        value.ok_or_else(|| format!("the secret has no `{field}`. Write it in, as RDS does"))
    };
    Ok(Login {
        username: Some(needed("username")?),
        password: Some(SecretString::from(needed("password")?)),
        host: text_of(&secret, "host")?,
        port: port(&secret)?,
        dbname: text_of(&secret, "dbname")?,
    })
}

fn text_of(secret: &Value, field: &str) -> Result<Option<String>, String> {
    match secret.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!(
            "the secret's `{field}` is no text. Put it in quotes"
        )),
    }
}

/// RDS writes a number, people write `"5432"`.
fn port(secret: &Value) -> Result<Option<u16>, String> {
    let port = match secret.get("port") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(Value::Number(number)) => number.as_u64().and_then(|port| port.try_into().ok()),
        Some(_) => None,
    };
    let port = port.filter(|port| *port > 0);
    port.map(Some)
        .ok_or_else(|| "the secret's `port` is no port. Write a number, such as 5432".into())
}

/// What to do about a secret that cannot be read.
fn remedy(error: &Error) -> &'static str {
    let code = match error {
        Error::NoCredentials(_) => {
            return "Give the ECS task a task role (taskRoleArn), or set AWS_ACCESS_KEY_ID and \
                    AWS_SECRET_ACCESS_KEY, or AWS_PROFILE";
        }
        Error::NoRegion => return "Set AWS_DEFAULT_REGION, or name the secret by its whole ARN",
        Error::Unreachable { .. } => {
            return "A subnet without a way to the internet needs a VPC endpoint for \
                    secretsmanager, whose security group lets this service in on port 443; \
                    AWS_ENDPOINT_URL must be unset or right";
        }
        Error::Strange { .. } => {
            return "See that AWS_ENDPOINT_URL is unset or right, and what stands between here and AWS";
        }
        Error::Refused { code, .. } => code.as_str(),
    };
    match code {
        "AccessDeniedException" => {
            "Allow the task role secretsmanager:GetSecretValue on this secret, and kms:Decrypt on \
             its key if it is encrypted with one of your own"
        }
        "DecryptionFailure" => "Allow the task role kms:Decrypt on the key of this secret",
        "ResourceNotFoundException" => {
            "Check the ARN, its region and account, and that the secret has a value"
        }
        "InvalidRequestException" => {
            "If the secret is scheduled for deletion, restore it: aws secretsmanager restore-secret"
        }
        "InvalidSignatureException"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "IncompleteSignature" => {
            "AWS does not take the credentials of this process: check the task role, or \
             AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and this machine's clock"
        }
        _ => "If it does not pass, look for this code in the documentation of GetSecretValue",
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(secret: &str) -> Result<Login, String> {
        login(&json!({ "SecretString": secret }))
    }

    #[test]
    fn a_secret_is_read_as_rds_and_people_write_it() {
        for port in ["5433", "\"5433\""] {
            let login = read(&format!(
                r#"{{"engine": "postgres", "username": "svc", "password": "a@b:/?#%",
                     "host": "db.test", "port": {port}, "dbname": "aidlc_auth"}}"#
            ))
            .unwrap();
            assert_eq!(login.username.as_deref(), Some("svc"));
            assert_eq!(login.password.unwrap().expose_secret(), "a@b:/?#%");
            assert_eq!(login.host.as_deref(), Some("db.test"));
            assert_eq!(login.port, Some(5433));
            assert_eq!(login.dbname.as_deref(), Some("aidlc_auth"));
        }
        // The secret that RDS manages for a master user has no more than these two.
        let login =
            read(r#"{"username": "svc", "password": "x", "port": null, "host": ""}"#).unwrap();
        assert_eq!((login.host, login.port, login.dbname), (None, None, None));
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_told_without_its_values() {
        for (secret, expected) in [
            (
                "{\"username\": \"svc\", \"password\": \"THEPASS",
                "is no JSON",
            ),
            ("THEPASS", "is no JSON"),
            ("\"THEPASS\"", "no `username`"),
            (r#"{"user": "svc", "password": "THEPASS"}"#, "no `username`"),
            (
                r#"{"username": "THEPASS", "password": ""}"#,
                "no `password`",
            ),
            (
                r#"{"username": "THEPASS", "password": 5}"#,
                "`password` is no text",
            ),
            (
                r#"{"username": "a", "password": "THEPASS", "port": 70000}"#,
                "`port` is no port",
            ),
            (
                r#"{"username": "a", "password": "THEPASS", "port": "THEPASS"}"#,
                "`port` is no port",
            ),
            (
                r#"{"username": "a", "password": "THEPASS", "port": 0}"#,
                "`port` is no port",
            ),
        ] {
            let why = read(secret).err().unwrap();
            assert!(why.contains(expected) && !why.contains("THEPASS"), "{why}");
        }
        let bytes = login(&json!({ "SecretBinary": "VEhFUEFTUw==" }))
            .err()
            .unwrap();
        assert!(bytes.contains("holds bytes"), "{bytes}");
    }

    #[test]
    fn an_arn_tells_its_region() {
        let arn = "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:db-a1b2c3";
        assert_eq!(region(arn), Some("ap-northeast-2"));
        assert_eq!(region("prod/db"), None);
        assert_eq!(region("arn:aws:secretsmanager"), None);
    }
}
