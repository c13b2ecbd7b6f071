//! The HTTP client towards AWS: kept connections, bundled roots, no wait without an end.
//!
//! aws-config asks its credential endpoints through the same client, so that a scratch image, which
//! has no certificates of its own, needs none.

use std::path::Path;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector as AwsConnector, HttpConnectorFuture, HttpConnectorSettings,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::tls;

/// To reach a server. AWS is near: within a region it answers in milliseconds.
const CONNECT: Duration = Duration::from_secs(1);
/// From the first byte to the last, unless the caller is less patient.
const EXCHANGE: Duration = Duration::from_secs(5);
/// Load balancers of AWS close what idled longer.
const IDLE: Duration = Duration::from_secs(50);
/// A secret has at most 64 KiB, and JSON may write a byte as six.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request got no answer. `true` beside the reason: the time was over.
pub struct NoAnswer {
    /// What happened.
    pub why: String,
    is_late: bool,
}

/// Speaks HTTP and HTTPS.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Http {
    /// A client that trusts the public certificate authorities and those in the file.
    pub fn new(ca_bundle: Option<&Path>) -> Result<Self, String> {
        let tls = tls::trusting(ca_bundle).map_err(|why| {
            let path = ca_bundle.unwrap_or(Path::new("")).display();
            format!("AWS_CA_BUNDLE={path}: {why}. Name a PEM file with certificates, or unset it")
        })?;
        let mut sockets = HttpConnector::new();
        sockets.enforce_http(false);
        sockets.set_connect_timeout(Some(CONNECT));
        sockets.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(sockets);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self { client })
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
        let exchange = async {
            let answer = self.client.request(request.map(Full::new)).await;
            let (head, body) = answer.map_err(|error| broken(&error))?.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| broken(&*error))?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        match tokio::time::timeout(EXCHANGE, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(NoAnswer {
                why: format!("no answer within {} s", EXCHANGE.as_secs()),
                is_late: true,
            }),
        }
    }
}

/// The whole chain of an error: hyper's own words for most are "client error (Connect)".
fn broken(error: &(dyn std::error::Error + 'static)) -> NoAnswer {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        if words.last().is_none_or(|last| !last.ends_with(&said)) {
            words.push(said);
        }
        next = error.source();
    }
    NoAnswer {
        why: words.join(": "),
        is_late: false,
    }
}

impl HttpClient for Http {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl AwsConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = self.clone();
        HttpConnectorFuture::new(async move {
            let user = |error| ConnectorError::user(Box::new(error));
            let request = request.try_into_http1x().map_err(user)?;
            // Requests for credentials are small and never streamed.
            let request =
                request.map(|body| body.bytes().map_or_else(Bytes::new, Bytes::copy_from_slice));
            let answer = http.send(request).await.map_err(|failed| {
                let is_late = failed.is_late;
                match is_late {
                    true => ConnectorError::timeout(failed.why.into()),
                    false => ConnectorError::io(failed.why.into()),
                }
            })?;
            HttpResponse::try_from(answer.map(SdkBody::from)).map_err(user)
        })
    }
}
