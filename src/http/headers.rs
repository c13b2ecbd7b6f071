//! Headers that every answer carries for the browser's sake, and who may call from another origin.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method,
        header::{
            ACCEPT_LANGUAGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
            REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    response::Response,
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::request_id::X_REQUEST_ID;

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// Whether `PUBLIC_URL` is https, so that browsers may be told never to try http again.
#[derive(Debug, Clone, Copy)]
pub struct PublicIsHttps(pub bool);

/// Adds the security headers. A route may set its own `Content-Security-Policy` and `Referrer-Policy` (a page with
/// a form needs `same-origin`: under `no-referrer` browsers post forms with `Origin: null`).
///
/// For `axum::middleware::from_fn_with_state`, outside of [`cors`], so that preflight answers have them too.
pub async fn security_headers(
    State(PublicIsHttps(is_https)): State<PublicIsHttps>,
    request: Request,
    next: Next,
) -> Response {
    let is_api = is_api(request.uri().path());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, X_FRAME_OPTIONS, "DENY");
    // Keeps other sites from embedding our answers. CORS calls do not pass this check (Fetch standard, HTTP fetch:
    // opaque responses only), so the origins on the list are not shut out by it.
    set(headers, CROSS_ORIGIN_RESOURCE_POLICY, "same-origin");
    set_default(headers, REFERRER_POLICY, "no-referrer");
    set_default(
        headers,
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    );
    if is_https {
        // A year. Not for subdomains: they may be someone else's.
        set(headers, STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if is_api {
        set(headers, CACHE_CONTROL, "no-store");
    }
    response
}

/// Lets pages of these origins call with credentials; `None` when there are none, which is the default.
pub fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = origins.to_vec();
    let layer = CorsLayer::new()
        // Compared as a whole. (tower-http's own list would panic on `*`; here that matches no origin.)
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            origins.contains(origin)
        }))
        .allow_credentials(true)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([CONTENT_TYPE, AUTHORIZATION, ACCEPT_LANGUAGE])
        .expose_headers([X_REQUEST_ID, RETRY_AFTER])
        // Two hours, the longest that Chromium keeps a preflight.
        .max_age(Duration::from_secs(2 * 60 * 60));
    Some(layer)
}

fn is_api(path: &str) -> bool {
    path.strip_prefix("/api")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

fn set_default(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers
        .entry(name)
        .or_insert(HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use tower::ServiceExt;

    use super::*;

    const FRIEND: &str = "https://app.example.org";

    fn router(is_https: bool, origins: &[&'static str]) -> Router {
        let own = [
            (CONTENT_SECURITY_POLICY, "default-src 'self'"),
            (REFERRER_POLICY, "same-origin"),
        ];
        let origins: Vec<_> = origins
            .iter()
            .map(|origin| HeaderValue::from_static(origin))
            .collect();
        let router = Router::new()
            .route(
                "/api/auth/session",
                get(async || [(CACHE_CONTROL, "max-age=9")]),
            )
            .route("/apiary", get(async || ""))
            .route("/docs", get(async move || own));
        let router = match cors(&origins) {
            Some(cors) => router.layer(cors),
            None => router,
        };
        router.layer(from_fn_with_state(
            PublicIsHttps(is_https),
            security_headers,
        ))
    }

    async fn ask(router: Router, method: &str, path: &str, headers: &[(&str, &str)]) -> HeaderMap {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap().headers().clone()
    }

    #[track_caller]
    fn assert_secure(headers: &HeaderMap) {
        let expected = [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("cross-origin-resource-policy", "same-origin"),
        ];
        for (name, value) in expected {
            let lines: Vec<_> = headers.get_all(name).iter().collect();
            assert_eq!(lines, [value], "{name}");
        }
    }

    #[tokio::test]
    async fn every_answer_has_them_refusals_and_preflights_included() {
        let preflight = [
            ("origin", FRIEND),
            ("access-control-request-method", "POST"),
        ];
        assert_secure(&ask(router(false, &[]), "GET", "/api/auth/session", &[]).await);
        assert_secure(&ask(router(false, &[]), "GET", "/nowhere", &[]).await);
        assert_secure(&ask(router(false, &[]), "BREW", "/api/auth/session", &[]).await);
        assert_secure(
            &ask(
                router(false, &[FRIEND]),
                "OPTIONS",
                "/api/auth/session",
                &preflight,
            )
            .await,
        );
    }

    #[tokio::test]
    async fn a_route_may_set_its_own_policies() {
        let headers = ask(router(false, &[]), "GET", "/docs", &[]).await;
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'self'");
        assert_eq!(headers[REFERRER_POLICY], "same-origin");
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
    }

    #[tokio::test]
    async fn nothing_under_api_is_ever_stored() {
        for path in [
            "/api/auth/session",
            "/api/nowhere",
            "/api",
            "http://host/api/auth/session",
        ] {
            let headers = ask(router(false, &[]), "GET", path, &[]).await;
            assert_eq!(headers[CACHE_CONTROL], "no-store", "{path}");
        }
        let headers = ask(router(false, &[]), "GET", "/apiary", &[]).await;
        assert_eq!(headers.get(CACHE_CONTROL), None);
    }

    #[tokio::test]
    async fn strict_transport_only_where_there_is_https() {
        let headers = ask(router(false, &[]), "GET", "/docs", &[]).await;
        assert_eq!(headers.get(STRICT_TRANSPORT_SECURITY), None);
        let headers = ask(router(true, &[]), "GET", "/docs", &[]).await;
        assert_eq!(headers[STRICT_TRANSPORT_SECURITY], "max-age=31536000");
    }

    #[tokio::test]
    async fn no_origin_is_let_in_by_default_or_by_likeness() {
        let path = "/api/auth/session";
        let headers = ask(router(false, &[]), "GET", path, &[("origin", FRIEND)]).await;
        assert!(
            !headers
                .keys()
                .any(|name| name.as_str().starts_with("access-control-"))
        );

        for origin in [
            "null",
            "*",
            "http://app.example.org",
            "https://app.example.org:444",
            "https://app.example.org.evil.test",
            "https://xapp.example.org",
        ] {
            for origins in [[FRIEND], ["*"]] {
                if origins == [origin] {
                    continue;
                }
                let headers =
                    ask(router(false, &origins), "GET", path, &[("origin", origin)]).await;
                assert_eq!(headers.get("access-control-allow-origin"), None, "{origin}");
                assert!(varies_by_origin(&headers), "{origin}");
            }
        }
    }

    #[tokio::test]
    async fn an_origin_on_the_list_may_call_with_credentials() {
        let asked = [
            ("origin", FRIEND),
            ("access-control-request-method", "PATCH"),
            (
                "access-control-request-headers",
                "authorization,content-type",
            ),
        ];
        let headers = ask(
            router(false, &[FRIEND]),
            "OPTIONS",
            "/api/auth/session",
            &asked,
        )
        .await;
        assert_eq!(headers["access-control-allow-origin"], FRIEND);
        assert_eq!(headers["access-control-allow-credentials"], "true");
        assert_eq!(
            headers["access-control-allow-methods"],
            "GET,POST,PUT,PATCH,DELETE"
        );
        assert_eq!(
            headers["access-control-allow-headers"],
            "content-type,authorization,accept-language"
        );
        assert_eq!(headers["access-control-max-age"], "7200");
        assert!(varies_by_origin(&headers));

        let headers = ask(
            router(false, &[FRIEND]),
            "GET",
            "/api/auth/session",
            &asked[..1],
        )
        .await;
        assert_eq!(headers["access-control-allow-origin"], FRIEND);
        assert_eq!(
            headers["access-control-expose-headers"],
            "x-request-id,retry-after"
        );
        assert!(varies_by_origin(&headers));
    }

    fn varies_by_origin(headers: &HeaderMap) -> bool {
        headers.get_all("vary").iter().any(|line| {
            line.to_str()
                .unwrap()
                .to_ascii_lowercase()
                .contains("origin")
        })
    }
}
