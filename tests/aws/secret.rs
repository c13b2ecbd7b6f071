//! The database's credentials from a secret: read as seldom as is right, and anew when refused.

use aidlc_auth::aws::secret::FromSecret;
use aidlc_auth::store::postgres::credentials::{Credentials as _, Login};
use secrecy::ExposeSecret as _;
use std::sync::Arc;

use super::stand_in::{ARN, Instead};
use super::world::{Lender, PATIENT, World};

fn with_password(password: &str) -> String {
    format!(r#"{{"username": "svc", "password": "{password}"}}"#)
}

#[track_caller]
fn password(login: Result<Login, String>) -> String {
    login.unwrap().password.unwrap().expose_secret().to_owned()
}

#[tokio::test]
async fn a_pool_that_fills_up_reads_once() {
    let world = World::new().await;
    let secret = world.secret();

    let logins = [(); 5].map(|()| secret.login(false));
    let [a, b, c, d, e] = logins;
    let logins = tokio::join!(a, b, c, d, e);

    for login in [logins.0, logins.1, logins.2, logins.3, logins.4] {
        assert_eq!(password(login), "a@b:/?#%");
    }
    assert_eq!(world.manager.calls(), 1);
    world.manager.was_called_as_aws_is();
}

#[tokio::test]
async fn a_later_connect_reads_again() {
    let world = World::new().await;
    let secret = world.secret();
    secret.login(false).await.unwrap();
    world.manager.keep(&with_password("new"));

    world.clock.advance(2);
    assert_eq!(
        password(secret.login(false).await),
        "a@b:/?#%",
        "it is kept for a moment"
    );
    world.clock.advance(1);
    assert_eq!(password(secret.login(false).await), "new");
    assert_eq!(world.manager.calls(), 2);

    world.manager.keep(&with_password("newer"));
    world.clock.advance(-60);
    let set_back = secret.login(false).await;
    assert_eq!(
        password(set_back),
        "newer",
        "a clock set back keeps nothing for long"
    );
}

#[tokio::test]
async fn a_refused_password_is_read_anew_at_once() {
    let world = World::new().await;
    let secret = world.secret();
    secret.login(false).await.unwrap();
    world.manager.keep(&with_password("new"));

    assert_eq!(password(secret.login(true).await), "new");
    assert_eq!(world.manager.calls(), 2);

    // Every connect that was refused since has a reading of its own, unless one is under way.
    assert_eq!(password(secret.login(true).await), "new");
    assert_eq!(world.manager.calls(), 3);
}

#[tokio::test]
async fn many_refused_at_once_share_what_was_read_since() {
    let world = World::new().await;
    let secret = world.secret();
    secret.login(false).await.unwrap();
    world.manager.keep(&with_password("new"));

    let [a, b, c, d, e] = [(); 5].map(|()| secret.login(true));
    let logins = tokio::join!(a, b, c, d, e);

    for login in [logins.0, logins.1, logins.2, logins.3, logins.4] {
        assert_eq!(password(login), "new");
    }
    // One for the first to ask, and one for all who asked while that was under way.
    assert_eq!(world.manager.calls(), 3);
}

#[tokio::test]
async fn a_reading_that_began_before_a_refusal_does_not_answer_it() {
    let world = World::new().await;
    let secret = Arc::new(world.secret());
    // The first reading is held back until the second has been asked for.
    world
        .manager
        .instead(&[Instead::Cut, Instead::Cut, Instead::Cut]);
    let first = tokio::spawn({
        let secret = Arc::clone(&secret);
        async move { secret.login(false).await }
    });
    world.manager.called(1).await;

    world.manager.keep(&with_password("new"));
    let again = secret.login(true).await;

    assert_eq!(password(again), "new");
    first.await.unwrap().unwrap();
    assert_eq!(
        world.manager.calls(),
        5,
        "four attempts of the first, one of its own"
    );
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let world = World::new().await;
    let secret = world.secret();
    world
        .manager
        .instead(&[Instead::Refuse(400, "AccessDeniedException")]);

    secret.login(false).await.err().expect("a refusal");
    secret.login(false).await.unwrap();
}

#[tokio::test]
async fn every_failure_tells_the_secret_and_the_remedy() {
    for (code, remedy) in [
        ("AccessDeniedException", "secretsmanager:GetSecretValue"),
        ("AccessDeniedException", "kms:Decrypt"),
        ("DecryptionFailure", "kms:Decrypt"),
        ("ResourceNotFoundException", "Check the ARN"),
        ("InvalidRequestException", "restore-secret"),
        ("UnrecognizedClientException", "check the task role"),
        ("SomethingNewException", "look for this code"),
    ] {
        let world = World::new().await;
        world
            .manager
            .instead(&[Instead::Refuse(400, code), Instead::Refuse(400, code)]);

        let why = world.secret().login(false).await.err().unwrap();

        assert!(
            why.starts_with(&format!("DATABASE_SECRET_ARN={ARN}: ")),
            "{why}"
        );
        assert!(why.contains(code) && why.contains(remedy), "{why}");
    }
}

#[tokio::test]
async fn no_credentials_and_no_way_are_told_with_their_remedies() {
    let nobody = World::with(Lender::default()).await;
    let why = nobody.secret().login(false).await.err().unwrap();
    assert!(
        why.contains("no AWS credentials") && why.contains("taskRoleArn"),
        "{why}"
    );

    let world = World::new().await;
    world.manager.instead(&vec![Instead::Cut; 4]);
    let why = world.secret().login(false).await.err().unwrap();
    assert!(why.contains("VPC endpoint"), "{why}");
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_said_by_aws() {
    let world = World::new().await;
    let other = ARN.replace("test/db", "other/db");

    let secret = FromSecret::new(Arc::clone(&world.aws), other, PATIENT);
    let why = secret.login(false).await.err().unwrap();

    assert!(why.contains("ResourceNotFoundException"), "{why}");
}

#[tokio::test]
async fn a_secret_that_was_written_wrong_is_told_without_it() {
    let world = World::new().await;
    world
        .manager
        .keep(r#"{"user": "svc", "password": "THEPASS"}"#);

    let why = world.secret().login(false).await.err().unwrap();

    assert!(
        why.contains("no `username`") && !why.contains("THEPASS"),
        "{why}"
    );
}
