//! PostgreSQL servers that are not as the settings have them.

use std::fs;
use std::net::TcpListener;

use crate::patient::{CANARY, Patient};
use crate::servers::{Access, Authority, PASSWORD, Postgres, USER, Wanted};

/// The URL of a fresh database, with parameters.
async fn database(server: &Postgres, parameters: &str) -> String {
    format!("{}{parameters}", server.database().await)
}

/// A server with TLS under this name, and a file with the authority that is to be trusted.
fn with_tls(
    name: &str,
    access: Access,
    trusted: Option<&Authority>,
) -> (Postgres, Patient, String) {
    let authority = Authority::new();
    let server = Postgres::with(Wanted {
        access,
        certificate: Some(&authority.server(&[name])),
        ..Wanted::default()
    });
    let patient = Patient::new().with("REDIS_URL", "memory:");
    let file = patient.folder.path().join("ca.pem");
    fs::write(&file, trusted.unwrap_or(&authority).pem()).unwrap();
    let parameters = format!("?sslmode=verify-full&sslrootcert={}", file.display());
    (server, patient, parameters)
}

#[tokio::test(flavor = "multi_thread")]
async fn database_no_encryption() {
    // As RDS is with rds.force_ssl=1.
    let (server, patient, _) = with_tls("127.0.0.1", Access::TlsOnly, None);
    let plain = database(&server, "?sslmode=disable").await;
    let patient = patient.with("DATABASE_URL", plain);
    patient
        .fails("database_no_encryption", "no pg_hba.conf entry")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_unknown_issuer() {
    let foreign = Authority::new();
    let (server, patient, verified) = with_tls("127.0.0.1", Access::TlsOnly, Some(&foreign));
    let patient = patient.with("DATABASE_URL", database(&server, &verified).await);
    patient
        .fails("database_unknown_issuer", "invalid peer certificate")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_tls() {
    let (server, patient, verified) = with_tls("db.example.org", Access::TlsOnly, None);
    let patient = patient.with("DATABASE_URL", database(&server, &verified).await);
    patient.fails("database_tls", "not valid for name").await;

    let without = Postgres::start();
    let url = database(&without, "?sslmode=require").await;
    let patient = Patient::on_postgres(url);
    patient.fails("database_tls", "does not support TLS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_password() {
    let server = Postgres::start();
    let url = server.database().await;
    let stale = url.replace(&format!(":{PASSWORD}@"), &format!(":{CANARY}@"));
    let refusal = "password authentication failed";
    Patient::on_postgres(stale)
        .fails("database_password", refusal)
        .await;
    let none = url.replace(&format!(":{PASSWORD}@"), "@");
    Patient::on_postgres(none)
        .fails("database_password", "password missing")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_secret() {
    let server = Postgres::start();
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("postgres://127.0.0.1:{}/postgres", server.port());
    let arn = "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:test/db-a1b2c3";
    let patient = Patient::on_postgres(url)
        .with("DATABASE_SECRET_ARN", arn)
        .with("AWS_ENDPOINT_URL", format!("http://{nobody}"))
        .with("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .with("AWS_SECRET_ACCESS_KEY", CANARY);
    patient.fails("database_secret", "cannot be reached").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_unreachable() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let patient = Patient::on_postgres(format!("postgres://auth:{CANARY}@{nobody}/auth"));
    patient
        .fails("database_unreachable", "onnection refused")
        .await;
    let patient = Patient::on_postgres(format!("postgres://auth:{CANARY}@db.invalid/auth"));
    patient
        .fails("database_unreachable", "name was not found")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_refused() {
    let server = Postgres::start();
    let patient = Patient::on_postgres(server.url("nowhere"));
    patient.fails("database_refused", "3D000").await;
    // Of a release that left this one behind.
    let url = server.database().await;
    let patient = Patient::on_postgres(&url);
    patient.run(&["migrate"]).await.succeeded();
    let (_, name) = url.rsplit_once('/').unwrap();
    let newer = "UPDATE schema SET version = 1001, oldest_compatible = 1000";
    server
        .superuser(name)
        .await
        .batch_execute(newer)
        .await
        .unwrap();
    patient
        .fails("database_refused", "schema 1000 or later")
        .await;
}

/// A server that says of itself that it is older: what it answers by stands in a schema before its own.
#[tokio::test(flavor = "multi_thread")]
async fn database_version() {
    let server = Postgres::start();
    let url = server.database().await;
    let (_, name) = url.rsplit_once('/').unwrap();
    let older = format!(
        "CREATE SCHEMA older;
         GRANT USAGE ON SCHEMA older TO {USER};
         CREATE FUNCTION older.current_setting(name text) RETURNS text LANGUAGE sql AS $$
             SELECT CASE name WHEN 'server_version_num' THEN '130014' WHEN 'server_version' THEN '13.14'
                 ELSE pg_catalog.current_setting(name) END $$;
         ALTER ROLE {USER} SET search_path = public, older, pg_catalog"
    );
    let patient = Patient::on_postgres(&url);
    patient.run(&["migrate"]).await.succeeded();
    server
        .superuser(name)
        .await
        .batch_execute(&older)
        .await
        .unwrap();
    patient.fails("database_version", "PostgreSQL 13.14").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_missing() {
    let server = Postgres::start();
    let patient = Patient::on_postgres(server.database().await).with("MIGRATE_AT_START", "false");
    patient
        .fails("tables_missing", "schema 0, this release has")
        .await;
    let about_to = Patient::on_postgres(server.database().await);
    about_to
        .warns("tables_missing", "the next start migrates")
        .await;

    patient.run(&["migrate"]).await.succeeded();
    let diagnosis = patient.sees_the_doctor().await;
    diagnosis.says("tables_missing", "ok", "this release has");
    diagnosis.ended.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections() {
    let server = Postgres::with(Wanted {
        settings: &[("max_connections", "20")],
        ..Wanted::default()
    });
    let patient = Patient::on_postgres(server.database().await).with("DATABASE_POOL_SIZE", "15");
    patient.run(&["migrate"]).await.succeeded();
    let sum = "18 may be needed (DATABASE_POOL_SIZE 15 × INSTANCES 1 + 3), 17 are there";
    patient.fails("too_many_connections", sum).await;

    // And when they are all taken.
    let mut taken = Vec::new();
    let url = server.url("postgres");
    while let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await
    {
        tokio::spawn(connection);
        taken.push(client);
    }
    assert!(taken.len() > 10, "{}", taken.len());
    patient.fails("too_many_connections", "53300").await;
}
