//! Signing up and in. Each file below is one URL's whole story; here is what several of them end in.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::entropy;
use crate::error::{Error, Invalid, Why};
use crate::http::cookie;
use crate::http::form::{self, Context, Form, FromForm};
use crate::http::request::{Caller, Json, Presented};
use crate::messages::Messages;
use crate::model::challenge::{Admits, Ask, ChallengeId, Guess, Purpose, Seed};
use crate::model::email_address::EmailAddress;
use crate::model::limit::{seconds_up, until};
use crate::model::outbox::{Letter, LetterKind};
use crate::model::session::{Method, Session, SessionId};
use crate::model::user::{Registration, User};
use crate::secret::{Handle, NoHandle, Token, TypedCode};
use crate::store::{NewSession, Open, Opened, Redeemed};
use crate::view;

pub mod login;
pub mod logout;
pub mod refresh_session;
pub mod register;
pub mod resend;
pub mod session;
pub mod sessions;
pub mod verify_login;
pub mod verify_registration;

/// A code was asked for. Whether one went out, only the mailbox tells.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "message": "If this address can receive a code, it is on its way. Check your mailbox.",
    "email": "test@example.com",
    "challenge_id": "dev.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v",
    "expires_in": 900, "resend_after": 60,
}))]
pub struct CodeSent {
    /// For a person.
    message: &'static str,
    /// The address that was typed, in its normal form.
    #[schema(format = "email", example = "test@example.com")]
    email: String,
    /// Send it back with the code: the answers then say more, and nobody else's form can be mixed in.
    #[schema(example = "dev.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v")]
    challenge_id: String,
    /// Seconds until the code stops working.
    #[schema(example = 900)]
    expires_in: u64,
    /// Seconds until another mail can be asked for.
    #[schema(example = 60)]
    resend_after: u64,
}

/// What a story asks to be mailed.
pub(crate) struct CodeRequest<'a> {
    pub email: &'a EmailAddress,
    pub purpose: Purpose,
    pub kind: LetterKind,
    /// Whether it goes out. Everything else is done either way.
    pub deliver: bool,
    /// The spelling to mail to, and the language, of the account if there is one.
    pub account: Option<&'a User>,
    pub registration: Option<Registration>,
    /// Whether strangers are refused before others, were the service at its ceiling.
    pub yields: bool,
    pub right_password_at: Option<Timestamp>,
    /// Which handle the answer carries.
    pub vouching: Vouching,
    /// What the audit trail calls it, once it is done.
    pub event: (&'static str, &'static str),
}

/// Which handle an answer carries.
pub(crate) enum Vouching {
    /// This request itself brought the form (registration) or the right password (login), or not.
    Fresh(bool),
    /// It came with the handle of an earlier request, and proves no more than that one did.
    Earlier(Option<Handle>),
}

/// Makes or renews the challenge, has its letter sent, and says so.
pub(crate) async fn send_code(
    app: &App,
    caller: &Caller,
    request: CodeRequest<'_>,
    now: Timestamp,
) -> Result<CodeSent, Error> {
    let (email, purpose) = (request.email, request.purpose);
    let spoken = request
        .registration
        .as_ref()
        .and_then(|form| form.profile.language);
    let of_account = request.account.and_then(|user| user.profile.language);
    let letter = Letter {
        id: entropy::row_id(now),
        kind: request.kind,
        deliver: request.deliver,
        to: request
            .account
            .map_or(email, |user| &user.email)
            .spelling()
            .to_owned(),
        language: of_account.or(spoken).unwrap_or(caller.language),
        device: caller.device,
        requested_at: now,
    };
    let open = Open {
        address: email.clone(),
        purpose,
        ask: Ask {
            id: ChallengeId(entropy::random()),
            secret: app
                .keys
                .secret(Seed(entropy::random()), purpose, email.normal()),
            registration: request.registration,
        },
        letter,
        client: caller.client,
        yields: request.yields,
        right_password_at: request.right_password_at,
    };
    match app.stores.challenges.open(open, now).await? {
        Opened::TooSoon { wait } => Err(Error::TooManyRequests { wait }),
        Opened::Sent {
            id,
            expires_at,
            resend_after,
            letter,
        } => {
            app.audit(caller, request.event, None, Some(email), now);
            let handle = request.vouching.handle(id, letter.version, purpose);
            app.send(*letter);
            Ok(CodeSent {
                message: Messages::of(caller.language).answer.code_sent,
                email: email.normal().to_owned(),
                challenge_id: app
                    .keys
                    .seal(handle, purpose, email.normal(), entropy::random()),
                expires_in: seconds_up(until(now, expires_at)),
                resend_after: seconds_up(resend_after),
            })
        }
    }
}

impl Vouching {
    fn handle(self, challenge: ChallengeId, version: u32, purpose: Purpose) -> Handle {
        match (self, purpose) {
            (Vouching::Fresh(vouched), _) => Handle {
                challenge,
                version,
                vouched,
            },
            // Another form may have replaced theirs meanwhile. A handle of that record would let
            // them open an account with a stranger's password; theirs says that it is gone.
            (Vouching::Earlier(Some(earlier)), Purpose::Registration) => earlier,
            (Vouching::Earlier(earlier), _) => {
                let vouched = earlier.is_some_and(|it| it.vouches_for(challenge, version));
                Handle {
                    challenge,
                    version,
                    vouched: vouched && purpose != Purpose::Registration,
                }
            }
        }
    }
}

/// A code that came back, in its shape.
#[derive(ToSchema)]
#[schema(example = json!({"email": "test@example.com", "verification_code": "123456"}))]
pub struct Verification {
    /// The address that the code was mailed to.
    #[schema(value_type = String, format = "email", max_length = 254, example = "test@example.com")]
    pub(crate) email: EmailAddress,
    /// The 6 digits, or the 28 letters, from the mail.
    #[schema(value_type = String, example = "123456")]
    pub(crate) verification_code: TypedCode,
    /// From the answer to the request for the code.
    #[schema(required = false, max_length = 128)]
    pub(crate) challenge_id: Option<String>,
    /// How the session is handed over; `token` if missing.
    #[schema(inline, required = false)]
    pub(crate) session_transport: Option<Transport>,
}

/// How a session is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Transport {
    /// In the body, for programs.
    Token,
    /// In a cookie, for pages; never in the body.
    Cookie,
}

impl FromForm for Verification {
    fn read(form: &mut Form, _: Context) -> Option<Self> {
        let email = form.required("email", form::email);
        let verification_code = form.required("verification_code", form::code);
        let challenge_id = form.optional("challenge_id", form::challenge_id);
        let session_transport = form.optional("session_transport", transport);
        Some(Self {
            email: email?,
            verification_code: verification_code?,
            challenge_id: challenge_id?,
            session_transport: session_transport?,
        })
    }
}

fn transport(value: &Value) -> Result<Transport, Why> {
    match value.as_str() {
        Some("token") => Ok(Transport::Token),
        Some("cookie") => Ok(Transport::Cookie),
        Some(_) => Err(Why::OneOf("token, cookie")),
        None => Err(Why::NotText),
    }
}

impl Verification {
    /// What its `challenge_id` says. A foreign one names no challenge that could be met.
    pub(crate) fn handle(&self, app: &App, purpose: Purpose) -> Result<Option<Handle>, Error> {
        self.challenge_id.as_deref().map_or(Ok(None), |text| {
            open_handle(app, text, purpose, &self.email).map(Some)
        })
    }

    /// The guess, for the store's step.
    pub(crate) fn guess(
        &self,
        app: &App,
        caller: &Caller,
        purpose: Purpose,
        handle: Option<Handle>,
        admits: Admits,
    ) -> Guess {
        Guess {
            challenge: handle.map(|handle| handle.challenge),
            checks: app
                .keys
                .checks(&self.verification_code, purpose, self.email.normal()),
            is_long: self.verification_code.is_long,
            admits,
            yields: false,
            client: caller.client,
        }
    }

    /// Reports a wrong code, and says why it was refused: without a `challenge_id` nothing is said of the challenge.
    pub(crate) fn refused(
        &self,
        app: &App,
        caller: &Caller,
        event: &'static str,
        redeemed: &Redeemed,
        now: Timestamp,
    ) -> Error {
        if let Redeemed::Wrong { .. } = redeemed {
            app.audit(
                caller,
                (event, "code_refused"),
                None,
                Some(&self.email),
                now,
            );
        }
        match (redeemed, &self.challenge_id) {
            (Redeemed::TooMany { wait }, _) => Error::TooManyGuesses { wait: *wait },
            (Redeemed::Full { wait }, _) => Error::TooManyRequests { wait: *wait },
            (Redeemed::KeyUnknown, _) => Error::KeyUnknown,
            (_, None) => Error::CodeRefused,
            (Redeemed::Wrong { tries_left }, _) => Error::CodeWrong {
                tries_left: *tries_left,
            },
            _ => Error::CodeGone,
        }
    }
}

/// Opens a `challenge_id`. One that belongs elsewhere names a challenge that nobody has.
pub(crate) fn open_handle(
    app: &App,
    text: &str,
    purpose: Purpose,
    email: &EmailAddress,
) -> Result<Handle, Error> {
    match app.keys.open(text, purpose, email.normal()) {
        Ok(handle) => Ok(handle),
        Err(NoHandle::Foreign) => Ok(Handle {
            challenge: ChallengeId(entropy::random()),
            version: 0,
            vouched: false,
        }),
        Err(NoHandle::KeyUnknown) => Err(Error::HandleKeyUnknown),
        Err(NoHandle::Malformed) => Err(Error::Invalid(vec![Invalid {
            field: "challenge_id",
            why: Why::NotAChallenge,
        }])),
    }
}

/// A session began.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "user": {
        "id": "usr_0198c5a07d9c7f3e8a5b2d4c6e8f0a1b", "email": "test@example.com", "full_name": "Test User",
        "language": null, "gender": null, "birth_year": null, "password_set": true,
        "created_at": "2026-11-22T09:00:00Z", "updated_at": "2026-11-22T09:00:00Z",
    },
    "session_token": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA.AZjFoH2cfz6KWy1MboPwKg",
    "token_type": "Bearer", "expires_at": "2026-11-23T09:00:00Z",
}))]
pub struct SessionStarted {
    /// Whose.
    user: view::User,
    /// The token, unless the session went into a cookie. Send it as `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        nullable = false,
        example = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA.AZjFoH2cfz6KWy1MboP…"
    )]
    session_token: Option<String>,
    /// `Bearer`, with the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Bearer")]
    token_type: Option<&'static str>,
    /// When the session ends, unless it is used before.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Starts a session of a user and hands it over. `None`: the account was deactivated, or its password
/// reset, since its row was read.
pub(crate) async fn start_session(
    app: &App,
    caller: &Caller,
    presented: &Presented,
    user: &User,
    methods: Vec<Method>,
    (status, transport): (StatusCode, Transport),
    now: Timestamp,
) -> Result<Option<Response>, Error> {
    let token = Token::from_parts(&entropy::random(), user.id);
    let session = Session {
        id: SessionId(entropy::random()),
        user: user.into(),
        methods,
        signed_in_at: now,
        used_at: now,
        expires_at: app.rules.sessions.expires_at(now, now),
        device: caller.device,
        client: caller.client,
    };
    // The session that this device came with ends: it is the same person at the same place.
    let before = presented
        .usable()
        .ok()
        .flatten()
        .filter(|token| token.user_id() == user.id);
    let new = NewSession {
        digest: token.digest(),
        session: session.clone(),
        generation: user.generation,
        replaces: before.map(Token::digest),
    };
    if !app.stores.sessions.create(new, now).await? {
        return Ok(None);
    }
    app.audit(
        caller,
        ("sign_in", "accepted"),
        Some(user.id),
        Some(&user.email),
        now,
    );
    let cookie = (transport == Transport::Cookie)
        .then(|| cookie::write(&token, session.expires_at, now, app.config.plain_cookies()));
    let in_body = cookie.is_none();
    let body = SessionStarted {
        user: user.into(),
        session_token: in_body.then(|| token.reveal().to_owned()),
        token_type: in_body.then_some("Bearer"),
        expires_at: session.expires_at,
    };
    let answer = (status, Json(body)).into_response();
    Ok(Some(with_cookie(answer, cookie)))
}

/// The answer, with a cookie if there is one to set.
pub(crate) fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// A cookie may be handed over only to our own pages.
pub(crate) fn check_transport(
    transport: Option<Transport>,
    presented: &Presented,
) -> Result<Transport, Error> {
    match transport.unwrap_or(Transport::Token) {
        Transport::Cookie if !presented.origin_is_ours => Err(Error::OriginRefused),
        transport => Ok(transport),
    }
}
