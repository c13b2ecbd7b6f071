//! Every `sslmode` against every kind of server: encrypted as stated, or refused with the remedy.

use std::path::Path;

use aidlc_auth::store::Store as _;
use aidlc_auth::store::postgres::Postgres as Store;
use tempfile::TempDir;

use crate::servers::{Access, Authority, Certificate, PASSWORD, Postgres, USER, Wanted};
use crate::world::{settings, store, unavailable};

/// What becomes of an attempt.
#[derive(Clone, Copy)]
enum Expected {
    Plain,
    Encrypted,
    /// With these words, in English and in Korean.
    Refused([&'static str; 2]),
}
use Expected::{Encrypted, Plain, Refused};

const NO_TLS: Expected = Refused(["server has no TLS", "서버에 TLS가 없는데"]);
const NO_ENCRYPTION: Expected = Refused(["lets this user in with TLS only", "TLS로만 받는데"]);
const NO_RULE: Expected = Refused(["Add one: hostssl", "hostssl DATABASE USER ADDRESS/32"]);
const WRONG_NAME: Expected = Refused(["subjectAltName (its common name", "다른 이름으로 발급"]);
const FOREIGN: Expected = Refused([
    "does not lead to the authority",
    "인증 기관에서 나온 것이 아닙니다",
]);
const NO_CERTIFICATE: Expected = Refused(["name sslcert and sslkey", "클라이언트 인증서를 요구"]);

/// A server, and a folder of files that URLs name.
struct World {
    server: Postgres,
    files: TempDir,
}

impl World {
    /// The root that URLs can name is `authority`, whoever signed the server's certificate.
    fn new(authority: &Authority, access: Access, certificate: Option<&Certificate>) -> Self {
        Self::with(
            authority,
            Wanted {
                access,
                certificate,
                ..Wanted::default()
            },
        )
    }

    fn with(authority: &Authority, wanted: Wanted<'_>) -> Self {
        let world = Self {
            server: Postgres::with(wanted),
            files: tempfile::tempdir().unwrap(),
        };
        world.write("ca.pem", &authority.pem());
        world
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.files.path().join(name)
    }

    fn url(&self, parameters: &str) -> String {
        let file = |name: &str| Path::display(&self.file(name)).to_string();
        let parameters = parameters
            .replace("CA", &file("ca.pem"))
            .replace("CERT", &file("client.pem"))
            .replace("KEY", &file("client.key"));
        format!(
            "postgres://{USER}:{PASSWORD}@127.0.0.1:{}/postgres?{parameters}",
            self.server.port()
        )
    }

    async fn expect(&self, server: &str, parameters: &str, expected: Expected) {
        // The name by which the server lists the connection.
        let name = format!("{server} {parameters}");
        let encoded = name.replace([' ', '=', '&'], "-").replace("ssl", "");
        let url = format!("{}&application_name={encoded}", self.url(parameters));
        let store = store(&url, &settings());
        let outcome = store.check().await;
        let expected_tls = match expected {
            Plain => false,
            Encrypted => true,
            Refused(words) => {
                let why = unavailable(outcome);
                assert!(!why.contains("password="), "{name}: {why}");
                for word in words {
                    assert!(why.contains(word), "{name}: {why}");
                }
                return;
            }
        };
        if let Err(why) = outcome {
            panic!("{name}: {why}");
        }
        let superuser = self.server.superuser("postgres").await;
        let query = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = $1";
        let rows = superuser.query(query, &[&encoded]).await.unwrap();
        assert_eq!(rows.len(), 1, "{name}");
        assert_eq!(rows[0].get::<_, bool>(0), expected_tls, "{name}");
    }
}

const DISABLE: &str = "sslmode=disable";
const ALLOW: &str = "sslmode=allow";
const PREFER: &str = "sslmode=prefer";
const REQUIRE: &str = "sslmode=require";
const VERIFY_CA: &str = "sslmode=verify-ca&sslrootcert=CA";
const VERIFY_FULL: &str = "sslmode=verify-full&sslrootcert=CA";
const ALLOW_ROOT: &str = "sslmode=allow&sslrootcert=CA";
const PREFER_ROOT: &str = "sslmode=prefer&sslrootcert=CA";
const REQUIRE_ROOT: &str = "sslmode=require&sslrootcert=CA";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls() {
    let world = World::new(&Authority::new(), Access::Password, None);
    for (parameters, expected) in [
        ("", Plain),
        (DISABLE, Plain),
        (ALLOW, Plain),
        (PREFER, Plain),
        (PREFER_ROOT, Plain),
        (REQUIRE, NO_TLS),
        (REQUIRE_ROOT, NO_TLS),
        (VERIFY_CA, NO_TLS),
        (VERIFY_FULL, NO_TLS),
    ] {
        world.expect("off", parameters, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_tls() {
    let authority = Authority::new();
    let certificate = authority.server(&["localhost", "127.0.0.1"]);
    let world = World::new(&authority, Access::Password, Some(&certificate));
    for (parameters, expected) in [
        ("", Encrypted),
        (DISABLE, Plain),
        (ALLOW, Plain),
        (PREFER, Encrypted),
        (PREFER_ROOT, Encrypted),
        (REQUIRE, Encrypted),
        (REQUIRE_ROOT, Encrypted),
        (VERIFY_CA, Encrypted),
        (VERIFY_FULL, Encrypted),
        ("sslrootcert=system", FOREIGN),
        ("sslmode=require&channel_binding=require", Encrypted),
    ] {
        world.expect("on", parameters, expected).await;
    }
    let bound = world.url("sslmode=disable&channel_binding=require");
    let why = unavailable(store(&bound, &settings()).check().await);
    assert!(why.contains("channel binding"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_insists_on_tls() {
    let authority = Authority::new();
    let certificate = authority.server(&["127.0.0.1"]);
    let world = World::new(&authority, Access::TlsOnly, Some(&certificate));
    for (parameters, expected) in [
        ("", Encrypted),
        (DISABLE, NO_ENCRYPTION),
        (ALLOW, Encrypted),
        (PREFER, Encrypted),
        (REQUIRE, Encrypted),
        (REQUIRE_ROOT, Encrypted),
        (VERIFY_CA, Encrypted),
        (VERIFY_FULL, Encrypted),
    ] {
        world.expect("hostssl", parameters, expected).await;
    }
    let why = unavailable(store(&world.url(DISABLE), &settings()).check().await);
    let searched_for = "no pg_hba.conf entry for host \"127.0.0.1\", user \"auth\", database \"postgres\", no encryption";
    assert!(why.contains(searched_for), "{why}");
    for remedy in ["sslmode=require", "rds.force_ssl"] {
        assert_eq!(why.matches(remedy).count(), 2, "in both languages: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_tls() {
    let authority = Authority::new();
    let certificate = authority.server(&["127.0.0.1"]);
    let world = World::new(&authority, Access::PlainOnly, Some(&certificate));
    for (parameters, expected) in [
        (DISABLE, Plain),
        (ALLOW, Plain),
        (PREFER, Plain),
        (REQUIRE, NO_RULE),
        (VERIFY_FULL, NO_RULE),
    ] {
        world.expect("hostnossl", parameters, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name() {
    let authority = Authority::new();
    let certificate = authority.server(&["db.example.org"]);
    let world = World::new(&authority, Access::Password, Some(&certificate));
    for (parameters, expected) in [
        (DISABLE, Plain),
        (ALLOW, Plain),
        (PREFER, Encrypted),
        (PREFER_ROOT, Encrypted),
        (REQUIRE, Encrypted),
        (REQUIRE_ROOT, Encrypted),
        (VERIFY_CA, Encrypted),
        (VERIFY_FULL, WRONG_NAME),
    ] {
        world.expect("wrong-name", parameters, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_by_a_foreign_authority() {
    let ours = Authority::new();
    let certificate = Authority::new().server(&["127.0.0.1"]);
    let world = World::new(&ours, Access::Password, Some(&certificate));
    for (parameters, expected) in [
        (DISABLE, Plain),
        (ALLOW, Plain),
        (ALLOW_ROOT, Plain),
        (PREFER, Encrypted),
        // libpq verifies wherever it was given a root, and then prefers nothing to a stranger.
        (PREFER_ROOT, Plain),
        (REQUIRE, Encrypted),
        (REQUIRE_ROOT, FOREIGN),
        (VERIFY_CA, FOREIGN),
        (VERIFY_FULL, FOREIGN),
    ] {
        world.expect("foreign", parameters, expected).await;
    }
    let strict = World::new(&ours, Access::TlsOnly, Some(&certificate));
    for (parameters, expected) in [
        (ALLOW_ROOT, FOREIGN),
        (PREFER_ROOT, FOREIGN),
        (ALLOW, Encrypted),
        (PREFER, Encrypted),
    ] {
        strict.expect("foreign-hostssl", parameters, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_is_as_good() {
    let authority = Authority::new();
    let certificate = authority.server(&["127.0.0.1"]);
    let wanted = Wanted {
        certificate: Some(&certificate),
        settings: &[("ssl_max_protocol_version", "TLSv1.2")],
        ..Wanted::default()
    };
    let world = World::with(&authority, wanted);
    for parameters in [
        PREFER,
        REQUIRE,
        VERIFY_FULL,
        "sslmode=require&channel_binding=require",
    ] {
        world.expect("tls-1.2", parameters, Encrypted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_signed_itself_can_be_trusted_by_name() {
    // As `openssl req -x509` makes it: an authority, by the letter.
    let authority = Authority::new();
    let itself = authority.itself(&["127.0.0.1"]);
    let world = World::new(&authority, Access::TlsOnly, Some(&itself));
    world.write("ca.pem", &itself.chain);
    for (parameters, expected) in [
        (REQUIRE, Encrypted),
        (VERIFY_CA, Encrypted),
        (VERIFY_FULL, Encrypted),
    ] {
        world.expect("self-signed", parameters, expected).await;
    }
    // Another that signed itself is still a stranger.
    world.write("ca.pem", &authority.itself(&["127.0.0.1"]).chain);
    world.expect("self-signed", VERIFY_CA, FOREIGN).await;
    let other = authority.itself(&["db.example.org"]);
    let world = World::new(&authority, Access::TlsOnly, Some(&other));
    world.write("ca.pem", &other.chain);
    world.expect("self-signed", VERIFY_FULL, WRONG_NAME).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_sign_in_by_certificate() {
    let authority = Authority::new();
    let certificate = authority.server(&["127.0.0.1"]);
    let by = authority.pem();
    let wanted = Wanted {
        access: Access::Certificate,
        certificate: Some(&certificate),
        clients_by: Some(&by),
        ..Wanted::default()
    };
    let world = World::with(&authority, wanted);
    let client = |it: Certificate| {
        world.write("client.pem", &it.chain);
        world.write("client.key", &it.key);
    };
    client(authority.client(USER));
    let with = "sslmode=verify-full&sslrootcert=CA&sslcert=CERT&sslkey=KEY";
    world.expect("certificate", with, Encrypted).await;
    world
        .expect("certificate", VERIFY_FULL, NO_CERTIFICATE)
        .await;
    // By someone whom the server does not know.
    client(Authority::new().client(USER));
    world.expect("certificate", with, NO_CERTIFICATE).await;
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let world = tempfile::tempdir().unwrap();
    let path = |name: &str| world.path().join(name).display().to_string();
    std::fs::write(path("empty.pem"), "").unwrap();
    std::fs::write(path("junk.pem"), "-----BEGIN CERTIFICATE-----\n!\n").unwrap();
    let authority = Authority::new();
    std::fs::write(path("cert.pem"), authority.client(USER).chain).unwrap();
    std::fs::write(path("other.key"), authority.client(USER).key).unwrap();
    for (parameters, expected) in [
        ("sslrootcert=DIR/none.pem", "none.pem cannot be read"),
        (
            "sslrootcert=DIR/empty.pem",
            "no `-----BEGIN CERTIFICATE-----`",
        ),
        ("sslrootcert=DIR/junk.pem", "junk.pem cannot be read"),
        ("sslcert=DIR/cert.pem&sslkey=DIR/none.key", "sslkey: "),
        (
            "sslcert=DIR/cert.pem&sslkey=DIR/cert.pem",
            "without a pass phrase",
        ),
        (
            "sslcert=DIR/cert.pem&sslkey=DIR/other.key",
            "do not fit together",
        ),
    ] {
        let url = format!(
            "postgres://a:s3cret@db/a?{}",
            parameters.replace("DIR", &path(""))
        );
        let credentials = aidlc_auth::store::postgres::credentials::FromUrl;
        let why = Store::new(&url.into(), &settings(), std::sync::Arc::new(credentials))
            .err()
            .unwrap();
        assert!(why.starts_with("DATABASE_URL: "), "{why}");
        assert!(why.contains(expected), "{parameters}: {why}");
        assert!(!why.contains("s3cret"), "{why}");
    }
}
