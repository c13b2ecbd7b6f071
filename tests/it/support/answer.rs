//! What came back, and what a test may say of it.

use aidlc_auth::http;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::ops::Index;
use std::sync::OnceLock;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// `Null` if it is no JSON.
    pub body: Value,
}

impl Answer {
    /// Reads an answer; one that the API's description does not know of is a defect.
    pub async fn read(method: &Method, path: &str, response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        assert_described(method, path, status);
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self {
            status,
            headers,
            text,
            body,
        }
    }

    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A code is on its way, or so it says.
    #[track_caller]
    pub fn is_accepted(&self) -> &Self {
        self.is(202)
    }

    /// A session began, its token in the body.
    #[track_caller]
    pub fn is_signed_in(&self) -> &Self {
        assert!(matches!(self.status, 200 | 201), "{}", self.text);
        assert_eq!(self.body["token_type"], "Bearer", "{}", self.text);
        assert!(self.token().len() > 60, "{}", self.text);
        self
    }

    /// A problem of this code, in the shape of RFC 9457.
    #[track_caller]
    pub fn is_refused(&self, code: &str) -> &Self {
        assert_eq!(self.body["code"], code, "{} {}", self.status, self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], self.status);
        assert_eq!(
            self.body["type"],
            format!("urn:aidlc-auth:problem:{code}").as_str()
        );
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        for words in ["title", "detail"] {
            assert!(
                !self.body[words].as_str().unwrap().is_empty(),
                "{}",
                self.text
            );
        }
        assert_eq!(
            self.body["retry_after"].as_u64(),
            self.headers
                .get("retry-after")
                .map(|value| value.to_str().unwrap().parse().unwrap())
        );
        self
    }

    /// A wrong code, with so many guesses left.
    #[track_caller]
    pub fn is_wrong(&self, tries_left: u8) -> &Self {
        self.is_refused("code_wrong");
        assert_eq!(self.body["tries_left"], tries_left, "{}", self.text);
        self
    }

    /// Exactly these fields were refused, in this order: `(field, code)`.
    #[track_caller]
    pub fn is_invalid(&self, fields: &[(&str, &str)]) -> &Self {
        self.is(422).is_refused("invalid_fields");
        let errors = self.body["errors"].as_array().unwrap().iter();
        let named: Vec<_> = errors
            .map(|error| {
                assert!(!error["detail"].as_str().unwrap().is_empty());
                (
                    error["field"].as_str().unwrap(),
                    error["code"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(named, fields, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn token(&self) -> String {
        self.text_at("session_token")
    }

    #[track_caller]
    pub fn challenge_id(&self) -> String {
        self.text_at("challenge_id")
    }

    /// A header's only value; empty if there is none.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map_or("", |value| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} comes twice");
        value
    }

    #[track_caller]
    fn text_at(&self, field: &str) -> String {
        let text = self.body[field].as_str();
        text.unwrap_or_else(|| panic!("{field} in {} {}", self.status, self.text))
            .to_owned()
    }
}

impl Index<&str> for Answer {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        &self.body[field]
    }
}

/// The API's description.
pub fn description() -> &'static Value {
    static DESCRIPTION: OnceLock<Value> = OnceLock::new();
    DESCRIPTION.get_or_init(|| serde_json::to_value(http::description()).unwrap())
}

/// Every status that anyone sees is in the description of its operation.
fn assert_described(method: &Method, path: &str, status: u16) {
    let path = path.split('?').next().unwrap();
    let one = path.strip_prefix("/api/auth/sessions/");
    let name = if one.is_some_and(|id| !id.contains('/')) {
        "/api/auth/sessions/{id}"
    } else {
        path
    };
    let operations = &description()["paths"][name];
    if operations.is_null() || method == Method::OPTIONS || method == Method::HEAD {
        return;
    }
    let operation = &operations[method.as_str().to_ascii_lowercase()];
    let described = if operation.is_null() {
        status == 405
    } else {
        !operation["responses"][status.to_string()].is_null()
    };
    assert!(
        described,
        "{method} {path} answered {status}, which its description does not name"
    );
}
