//! Every request has an id: in its log lines, in its answer, and in what it tells people when it fails.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;
use tokio::time::Instant;
use tracing::Instrument;

use super::client_address::is_trusted;
use crate::{clock::Clock, entropy};

/// The header that carries the id, in both directions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id, as an extension of the request. Letters, digits and hyphens only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

/// What naming a request takes: whose ids to keep, and the time for fresh ones.
#[derive(Clone)]
pub struct Naming {
    /// Proxies whose `X-Request-Id` is kept (`TRUSTED_PROXIES`).
    pub trusted: Arc<[IpNet]>,
    /// Fresh ids sort by the time they were given.
    pub clock: Arc<dyn Clock>,
}

/// Names the request, follows it in the logs, and sends its name back.
///
/// For `axum::middleware::from_fn_with_state`, as an outer layer of the router, so that every answer has an id.
pub async fn name_request(
    State(naming): State<Naming>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = given_id(&request, &naming.trusted).unwrap_or_else(|| {
        entropy::row_id(naming.clock.now())
            .simple()
            .to_string()
            .into()
    });
    // At the highest level, so that a filter for warnings does not take the id from them.
    // Only the route's pattern is shown: raw paths and queries carry what people paste into them.
    let span = tracing::error_span!(
        "request",
        id = &*id,
        method = %request.method(),
        path = request
            .extensions()
            .get::<MatchedPath>()
            .map_or("(none)", MatchedPath::as_str),
    );
    let echo = HeaderValue::from_str(&id).expect("letters, digits and hyphens fit in a header");
    request.extensions_mut().insert(RequestId(id));

    let began = Instant::now();
    let answering = async {
        let response = next.run(request).await;
        tracing::debug!(
            status = response.status().as_u16(),
            duration_ms = began.elapsed().as_secs_f64() * 1000.0,
            "request answered",
        );
        response
    };
    let mut response = answering.instrument(span).await;
    response.headers_mut().insert(X_REQUEST_ID, echo);
    response
}

/// The id that a trusted proxy gave: exactly one, of `[A-Za-z0-9-]{1,64}`, so that it is safe in any log.
fn given_id(request: &Request, trusted: &[IpNet]) -> Option<Arc<str>> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    let mut lines = request.headers().get_all(X_REQUEST_ID).iter();
    let (Some(id), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let id = id.to_str().ok()?;
    let is_clean = (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_clean && is_trusted(peer.ip(), trusted)).then(|| id.into())
}

#[cfg(test)]
mod tests {
    use axum::{Extension, Router, body::Body, middleware::from_fn_with_state, routing::get};
    use http_body_util::BodyExt;
    use jiff::Timestamp;
    use tower::ServiceExt;

    use super::*;

    struct StoppedClock;

    impl Clock for StoppedClock {
        fn now(&self) -> Timestamp {
            "2026-01-02T03:04:05Z".parse().unwrap()
        }
    }

    /// A router whose handler answers with the id it sees.
    fn router() -> Router {
        let naming = Naming {
            trusted: ["10.0.0.0/8".parse().unwrap()].into(),
            clock: Arc::new(StoppedClock),
        };
        Router::new()
            .route(
                "/users/{id}",
                get(async |Extension(RequestId(id)): Extension<RequestId>| id.to_string()),
            )
            .layer(from_fn_with_state(naming, name_request))
    }

    /// The id in the answer's header, after checking that the handler saw the same.
    async fn id_for(peer: &str, lines: &[&[u8]]) -> String {
        let peer: SocketAddr = peer.parse().unwrap();
        let mut request = Request::get("/users/7?token=raw-query")
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        for line in lines {
            request
                .headers_mut()
                .append(X_REQUEST_ID, HeaderValue::from_bytes(line).unwrap());
        }
        let response = router().oneshot(request).await.unwrap();
        let ids: Vec<_> = response
            .headers()
            .get_all(X_REQUEST_ID)
            .iter()
            .cloned()
            .collect();
        assert_eq!(ids.len(), 1);
        let seen = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(seen, ids[0].as_bytes());
        ids[0].to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn assert_fresh(id: &str) {
        let uuid = uuid::Uuid::parse_str(id).unwrap();
        assert_eq!((id.len(), uuid.get_version_num()), (32, 7), "{id}");
    }

    #[tokio::test]
    async fn a_stranger_cannot_choose_its_id() {
        let first = id_for("203.0.113.9:1", &[b"chosen"]).await;
        let second = id_for("203.0.113.9:1", &[b"chosen"]).await;
        assert_fresh(&first);
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn an_unclean_id_is_replaced_even_from_a_trusted_proxy() {
        let too_long = [b'a'; 65];
        let unclean: [&[u8]; 6] = [b"", b"a b", b"a\tb", b"id=1", "한".as_bytes(), &too_long];
        for id in unclean {
            assert_fresh(&id_for("10.0.0.1:1", &[id]).await);
        }
        assert_fresh(&id_for("10.0.0.1:1", &[b"one", b"two"]).await);
    }

    #[tokio::test]
    async fn a_trusted_proxy_names_its_requests() {
        assert_eq!(
            id_for("10.0.0.1:1", &[b"Root-1-67891233"]).await,
            "Root-1-67891233"
        );
        assert_eq!(
            id_for("[::ffff:10.0.0.1]:1", &[&[b'a'; 64]]).await,
            "a".repeat(64)
        );
        assert_fresh(&id_for("10.0.0.1:1", &[]).await);
    }

    #[tokio::test]
    async fn an_answer_without_a_route_or_a_peer_has_an_id_too() {
        let request = Request::get("/nowhere")
            .header("x-request-id", "x")
            .body(Body::empty())
            .unwrap();
        let response = router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 404);
        assert_fresh(response.headers()[X_REQUEST_ID].to_str().unwrap());
    }
}
