//! The session cookie: its one name, its attributes, and from where it is accepted.

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;

use crate::config::Http;
use crate::model::limit::{seconds_up, until};
use crate::secret::Token;

/// `__Host-`: browsers take it only with Secure, Path=/ and no Domain (RFC 6265bis §4.1.3.2), so no
/// sibling host can plant one.
const NAME: &str = "__Host-aidlc_session";
/// On `http://localhost` browsers refuse the prefix; only development has it.
const PLAIN_NAME: &str = "aidlc_session";

/// The `Set-Cookie` for a token. `plain` was decided once, at start.
pub fn write(token: &Token, expires_at: Timestamp, now: Timestamp, plain: bool) -> HeaderValue {
    set(token.reveal(), seconds_up(until(now, expires_at)), plain)
}

/// The `Set-Cookie` that takes it away.
pub fn clear(plain: bool) -> HeaderValue {
    set("", 0, plain)
}

fn set(value: &str, max_age: u64, plain: bool) -> HeaderValue {
    let (name, secure) = if plain {
        (PLAIN_NAME, "")
    } else {
        (NAME, "; Secure")
    };
    let text = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
    let mut header = HeaderValue::from_str(&text).expect("a token is base64url");
    // Not in logs that print headers.
    header.set_sensitive(true);
    header
}

/// The session cookie's value, if the call has one.
pub fn read(headers: &HeaderMap, plain: bool) -> Option<&str> {
    let name = if plain { PLAIN_NAME } else { NAME };
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// Whether a call that uses or sets a cookie comes from our own pages or an allowed origin. A call
/// that says neither may be a form on anyone's page, so it is not.
pub fn origin_is_ours(headers: &HeaderMap, http: &Http) -> bool {
    let said = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let ours = |origin: &str| {
        origin == http.public_url.as_str()
            || http
                .cors_origins
                .iter()
                .any(|allowed| allowed.as_str() == origin)
    };
    said("origin").is_some_and(ours) || said("sec-fetch-site") == Some("same-origin")
}

/// Where an extractor leaves a cookie to be set again, because its session now ends later.
#[derive(Clone, Default)]
pub struct Renewal(Arc<OnceLock<HeaderValue>>);

impl Renewal {
    /// Has the cookie set with the answer.
    pub fn set(&self, cookie: HeaderValue) {
        // Only the first: there is one session per call.
        let _ = self.0.set(cookie);
    }
}

/// Middleware: adds the cookie that an extractor left, unless the story set one itself.
pub async fn renew(mut request: Request, next: Next) -> Response {
    if !request.headers().contains_key(header::COOKIE) {
        return next.run(request).await;
    }
    let renewal = Renewal::default();
    request.extensions_mut().insert(renewal.clone());
    let mut response = next.run(request).await;
    if let Some(cookie) = renewal.0.get()
        && !response.headers().contains_key(header::SET_COOKIE)
    {
        response
            .headers_mut()
            .append(header::SET_COOKIE, cookie.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::user::UserId;

    #[test]
    fn the_cookie_is_bound_to_this_host_and_out_of_reach_of_scripts() {
        let token = Token::from_parts(&[1; 32], UserId(uuid::Uuid::nil()));
        let now = Timestamp::UNIX_EPOCH;
        let cookie = write(&token, Timestamp::from_second(86_400).unwrap(), now, false);
        let expected = format!(
            "__Host-aidlc_session={}; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure",
            token.reveal()
        );
        assert_eq!(cookie.to_str().unwrap(), expected);
        assert!(cookie.is_sensitive());
        assert_eq!(
            clear(true).to_str().unwrap(),
            "aidlc_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn exactly_one_name_is_read() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("a=1; aidlc_session=plain"),
        );
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("__Host-aidlc_session=host"),
        );
        assert_eq!(read(&headers, true), Some("plain"));
        assert_eq!(read(&headers, false), Some("host"));
    }
}
