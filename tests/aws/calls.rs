//! What a call does: it is signed, tried again where that may help, and comes to an end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aidlc_auth::aws::{Aws, Error};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::stand_in::{Instead, KEY, SecretsManager};
use super::world::{Lender, PATIENT, SECRET, TestClock, World, config, get_secret_value};

fn code(error: &Error) -> &str {
    match error {
        Error::Refused { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_is_signed() {
    let world = World::new().await;

    let answer = world.call().await.unwrap();

    assert_eq!(answer, json!({ "SecretString": SECRET }));
    world.manager.was_called_as_aws_is();
}

#[tokio::test]
async fn a_session_token_is_signed_along() {
    let lender = Lender::default();
    lender.lends("ASIAROLE", "role's key", Some("role's token"), None);
    let world = World::with(lender).await;

    world
        .manager
        .know("ASIAROLE", "role's key", Some("another token"));
    let refused = world.call().await.unwrap_err();
    assert_eq!(code(&refused), "UnrecognizedClientException");

    world
        .manager
        .know("ASIAROLE", "role's key", Some("role's token"));
    world.call().await.unwrap();
    world.manager.was_called_as_aws_is();
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_quoted_nowhere() {
    let lender = Lender::default();
    lender.lends(KEY.0, "wrong", Some("THETOKEN"), None);
    let world = World::with(lender).await;
    world.manager.know(KEY.0, KEY.1, Some("THETOKEN"));

    let refused = world.call().await.unwrap_err();

    assert_eq!(code(&refused), "InvalidSignatureException");
    assert!(!format!("{refused} {refused:?}").contains("THETOKEN"));
}

#[tokio::test]
async fn who_is_throttled_comes_back() {
    let world = World::new().await;
    let busy = Instead::Refuse(400, "ThrottlingException");
    world
        .manager
        .instead(&[busy.clone(), busy, Instead::Refuse(503, "Busy")]);

    world.call().await.unwrap();

    assert_eq!(world.manager.calls(), 4);
}

#[tokio::test]
async fn who_is_throttled_for_long_gives_up() {
    let world = World::new().await;
    world
        .manager
        .instead(&vec![Instead::Refuse(500, "InternalServiceError"); 9]);

    let refused = world.call().await.unwrap_err();

    assert_eq!(code(&refused), "InternalServiceError");
    assert_eq!(world.manager.calls(), 4);
}

#[tokio::test]
async fn what_aws_refuses_is_not_asked_again() {
    for code_said in ["AccessDeniedException", "ResourceNotFoundException"] {
        let world = World::new().await;
        world.manager.instead(&[Instead::Refuse(400, code_said)]);

        let refused = world.call().await.unwrap_err();

        assert_eq!(code(&refused), code_said);
        assert_eq!(world.manager.calls(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_made_again() {
    let world = World::new().await;
    world.manager.instead(&[Instead::Cut, Instead::Cut]);

    world.call().await.unwrap();

    assert_eq!(world.manager.calls(), 3);
}

#[tokio::test]
async fn a_call_that_is_never_answered_ends_in_time() {
    let world = World::new().await;
    world.manager.instead(&[Instead::Hang]);

    let began = Instant::now();
    let call = get_secret_value(Duration::from_millis(300));
    let error = world.aws.call(call).await.unwrap_err();

    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert!(matches!(&error, Error::Unreachable { .. }), "{error:?}");
    assert!(
        error.to_string().contains("no answer within 300ms"),
        "{error}"
    );
}

#[tokio::test]
async fn why_the_last_attempt_failed_is_told_when_time_is_over() {
    let world = World::new().await;
    world
        .manager
        .instead(&[Instead::Refuse(503, "Busy"), Instead::Hang]);

    let call = get_secret_value(Duration::from_secs(1));
    let error = world.aws.call(call).await.unwrap_err();

    assert_eq!(code(&error), "Busy");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let clock = Arc::new(TestClock::new());
    let aws = Aws::with(config(&url, &Lender::of(KEY)), None, clock).unwrap();

    let error = aws.call(get_secret_value(PATIENT)).await.unwrap_err();

    let text = error.to_string();
    assert!(
        text.starts_with(&format!("{url} cannot be reached")),
        "{text}"
    );
    assert!(text.contains("refused"), "{text}");
}

#[tokio::test]
async fn whoever_else_listens_there_is_not_believed() {
    let world = World::new().await;
    world
        .manager
        .instead(&[Instead::Say("<html>Welcome!</html>")]);

    let error = world.call().await.unwrap_err();

    assert!(matches!(error, Error::Strange { .. }), "{error:?}");
}

#[tokio::test]
async fn a_clock_that_is_off_signs_with_theirs() {
    let world = World::new().await;
    world.clock.advance(-20 * 60);

    world.call().await.unwrap();
    assert_eq!(world.manager.calls(), 2, "one to learn the time");
    world.call().await.unwrap();
    assert_eq!(world.manager.calls(), 3, "it was learned");

    // Somebody sets it right, and what was learned is wrong.
    world.clock.advance(20 * 60);
    world.call().await.unwrap();
    assert_eq!(world.manager.calls(), 5);
}

#[tokio::test]
async fn a_region_has_to_be_named_somewhere() {
    let clock = Arc::new(TestClock::new());
    let mut nowhere = config("http://127.0.0.1:9", &Lender::of(KEY)).into_builder();
    nowhere.set_region(None);
    let aws = Aws::with(nowhere.build(), None, clock).unwrap();

    let error = aws.call(get_secret_value(PATIENT)).await.unwrap_err();

    assert_eq!(error, Error::NoRegion);
}

#[tokio::test]
async fn over_tls_only_a_known_authority_is_believed() {
    let key = || KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, key()).unwrap();
    let own_key = key();
    let own = CertificateParams::new(vec!["localhost".into()]).unwrap();
    let own = own.signed_by(&own_key, &authority).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.pem");
    std::fs::write(&bundle, authority.pem()).unwrap();

    let clock = Arc::new(TestClock::new());
    let (_manager, app) = SecretsManager::build(clock.clone(), SECRET);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let tls = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], own_key.into())
        .unwrap();
    let port = serve_tls(app, tls).await;
    let config = || config(&format!("https://localhost:{port}"), &Lender::of(KEY));

    let trusting = Aws::with(config(), Some(&bundle), clock.clone()).unwrap();
    trusting.call(get_secret_value(PATIENT)).await.unwrap();

    let wary = Aws::with(config(), None, clock).unwrap();
    let error = wary.call(get_secret_value(PATIENT)).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

async fn serve_tls(app: Router, tls: ServerConfig) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (acceptor, app) = (acceptor.clone(), app.clone());
            tokio::spawn(async move {
                // Who does not believe us hangs up.
                let Ok(stream) = acceptor.accept(socket).await else {
                    return;
                };
                let service = TowerToHyperService::new(app);
                let server = Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn a_bundle_without_certificates_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.pem");
    let clock = || Arc::new(TestClock::new());
    let config = || config("http://127.0.0.1:9", &Lender::of(KEY));
    let wrong = |text: Option<&str>| {
        if let Some(text) = text {
            std::fs::write(&bundle, text).unwrap();
        }
        let refused = Aws::with(config(), Some(&bundle), clock());
        refused.err().expect("a bundle that cannot be used")
    };

    for (text, expected) in [
        (None, "cannot be read"),
        (Some(""), "no certificate in it"),
        (Some("-----BEGIN CERTIFICATE-----\n!\n"), "is no PEM"),
    ] {
        let why = wrong(text);
        assert!(
            why.starts_with("AWS_CA_BUNDLE=") && why.contains(expected),
            "{why}"
        );
    }
}
