//! What `DATABASE_URL` may say, and what is said of the rest.

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;

fn parse(text: &str) -> PostgresUrl {
    PostgresUrl::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn refused(text: &str) -> String {
    PostgresUrl::parse(text).unwrap_err()
}

fn tcp(host: &str, port: Option<u16>) -> Server {
    Server {
        host: Some(Host::Tcp(host.into())),
        port,
    }
}

#[test]
fn the_whole_of_it() {
    let url = parse(
        "postgresql://ada:p%40ss@db.example.org:6432/accounts?sslmode=verify-full&sslrootcert=/rds.pem\
         &sslcert=/c.pem&sslkey=/k.pem&application_name=auth%201&channel_binding=require",
    );
    assert_eq!(url.servers, [tcp("db.example.org", Some(6432))]);
    assert_eq!(url.user.as_deref(), Some("ada"));
    assert_eq!(url.password.as_ref().unwrap().expose_secret(), "p@ss");
    assert_eq!(url.dbname.as_deref(), Some("accounts"));
    assert_eq!(url.application_name, "auth 1");
    assert_eq!(url.channel_binding, ChannelBinding::Require);
    assert_eq!(url.sslmode, SslMode::VerifyFull);
    assert_eq!(url.roots, Roots::File("/rds.pem".into()));
    assert_eq!(url.client, Some(("/c.pem".into(), "/k.pem".into())));
    assert_eq!(
        url.to_string(),
        "postgres://ada@db.example.org:6432/accounts?sslmode=verify-full"
    );
}

#[test]
fn what_is_left_out_is_left_to_the_secret_or_the_default() {
    let url = parse("postgres:///?sslmode=verify-full&sslrootcert=/rds.pem");
    assert_eq!(
        url.servers,
        [Server {
            host: None,
            port: None
        }]
    );
    assert!(url.user.is_none() && url.password.is_none() && url.dbname.is_none());
    assert_eq!(parse("postgres://db").sslmode, SslMode::Prefer);
    assert_eq!(parse("postgres://db").servers, [tcp("db", None)]);
    assert_eq!(
        parse("postgres://:6432/a").servers,
        [Server {
            host: None,
            port: Some(6432)
        }]
    );
    assert_eq!(parse("postgres://ada@db/a?").user.as_deref(), Some("ada"));
}

#[test]
fn every_way_of_naming_a_server() {
    assert_eq!(
        parse("postgres://[2001:db8::1]:6432/a").servers,
        [tcp("2001:db8::1", Some(6432))]
    );
    assert_eq!(
        parse("postgres://[::1]").to_string(),
        "postgres://[::1]/?sslmode=prefer"
    );
    assert_eq!(
        parse("postgres://a@H1,h2:6432/a?target_session_attrs=read-write").servers,
        [tcp("h1", None), tcp("h2", Some(6432))]
    );
    let socket = Server {
        host: Some(Host::Socket("/var/run/postgresql".into())),
        port: None,
    };
    assert_eq!(
        parse("postgres://%2Fvar%2Frun%2Fpostgresql/a").servers,
        std::slice::from_ref(&socket)
    );
    assert_eq!(
        parse("postgres:///a?host=/var/run/postgresql").servers,
        [socket]
    );
    let url = parse("postgres:///?host=db&port=6432&user=ada&password=x&dbname=a");
    assert_eq!(url.to_string(), "postgres://ada@db:6432/a?sslmode=prefer");
}

#[test]
fn a_password_may_be_anything_once_encoded() {
    for password in ["@:/?#%", "한글 비밀번호", "a b&c=d+e", "'\"\\;--", "🔑"] {
        let encoded: String = password
            .bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect();
        let url = parse(&format!("postgres://ada:{encoded}@db/a"));
        assert_eq!(url.password.unwrap().expose_secret(), password);
    }
    // These two can mean nothing else.
    assert_eq!(
        parse("postgres://ada:s3:cr@et@db/a")
            .password
            .unwrap()
            .expose_secret(),
        "s3:cr@et"
    );
    assert_eq!(
        parse("postgres://ada:한글@db/a")
            .password
            .unwrap()
            .expose_secret(),
        "한글"
    );
    assert_eq!(
        parse("postgres://ada:a+b@db/a")
            .password
            .unwrap()
            .expose_secret(),
        "a+b"
    );
}

#[test]
fn one_that_was_not_encoded_is_named_as_the_fault_and_not_shown() {
    for text in [
        "postgres://ada:s3c/ret@db/a",
        "postgres://ada:s3c?ret@db/a",
        "postgres://ada:s3c#ret@db/a",
        "postgres://ada:s3c%ret@db/a",
        "postgres://ada:s3@c/ret@db/a",
        "postgres://ada:/s3cret@db/a",
        "postgres://ada:?s3cret=1@db",
        "postgres://ada:s3%zzcret@db/a",
    ] {
        let why = refused(text);
        assert!(why.contains("% as %25"), "{text}: {why}");
        for part in ["s3", "ret", "s3cret"] {
            assert!(!why.contains(part), "{text}: {why}");
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_the_remedy() {
    for (text, expected) in [
        ("mysql://db/a", "begin with postgres://"),
        ("postgres://db:0/a", "1 to 65535"),
        ("postgres://db:port/a", "1 to 65535"),
        ("postgres://d b/a", "not a host name"),
        ("postgres://[::1/a", "] after"),
        ("postgres://[db]/a", "IPv6"),
        ("postgres://[::1]a/a", "follow the ]"),
        ("postgres://ada:%00@db/a", "without NUL"),
        ("postgres://ada:%FF@db/a", "UTF-8"),
        ("postgres://db/a?sslmode=on", "verify-full"),
        ("postgres://db/a?sslmode", "name=value"),
        ("postgres://db/a?sslmode=verify-full", "global-bundle.pem"),
        ("postgres://db/a?sslmode=verify-ca", "sslrootcert=FILE"),
        (
            "postgres://db/a?sslmode=require&sslrootcert=system",
            "verify-full only",
        ),
        ("postgres://db/a?sslcert=/c.pem", "go together"),
        (
            "postgres://db/a?connect_timeout=3",
            "DATABASE_CONNECT_TIMEOUT_SECONDS",
        ),
        (
            "postgres://db/a?pgbouncer=true",
            "DATABASE_PREPARED_STATEMENTS=false",
        ),
        ("postgres://db/a?target_session_attrs=standby", "read-write"),
        ("postgres://db/a?colour=red", "parameter colour"),
        ("postgres://db/a?S3cret=red", "parameter (not shown)"),
    ] {
        let why = refused(text);
        assert!(why.contains(expected), "{text}: {why}");
    }
}

#[test]
fn a_replica_is_signed_in_to_like_the_primary() {
    let primary = parse("postgres://ada:s3cret@db/a?sslmode=require");
    let replica = parse("postgres://replica:6432?sslmode=disable").signing_in_as(&primary);
    assert_eq!(
        replica.to_string(),
        "postgres://ada@replica:6432/a?sslmode=disable"
    );
    assert_eq!(replica.password.unwrap().expose_secret(), "s3cret");
    let own = parse("postgres://reader@replica/b").signing_in_as(&primary);
    assert_eq!(
        own.to_string(),
        "postgres://reader@replica/b?sslmode=prefer"
    );
    assert!(own.password.is_none(), "another's password is not shown");
}

#[test]
fn tls_is_as_libpq_has_it_by_default() {
    assert_eq!(
        parse("postgres://db?sslrootcert=system").sslmode,
        SslMode::VerifyFull
    );
    assert_eq!(
        parse("postgres://db?sslrootcert=/ca.pem").sslmode,
        SslMode::Prefer
    );
    assert_eq!(parse("postgres://db?ssl=true").sslmode, SslMode::Require);
    for mode in SslMode::ALL {
        let name = mode.as_str();
        let url = parse(&format!("postgres://db?sslmode={name}&sslrootcert=/ca.pem"));
        assert_eq!(url.sslmode, mode);
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "postgres://.{0,60}") {
        let _ = PostgresUrl::parse(&text);
    }

    #[test]
    fn a_password_comes_back_whole_and_is_never_printed(password in "[ -~가-힣]{1,20}") {
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let url = parse(&format!("postgres://ada:{encoded}-s3cret@db/a"));
        let shown = format!("{url} {url:?}");
        prop_assert!(!shown.contains("s3cret"));
        prop_assert_eq!(url.password.unwrap().expose_secret().to_owned(), format!("{password}-s3cret"));
    }
}
