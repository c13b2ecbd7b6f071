//! The API's description and the page that shows it, served from the binary: no CDN, no surprises.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

use crate::app::App;
use crate::http::error::{FieldProblem, Problem};

/// What the description says before its paths.
pub fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("aidlc-auth")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Sign up with an e-mail address, prove it with a 6-digit code, sign in with a mailed code, \
             and hold a session that other services check.\n\n\
             Errors are RFC 9457 problems: `code` is for programs and never changes, `detail` says in \
             the caller's language (`Accept-Language`: ko, en) what to do next.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
        "__Host-aidlc_session",
        "`aidlc_session` in development on http://localhost. Accepted only with `Origin` or `Sec-Fetch-Site` of ours.",
    )));
    let components = ComponentsBuilder::new()
        .schema_from::<Problem>()
        .schema_from::<FieldProblem>()
        .security_scheme("bearer", bearer)
        .security_scheme("cookie", cookie)
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .build()
}

/// `/openapi.json`
pub fn routes() -> Router<Arc<App>> {
    let description = crate::http::description().to_json().unwrap_or_default();
    let description: axum::body::Bytes = description.into();
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Router::new().route("/openapi.json", get(async move || (json, description)))
}
