//! The route table, and the frame that every request passes through on its way to a story.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Error;
use crate::{auth, health, notifications, profile};
use deadline::BodyRead;
use headers::PublicIsHttps;
use request_id::Naming;

pub mod client_address;
pub mod cookie;
pub mod deadline;
pub mod describe;
pub mod docs;
pub mod error;
pub mod form;
pub mod headers;
pub mod request;
pub mod request_id;
pub mod serve;

/// THE ROUTE TABLE. Each line is a story, which also carries its description.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(docs::frame())
        .routes(routes!(auth::register::post))
        .routes(routes!(auth::verify_registration::post))
        .routes(routes!(auth::login::post))
        .routes(routes!(auth::verify_login::post))
        .routes(routes!(auth::resend::post))
        .routes(routes!(auth::session::get))
        .routes(routes!(auth::refresh_session::post))
        .routes(routes!(auth::logout::post))
        .routes(routes!(auth::sessions::get, auth::sessions::delete_others))
        .routes(routes!(auth::sessions::delete_one))
        .routes(routes!(profile::get, profile::put, profile::patch))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::all))
}

/// What only a service has that SES reports to.
fn reports() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(notifications::post))
}

/// The routes in their frame.
pub fn router(app: &Arc<App>) -> Router {
    let naming = Naming {
        trusted: app.config.http.trusted_proxies.clone().into(),
        clock: app.clock(),
    };
    let is_https = PublicIsHttps(app.config.http.public_url.is_https());
    let mut router: Router<Arc<App>> = routes().into();
    if app.notices.is_some() {
        router = router.merge(Router::from(reports()));
    }
    if app.config.http.docs_enabled {
        router = router.merge(docs::routes());
    }
    let origins = app.config.http.cors_origins.iter();
    let origins: Vec<_> = origins
        .filter_map(|origin| origin.as_str().parse().ok())
        .collect();
    // The first is the outermost. A request gets its name first; an error becomes an answer last.
    // One layer to the router, which would box each request and answer anew for every layer.
    let frame = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(
            naming,
            request_id::name_request,
        ))
        .layer(middleware::from_fn_with_state(
            is_https,
            headers::security_headers,
        ))
        .option_layer(headers::cors(&origins))
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            error::render,
        ))
        .layer(CatchPanicLayer::custom(|_| {
            // The hook in telemetry.rs has logged where it was; a payload may hold anything.
            Error::Internal("a story panicked".into()).into_response()
        }))
        .layer(middleware::from_fn_with_state(
            app.config.http.body_timeout,
            to_the_end,
        ));
    router
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(frame)
        .with_state(Arc::clone(app))
}

/// The description of all routes: what `/openapi.json` serves and `api/openapi.json` keeps.
pub fn description() -> utoipa::openapi::OpenApi {
    routes().merge(reports()).into_openapi()
}

/// Middleware: every story is answered in time, and one that changes something runs to its end even
/// when that answer says to come back, or the client goes away.
/// [`cookie::renew`] is called from here because a layer of its own would cost every call a few allocations.
async fn to_the_end(
    State(body_timeout): State<Duration>,
    mut request: Request,
    next: Next,
) -> Response {
    let left = deadline::of(&request, body_timeout);
    let body = BodyRead::default();
    let answered = if request.method().is_safe() {
        deadline::in_time(cookie::renew(request, next), &body, left).await
    } else {
        request.extensions_mut().insert(body.clone());
        let span = tracing::Span::current();
        let story = tracing::Instrument::instrument(cookie::renew(request, next), span);
        match deadline::in_time(tokio::spawn(story), &body, left).await {
            None => None,
            Some(Ok(response)) => Some(response),
            Some(Err(ended)) => match ended.try_into_panic() {
                Ok(payload) => std::panic::resume_unwind(payload),
                Err(_) => {
                    return Error::Unavailable("the service is stopping".into()).into_response();
                }
            },
        }
    };
    answered.unwrap_or_else(|| {
        Error::Unavailable("the stores take too long: the story went on unanswered".into())
            .into_response()
    })
}
