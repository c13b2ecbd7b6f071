//! Secrets Manager, as far as one call of it goes: it checks who calls and when, and answers what a
//! test tells it to.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use aidlc_auth::clock::Clock;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::signature::Authorization;

/// The secret that is there.
pub const ARN: &str = "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:test/db-a1b2c3";

/// AWS's example key, which opens nothing.
pub const KEY: (&str, &str) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");

/// What the stand-in does instead of answering.
#[derive(Debug, Clone)]
pub enum Instead {
    /// Refuses under this status and code.
    Refuse(u16, &'static str),
    /// Answers with these bytes, as if all were well.
    Say(&'static str),
    /// Breaks the connection off.
    Cut,
    /// Is silent for good.
    Hang,
}

/// The secret key and session token of each access key.
pub struct Keys(BTreeMap<String, (String, Option<String>)>);

impl Keys {
    pub fn only(access_key: &str, secret_key: &str, token: Option<&str>) -> Self {
        let known = (secret_key.to_owned(), token.map(str::to_owned));
        Self(BTreeMap::from([(access_key.to_owned(), known)]))
    }

    /// AWS's code where the call is not signed by one of them, as it came, and just now.
    pub fn judge(
        &self,
        signed: &Authorization<'_>,
        call: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), &'static str> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let Some((secret_key, token)) = self.0.get(signed.access_key) else {
            return Err("UnrecognizedClientException");
        };
        if text("x-amz-security-token") != token.as_deref() {
            return Err("UnrecognizedClientException");
        }
        if !signed.is_of(secret_key, call, headers, body) {
            return Err("InvalidSignatureException");
        }
        let at = text("x-amz-date").unwrap_or_default();
        let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", at).unwrap();
        let at = at.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        if at.duration_since(now).abs() > SignedDuration::from_mins(5) {
            return Err("InvalidSignatureException");
        }
        Ok(())
    }
}

/// Whom it knows, what it keeps and what it was asked.
struct Book {
    keys: Keys,
    secret: Value,
    instead: VecDeque<Instead>,
    /// What was asked, by access key.
    calls: Vec<String>,
    /// What it refused to take for a call of AWS.
    wrong: Vec<String>,
}

/// The stand-in, listening.
pub struct SecretsManager {
    pub address: SocketAddr,
    desk: Arc<Desk>,
}

struct Desk {
    book: Mutex<Book>,
    clock: Arc<dyn Clock>,
    called: watch::Sender<usize>,
}

impl SecretsManager {
    /// With [`KEY`], and this text as its secret.
    pub async fn start(clock: Arc<dyn Clock>, secret: &str) -> Self {
        let (manager, app) = Self::build(clock, secret);
        let listener = TcpListener::bind(manager.address).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, app).await });
        Self { address, ..manager }
    }

    /// The stand-in and what answers for it, to be served elsewhere.
    pub fn build(clock: Arc<dyn Clock>, secret: &str) -> (Self, Router) {
        let desk = Arc::new(Desk {
            book: Mutex::new(Book {
                keys: Keys::only(KEY.0, KEY.1, None),
                secret: json!({ "SecretString": secret }),
                instead: VecDeque::new(),
                calls: Vec::new(),
                wrong: Vec::new(),
            }),
            clock,
            called: watch::Sender::new(0),
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&desk));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        (Self { address, desk }, app)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Rotates the secret.
    pub fn keep(&self, secret: &str) {
        self.desk.book().secret = json!({ "SecretString": secret });
    }

    /// From now on it knows this key and no other.
    pub fn know(&self, access_key: &str, secret_key: &str, token: Option<&str>) {
        self.desk.book().keys = Keys::only(access_key, secret_key, token);
    }

    /// Does this at the next calls, one after the other.
    pub fn instead(&self, instead: &[Instead]) {
        self.desk.book().instead.extend(instead.iter().cloned());
    }

    /// How many calls came in, refused ones included.
    pub fn calls(&self) -> usize {
        self.desk.book().calls.len()
    }

    /// Who made them.
    pub fn callers(&self) -> Vec<String> {
        self.desk.book().calls.clone()
    }

    /// Waits until so many calls came in.
    pub async fn called(&self, times: usize) {
        let mut called = self.desk.called.subscribe();
        called.wait_for(|count| *count >= times).await.unwrap();
    }

    /// Every call had the form that AWS asks for, whatever came of it.
    #[track_caller]
    pub fn was_called_as_aws_is(&self) {
        assert_eq!(self.desk.book().wrong, Vec::<String>::new());
    }
}

impl Desk {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// What AWS would answer: its code for a refusal, or the secret.
    fn judge(&self, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, (u16, String)> {
        let mut book = self.book();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let no = |status: u16, code: &str| Err((status, code.to_owned()));

        let signed = text("authorization").and_then(Authorization::parse);
        book.calls
            .push(signed.as_ref().map_or("nobody", |it| it.access_key).into());
        let Some(signed) = signed else {
            book.wrong.push("no signature".into());
            return no(400, "MissingAuthenticationTokenException");
        };
        for (what, is_right) in [
            ("path", path == "/"),
            ("region", signed.region == "ap-northeast-2"),
            ("service", signed.service == "secretsmanager"),
            (
                "content type",
                text("content-type") == Some("application/x-amz-json-1.1"),
            ),
            (
                "target",
                text("x-amz-target") == Some("secretsmanager.GetSecretValue"),
            ),
            // Whoever could change these would make the call another one.
            (
                "signed headers",
                ["host", "x-amz-date", "x-amz-target"]
                    .iter()
                    .all(|name| signed.signed_headers.split(';').any(|it| it == *name)),
            ),
        ] {
            if !is_right {
                book.wrong.push(what.into());
                return no(400, "ValidationException");
            }
        }
        let call = format!("POST {path}");
        if let Err(code) = book
            .keys
            .judge(&signed, &call, headers, body, self.clock.now())
        {
            return no(400, code);
        }
        let asked: Value = serde_json::from_slice(body).unwrap();
        if asked["SecretId"] != ARN || asked["VersionStage"] != "AWSCURRENT" {
            return no(400, "ResourceNotFoundException");
        }
        Ok(book.secret.clone())
    }
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let judged = desk.judge(uri.path(), &headers, &body);
    let instead = desk.book().instead.pop_front();
    desk.called.send_modify(|count| *count += 1);
    let outcome = match instead {
        Some(Instead::Refuse(status, code)) => Err((status, code.to_owned())),
        Some(Instead::Say(text)) => return said(desk.clock.now(), 200, text.to_owned()),
        Some(Instead::Cut) => return Response::new(Body::new(Cut)),
        Some(Instead::Hang) => std::future::pending().await,
        None => judged,
    };
    match outcome {
        Ok(secret) => said(desk.clock.now(), 200, secret.to_string()),
        Err((status, code)) => {
            // As AWS writes it: the whole canonical request follows, session token included.
            let token = headers.get("x-amz-security-token");
            let token = token.map_or("", |token| token.to_str().unwrap());
            let message = format!("{code} is what we say.\n\nx-amz-security-token:{token}");
            let body = json!({ "__type": code, "message": message });
            said(desk.clock.now(), status, body.to_string())
        }
    }
}

/// A body that breaks off: hyper closes the connection at its error.
struct Cut;

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::Error::other("cut"))))
    }
}

fn said(now: Timestamp, status: u16, body: String) -> Response<Body> {
    let date = jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&now)
        .unwrap();
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("date", date)
        .header("content-type", "application/x-amz-json-1.1")
        .body(Body::from(body))
        .unwrap()
}
