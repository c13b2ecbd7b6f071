//! SES, as far as two calls of its API go: it checks who calls, keeps the mails that it is given, and
//! refuses what a test tells it to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use aidlc_auth::clock::Clock;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::signature::Authorization;
use super::stand_in::{KEY, Keys};

pub const SEND: &str = "POST /v2/email/outbound-emails";
pub const LOOK: &str = "GET /v2/email/account";

/// What it does instead of taking a call.
#[derive(Debug, Clone)]
pub enum Instead {
    /// Refuses under this status and code, in these words.
    Refuse(u16, &'static str, &'static str),
    /// Is silent for good.
    Hang,
}

/// A call that it took for one of AWS's.
#[derive(Debug, Clone)]
pub struct Taken {
    pub call: String,
    pub access_key: String,
    pub body: Value,
}

impl Taken {
    /// The mail in it.
    pub fn mail(&self) -> String {
        let data = self.body["Content"]["Raw"]["Data"].as_str().unwrap();
        String::from_utf8(BASE64.decode(data).unwrap()).unwrap()
    }

    /// Its six digits, which stand alone in a line of its text.
    pub fn code(&self) -> String {
        let mail = self.mail();
        let mut parts = mail.split("\r\n--");
        let text = parts.find(|part| part.contains("Content-Type: text/plain"));
        let (_, body) = text.unwrap().split_once("\r\n\r\n").unwrap();
        let text = BASE64.decode(body.replace("\r\n", "")).unwrap();
        let text = String::from_utf8(text).unwrap();
        let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|b| b.is_ascii_digit());
        text.lines()
            .map(str::trim)
            .find(is_code)
            .unwrap()
            .to_owned()
    }
}

struct Book {
    keys: Keys,
    account: Value,
    instead: VecDeque<Instead>,
    taken: Vec<Taken>,
    /// Refused ones included.
    calls: Vec<String>,
    wrong: Vec<String>,
}

struct Desk {
    book: Mutex<Book>,
    clock: Arc<dyn Clock>,
    told: watch::Sender<usize>,
}

impl Desk {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}

/// The stand-in, listening.
pub struct Email {
    pub url: String,
    desk: Arc<Desk>,
}

impl Email {
    /// With [`KEY`], and an account that may send to anyone.
    pub async fn start(clock: Arc<dyn Clock>) -> Self {
        let desk = Arc::new(Desk {
            book: Mutex::new(Book {
                keys: Keys::only(KEY.0, KEY.1, None),
                account: account("HEALTHY", true, true),
                instead: VecDeque::new(),
                taken: Vec::new(),
                calls: Vec::new(),
                wrong: Vec::new(),
            }),
            clock,
            told: watch::Sender::new(0),
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&desk));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app).await });
        Self { url, desk }
    }

    /// From now on it knows this key and no other.
    pub fn know(&self, (access_key, secret_key): (&str, &str), token: Option<&str>) {
        self.desk.book().keys = Keys::only(access_key, secret_key, token);
    }

    /// From now on the account stands like this.
    pub fn account(&self, account: Value) {
        self.desk.book().account = account;
    }

    /// Does this at the next calls, one after the other.
    pub fn instead(&self, instead: &[Instead]) {
        self.desk.book().instead.extend(instead.iter().cloned());
    }

    /// What it was asked, refused calls included.
    pub fn calls(&self) -> Vec<String> {
        self.desk.book().calls.clone()
    }

    /// The mails that it took.
    pub fn mails(&self) -> Vec<Taken> {
        let book = self.desk.book();
        let mails = book.taken.iter().filter(|taken| taken.call == SEND);
        mails.cloned().collect()
    }

    /// Waits for the newest mail to an address, when so many are there.
    pub async fn mail_to(&self, address: &str, count: usize) -> Taken {
        let mut told = self.desk.told.subscribe();
        let to = |taken: &Taken| taken.body["Destination"]["ToAddresses"] == json!([address]);
        let are_there =
            told.wait_for(|_| self.mails().iter().filter(|mail| to(mail)).count() >= count);
        let waited = tokio::time::timeout(super::world::PATIENT, are_there).await;
        assert!(waited.is_ok(), "no mail: {:?}", self.calls());
        self.mails().into_iter().rfind(to).unwrap()
    }

    /// Every call had the form that AWS asks for, whatever came of it.
    #[track_caller]
    pub fn was_called_as_aws_is(&self) {
        assert_eq!(self.desk.book().wrong, Vec::<String>::new());
    }
}

/// What GetAccount answers.
pub fn account(enforcement: &str, sends: bool, is_in_production: bool) -> Value {
    json!({
        "DedicatedIpAutoWarmupEnabled": true,
        "EnforcementStatus": enforcement,
        "ProductionAccessEnabled": is_in_production,
        "SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 0.0},
        "SendingEnabled": sends,
    })
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let call = format!("{method} {}", uri.path());
    let judged = judge(&desk, &call, &headers, &body);
    let instead = desk.book().instead.pop_front();
    let outcome = match (instead, judged) {
        (Some(Instead::Hang), _) => std::future::pending().await,
        (Some(Instead::Refuse(status, code, words)), _) => Err((status, code, words)),
        (None, Err(code)) => Err((403, code, "")),
        (None, Ok(taken)) => {
            let answer = if taken.call == LOOK {
                desk.book().account.clone()
            } else {
                json!({"MessageId": "0100019a-0000-0000"})
            };
            desk.book().taken.push(taken);
            Ok(answer)
        }
    };
    desk.told.send_modify(|count| *count += 1);
    let (status, code, body) = match outcome {
        Ok(answer) => (200, "", answer),
        Err((status, code, words)) => (status, code, json!({ "message": words })),
    };
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", "application/json")
        .header(
            "x-amzn-errortype",
            format!("{code}:http://internal.amazon.test/"),
        )
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn judge(desk: &Desk, call: &str, headers: &HeaderMap, body: &[u8]) -> Result<Taken, &'static str> {
    let mut book = desk.book();
    book.calls.push(call.to_owned());
    let header = headers.get("authorization").map(|it| it.to_str().unwrap());
    let signed = header.and_then(Authorization::parse);
    let Some(signed) = signed else {
        book.wrong.push("no signature".into());
        return Err("MissingAuthenticationTokenException");
    };
    for (what, is_right) in [
        ("region", signed.region == "ap-northeast-2"),
        ("service", signed.service == "ses"),
        ("call", [SEND, LOOK].contains(&call)),
        ("body", body.is_empty() == (call == LOOK)),
        (
            "signed headers",
            signed.signed_headers.contains("host;x-amz-date"),
        ),
    ] {
        if !is_right {
            book.wrong.push(format!("{what} of {call}"));
            return Err("ValidationException");
        }
    }
    book.keys
        .judge(&signed, call, headers, body, desk.clock.now())?;
    Ok(Taken {
        call: call.to_owned(),
        access_key: signed.access_key.to_owned(),
        body: serde_json::from_slice(body).unwrap_or_default(),
    })
}
