//! What stories take from a request: who calls, what they sent, and whether they are signed in.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::app::App;
use crate::error::Error;
use crate::http::client_address::client_address;
use crate::http::cookie::{self, Renewal};
use crate::http::deadline::BodyRead;
use crate::http::form::{Context, Form, FromForm};
use crate::http::request_id::RequestId;
use crate::model::device::Device;
use crate::model::language::Language;
use crate::model::session::Session;
use crate::model::user::UserId;
use crate::secret::Token;
use crate::store::{End, Found};

/// The largest body that is read. Ours have a few hundred bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Who calls: for limits, letters, logs and audit alike.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Where from; see `TRUSTED_PROXIES`.
    pub client: IpAddr,
    /// What they read.
    pub language: Language,
    /// What they call with.
    pub device: Device,
    /// What their call is called.
    pub request_id: Arc<str>,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        // The accept loop always knows the peer; a request made by hand in a test may not.
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
        let forwarded = parts.headers.get_all("x-forwarded-for").iter();
        let agent = parts
            .headers
            .get(header::USER_AGENT)
            .and_then(|agent| agent.to_str().ok());
        let id = parts
            .extensions
            .get::<RequestId>()
            .map(|id| Arc::clone(&id.0));
        Ok(Self {
            client: client_address(peer, forwarded, &app.config.http.trusted_proxies),
            language: language_of(parts.headers.get(header::ACCEPT_LANGUAGE)),
            device: Device::from_user_agent(agent.unwrap_or_default()),
            request_id: id.unwrap_or_else(|| "none".into()),
        })
    }
}

/// The language that a caller reads, by their `Accept-Language`.
pub fn language_of(wanted: Option<&HeaderValue>) -> Language {
    let wanted = wanted.and_then(|value| value.to_str().ok());
    Language::from_accept_language(wanted.unwrap_or_default())
}

/// A body as it came, whatever it is declared as: read whole, and in time.
pub struct Raw(pub Bytes);

impl FromRequest<Arc<App>> for Raw {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        let read = request.extensions().get::<BodyRead>().cloned();
        let reading = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
        let body = tokio::time::timeout(app.config.http.body_timeout, reading)
            .await
            .map_err(|_| Error::TooSlow)?
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    Error::TooLarge
                } else {
                    Error::NotJson
                }
            })?
            .to_bytes();
        if let Some(read) = read {
            read.done();
        }
        Ok(Self(body))
    }
}

/// A JSON body: read whole, in time, and into its shape; or an answer with all that is wrong.
pub struct Json<T>(pub T);

impl<T: FromForm> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        if !is_json(request.headers()) {
            return Err(Error::NotDeclaredJson);
        }
        let Raw(body) = Raw::from_request(request, app).await?;
        let this_year = app.now().to_zoned(TimeZone::UTC).year();
        let context = Context {
            passwords: app.password_rules(),
            this_year,
        };
        Form::parse(&body, context).map(Json)
    }
}

/// An answer in JSON.
impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        // Nearly every answer of ours fits, and so does what the frame adds to its headers.
        let mut body = Vec::with_capacity(1024);
        if let Err(error) = serde_json::to_writer(&mut body, &self.0) {
            return Error::Internal(format!("an answer cannot be written: {error}"))
                .into_response();
        }
        let mut response = Response::new(Body::from(body));
        let headers = response.headers_mut();
        headers.reserve(12);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        response
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = declared
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The session token that a call came with, if any, believed by nobody yet.
#[derive(Debug, Clone)]
pub struct Presented {
    /// The token; `None` if there is none or it has not the shape of one.
    pub token: Option<Token>,
    /// Whether it came in the cookie.
    pub by_cookie: bool,
    /// Whether this call may use or set a cookie.
    pub origin_is_ours: bool,
}

impl FromRequestParts<Arc<App>> for Presented {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let origin_is_ours = cookie::origin_is_ours(&parts.headers, &app.config.http);
        // With an Authorization header the cookie is ignored, whatever that header says.
        let (token, by_cookie) = match parts.headers.get(header::AUTHORIZATION) {
            Some(value) => (value.to_str().ok().and_then(bearer), false),
            None => {
                let text = cookie::read(&parts.headers, app.config.plain_cookies());
                (text.and_then(Token::parse), text.is_some())
            }
        };
        Ok(Self {
            token,
            by_cookie,
            origin_is_ours,
        })
    }
}

fn bearer(value: &str) -> Option<Token> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Token::parse(token.trim()))
        .flatten()
}

impl Presented {
    /// The token, if this call may use it: a cookie's only from our own pages.
    pub fn usable(&self) -> Result<Option<&Token>, Error> {
        if self.by_cookie && !self.origin_is_ours {
            return Err(Error::OriginRefused);
        }
        Ok(self.token.as_ref())
    }
}

/// A caller with a live session. Holding one is the permission.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
}

impl SignedIn {
    /// Who.
    pub fn user_id(&self) -> UserId {
        self.session.user_id()
    }
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let Ok(presented) = Presented::from_request_parts(parts, app).await;
        let token = presented.usable()?.cloned().ok_or(Error::SessionRequired)?;
        let (now, digest) = (app.now(), token.digest());
        let session = match app
            .stores
            .sessions
            .find(token.user_id(), digest, now)
            .await?
        {
            Found::Live(session) => session,
            Found::Nothing => return Err(Error::SessionRequired),
            Found::Reused(session) => {
                // Somebody holds a copy of an old token; nobody can say who, so the session ends.
                app.stores
                    .sessions
                    .end(session.user_id(), End::One(session.id), now)
                    .await?;
                let Ok(caller) = Caller::from_request_parts(parts, app).await;
                app.audit(
                    &caller,
                    ("session", "reused"),
                    Some(session.user_id()),
                    None,
                    now,
                );
                return Err(Error::SessionRequired);
            }
        };
        if session.is_touch_due(now) {
            // Off the answer's path; if it is lost, the next use a minute later notes itself.
            let (sessions, user) = (Arc::clone(&app.stores.sessions), session.user_id());
            tokio::spawn(async move {
                if let Err(error) = sessions.touch(user, digest, now).await {
                    tracing::warn!(%error, "a session's use was not noted");
                }
            });
            if let (true, Some(renewal)) = (presented.by_cookie, parts.extensions.get::<Renewal>())
            {
                let end = app.rules.sessions.expires_at(session.signed_in_at, now);
                renewal.set(cookie::write(&token, end, now, app.config.plain_cookies()));
            }
        }
        Ok(Self { session })
    }
}
