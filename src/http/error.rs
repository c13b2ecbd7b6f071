//! The one place that turns an error into an answer (RFC 9457) and logs it, once.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::Error;
use crate::http::request::language_of;
use crate::http::request_id::RequestId;
use crate::messages::Messages;
use crate::model::language::Language;
use crate::model::limit::seconds_up;

/// Why a request was not done (RFC 9457).
#[derive(Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem; the same as `code`, as a URI.
    #[serde(rename = "type")]
    #[schema(format = "uri", example = "urn:aidlc-auth:problem:code_refused")]
    kind: String,
    /// The kind of problem, for a person.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// Names the kind of problem, for a program. It never changes.
    #[schema(example = "code_refused")]
    code: &'static str,
    /// What happened and what to do next, in the caller's language.
    detail: String,
    /// What to tell the operator.
    request_id: String,
    /// Every field that was not right (`invalid_fields` only).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    errors: Option<Vec<FieldProblem>>,
    /// How many guesses are left (`code_wrong` only).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tries_left: Option<u8>,
    /// Seconds to wait, as in the `Retry-After` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after: Option<u64>,
}

/// A field that was not right.
#[derive(Serialize, ToSchema)]
pub struct FieldProblem {
    /// Its name in the body.
    field: &'static str,
    /// What was wrong, for a program.
    #[schema(example = "not_an_address")]
    code: &'static str,
    /// What to write instead, for a person.
    detail: String,
}

/// Leaves the words to [`render`], which knows the caller's language.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = status(&self).into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Middleware: writes the problem for whatever error a story, an extractor or the frame ended in.
pub async fn render(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // Kept as they came: most requests end in no error, and need neither.
    let wanted = request.headers().get(header::ACCEPT_LANGUAGE).cloned();
    let id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<Arc<Error>>() else {
        return response;
    };
    log(&app, &error);
    let language = language_of(wanted.as_ref());
    let id = id.map(|id| id.0.to_string()).unwrap_or_default();
    let problem = problem(&error, language, id);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(
        header::CONTENT_LANGUAGE,
        HeaderValue::from_static(language.as_str()),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    *response.body_mut() = body.into();
    response
}

pub(super) fn problem(error: &Error, language: Language, request_id: String) -> Problem {
    let words = Messages::of(language);
    let status = status(error);
    Problem {
        kind: format!("urn:aidlc-auth:problem:{}", error.code()),
        title: title(status, words),
        status: status.as_u16(),
        code: error.code(),
        detail: error.detail(words),
        request_id,
        errors: match error {
            Error::Invalid(fields) => Some(
                fields
                    .iter()
                    .map(|invalid| FieldProblem {
                        field: invalid.field,
                        code: invalid.why.code(),
                        detail: invalid.why.detail(words),
                    })
                    .collect(),
            ),
            _ => None,
        },
        tries_left: match error {
            Error::CodeWrong { tries_left } => Some(*tries_left),
            _ => None,
        },
        retry_after: error.wait().map(|wait| seconds_up(wait).max(1)),
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::NotJson | Error::CodeRefused | Error::CodeWrong { .. } => StatusCode::BAD_REQUEST,
        Error::CredentialsRefused | Error::SessionRequired => StatusCode::UNAUTHORIZED,
        Error::OriginRefused | Error::NotificationRefused => StatusCode::FORBIDDEN,
        Error::NotFound | Error::NoSuchSession => StatusCode::NOT_FOUND,
        Error::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Error::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Error::CodeGone => StatusCode::GONE,
        Error::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Error::NotDeclaredJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::TooManyGuesses { .. } | Error::TooManyRequests { .. } => {
            StatusCode::TOO_MANY_REQUESTS
        }
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Error::Busy | Error::Unavailable(_) | Error::KeyUnknown | Error::HandleKeyUnknown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

fn title(status: StatusCode, words: &'static Messages) -> &'static str {
    let words = &words.title;
    match status.as_u16() {
        400 => words.s400,
        401 => words.s401,
        403 => words.s403,
        404 => words.s404,
        405 => words.s405,
        408 => words.s408,
        410 => words.s410,
        413 => words.s413,
        415 => words.s415,
        422 => words.s422,
        429 => words.s429,
        503 => words.s503,
        _ => words.s500,
    }
}

fn log(app: &App, error: &Error) {
    match error {
        Error::Internal(context) => tracing::error!(context, "a request failed unforeseen"),
        Error::KeyUnknown => tracing::error!(
            "a record was made under a key that is not in SECRET_KEYS: add that key again until its records are over"
        ),
        Error::Unavailable(context) => {
            tracing::warn!(context, "a request was refused: a store is away")
        }
        Error::Busy => {
            tracing::warn!("a request was refused: the queue for password hashes is full")
        }
        Error::TooManyGuesses { .. }
        | Error::TooManyRequests { .. }
        | Error::NotificationRefused => {
            app.audit.count_refusal(error.code());
        }
        _ => tracing::debug!(code = error.code(), "a request was refused"),
    }
}
