//! What an operator may write, and what happens when it is wrong.

use std::collections::BTreeSet;

use super::*;

const KEY: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What production needs at least.
const PRODUCTION: [(&str, &str); 7] = [
    ("ENVIRONMENT", "production"),
    ("PUBLIC_URL", "https://auth.example.org"),
    ("DATABASE_URL", "sqlite:///var/lib/auth.db"),
    ("SECRET_KEYS", KEY),
    ("MAIL_TRANSPORT", "smtp"),
    ("SMTP_URL", "smtps://ada:pw@mail.example.org"),
    ("MAIL_FROM", "Example <no-reply@example.org>"),
];

fn load(env: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
    Config::load(owned(env), None)
}

fn load_file(env: &[(&str, &str)], file: &str) -> Result<Config, Vec<Problem>> {
    Config::load(owned(env), Some((Path::new("auth.toml"), file)))
}

fn owned(env: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    env.iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
}

/// The base with some variables changed; an empty value is an unset one.
fn with<'a>(
    base: &[(&'a str, &'a str)],
    changed: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    base.iter().chain(changed).copied().collect()
}

/// The lines that the operator sees, sorted by their key.
fn refusals(loaded: Result<Config, Vec<Problem>>) -> Vec<String> {
    let mut lines: Vec<_> = loaded
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    lines.sort();
    lines
}

/// The only refusal there is.
#[track_caller]
fn refusal(loaded: Result<Config, Vec<Problem>>) -> String {
    let lines = refusals(loaded);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.into_iter().next().unwrap()
}

#[test]
fn every_setting_is_described_and_every_described_one_is_read() {
    let config = load(&[]).unwrap();
    let read: BTreeSet<_> = config
        .settings()
        .iter()
        .map(|setting| setting.key)
        .collect();
    let known = file::known_keys();
    let described: BTreeSet<_> = known.iter().copied().collect();
    assert_eq!(described.len(), known.len(), "a setting is described twice");
    assert_eq!(described, read);

    let lines: Vec<_> = file::DEFAULTS.lines().collect();
    for key in known {
        let is_key = |line: &&str| {
            line.trim_start_matches('#')
                .starts_with(&format!("{key} = "))
        };
        let at = lines.iter().position(is_key).unwrap();
        assert!(
            lines[at - 1].starts_with("# ") && lines[at - 1].ends_with('.'),
            "{key} has no sentence"
        );
    }
}

#[test]
fn the_examples_of_settings_without_a_default_are_right() {
    let uncommented: String = file::DEFAULTS
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let uncommented = uncommented.replace("k1:<base64>", KEY);
    let config = load_file(&[("ENVIRONMENT", "production")], &uncommented).unwrap();
    assert!(
        config
            .settings()
            .iter()
            .all(|setting| setting.shown.is_some())
    );
}

#[test]
fn development_needs_nothing() {
    let config = load(&[]).unwrap();
    assert_eq!(config.environment, Environment::Development);
    assert_eq!(
        (config.http.host.as_str(), config.http.port),
        ("0.0.0.0", 8001)
    );
    assert_eq!(config.http.public_url.as_str(), "http://localhost:8001");
    assert_eq!(config.http.idle_timeout, Duration::from_secs(75));
    assert_eq!(config.http.drain_delay, Duration::ZERO);
    assert!(config.http.trusted_proxies.is_empty() && config.http.cors_origins.is_empty());
    assert!(config.plain_cookies());
    let file = PathBuf::from("data/aidlc-auth.db");
    assert!(matches!(&config.stores.database_url, DatabaseUrl::Sqlite(path) if *path == file));
    assert!(matches!(&config.stores.redis_url, RedisUrl::Sqlite(path) if *path == file));
    assert_eq!(config.stores.retention_days, 365);
    assert_eq!(config.stores.audit_retention_days, 365);
    assert!(config.secret_keys.is_empty());
    assert_eq!(config.mail.transport, MailTransport::Simulation);
    assert_eq!(config.mail.from, "aidlc-auth <no-reply@localhost>");
    assert_eq!(config.codes.ttl, Duration::from_secs(900));
    assert_eq!(config.sessions.ttl, Duration::from_secs(86_400));
    assert_eq!(config.sessions.lifetime, Duration::from_secs(30 * 86_400));
    assert_eq!(
        (
            config.limits.guesses_per_code,
            config.limits.guesses_per_day
        ),
        (5, 20)
    );
    assert_eq!(
        (
            config.limits.mailbox_sends_per_hour,
            config.limits.mailbox_sends_per_day
        ),
        (20, 60)
    );
    assert!(config.passwords.threads() >= 1);
    assert_eq!(config.logs.format, LogFormat::Text);
}

#[test]
fn port_0_is_any_free_one() {
    let config = load(&[("PORT", "0")]).unwrap();
    assert_eq!(config.http.port, 0);
    assert_eq!(config.http.public_url.as_str(), "http://localhost");
}

#[test]
fn production_starts_with_what_it_needs() {
    let config = load(&PRODUCTION).unwrap();
    assert_eq!(config.http.drain_delay, Duration::from_secs(5));
    assert_eq!(config.secret_keys[0].id, "k1");
    assert_eq!(config.mail.transport, MailTransport::Smtp);
    assert!(!config.plain_cookies());
    assert!(matches!(config.stores.redis_url, RedisUrl::Sqlite(_)));
}

#[test]
fn the_environment_wins_over_the_file_over_the_default() {
    let file = "port = 9000\nmax_sessions = 0x07\ncors_origins = [\"https://a.example\", \"https://b.example\"]\ndocs_enabled = false";
    let config = load_file(&[("PORT", "9001"), ("port", "9002")], file).unwrap();
    assert_eq!(config.http.port, 9001);
    assert_eq!(config.sessions.max, 7);
    assert_eq!(config.http.cors_origins.len(), 2);
    assert!(!config.http.docs_enabled);
    assert_eq!(config.http.public_url.as_str(), "http://localhost:9001");
    let config = load_file(&[("PORT", ""), ("MAX_SESSIONS", "  ")], file).unwrap();
    assert_eq!(
        (config.http.port, config.sessions.max),
        (9000, 7),
        "empty is unset"
    );
    let config = load_file(&[], "port = ''").unwrap();
    assert_eq!(config.http.port, 8001);
}

#[test]
fn all_errors_come_at_once_each_with_key_source_and_remedy() {
    let file = "max_sessions = 0\nprot = 8080\ncode_ttl_seconds = 1.5";
    let lines = refusals(load_file(&[("PORT", "80a"), ("LOG_FORMAT", "xml")], file));
    assert_eq!(
        lines,
        [
            "LOG_FORMAT (environment): \"xml\" is not one of its values. Use one of: text, json.",
            "PORT (environment): \"80a\" is not a whole number in range. Give a whole number from 0 to 65535.",
            "code_ttl_seconds (auth.toml:3): is a number with a fraction, where text, a whole number, true or false belongs. Settings are flat: write `name = value`, without sections.",
            "max_sessions (auth.toml:1): \"0\" is not a whole number in range. Give a whole number from 1 to 100.",
            "prot (auth.toml:2): is no setting of this service. Perhaps `port` was meant.",
        ]
    );
}

#[test]
fn a_broken_file_is_reported_by_line_and_not_quoted() {
    for file in [
        "port = 8001\nsmtp_url = smtp://ada:hunter2@mail",
        "port = 8001\nsmtp_url = \"smtp://ada:hunter2@mail",
        "port = 8001\nhunter2",
        "port = 8001\nsmtp_url = 'smtp://a' hunter2",
        "port = 8001\nsmtp_url = \"\\qhunter2\"",
    ] {
        let lines = refusals(load_file(&[], file));
        assert!(
            lines.iter().any(|line| line.contains("auth.toml:2)")),
            "{lines:#?}"
        );
        let shown = format!("{lines:?}");
        assert!(
            !shown.contains("hunter2") || file.ends_with("\nhunter2"),
            "{shown}"
        );
    }
    let line = refusal(load_file(&[], "port = 1\nport = 2"));
    assert!(
        line.contains("auth.toml:2") && line.contains("duplicate key"),
        "{line}"
    );
    let line = refusal(load_file(&[], "[http]\nport = 1"));
    assert!(
        line.starts_with("http (auth.toml:1): is a section"),
        "{line}"
    );
}

#[test]
fn an_unknown_key_is_refused_and_its_neighbour_named() {
    for (typed, meant) in [
        ("databse_url", Some("`database_url`")),
        ("PORT", Some("`port`")),
        ("trusted-proxies", Some("`trusted_proxies`")),
        ("session_ttl", None),
        ("favourite_colour", None),
    ] {
        let line = refusal(load_file(&[], &format!("{typed} = 'hunter2'")));
        assert!(
            line.starts_with(typed) && !line.contains("hunter2"),
            "{line}"
        );
        match meant {
            Some(key) => assert!(line.contains(key), "{line}"),
            None => assert!(line.contains("Remove the line"), "{line}"),
        }
    }
}

#[test]
fn an_unknown_environment_refuses_to_start() {
    for name in ["prod", "Production", "test", "dev"] {
        let line = refusal(load(&[("ENVIRONMENT", name)]));
        assert!(line.contains("development, staging, production"), "{line}");
    }
}

#[test]
fn staging_and_production_must_name_what_development_assumes() {
    for environment in ["staging", "production"] {
        let lines = refusals(load(&[("ENVIRONMENT", environment)]));
        let keys: Vec<_> = lines
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(
            keys,
            [
                "DATABASE_URL",
                "MAIL_FROM",
                "MAIL_TRANSPORT",
                "PUBLIC_URL",
                "SECRET_KEYS"
            ],
            "{lines:#?}"
        );
    }
    let staging = with(
        &PRODUCTION,
        &[
            ("ENVIRONMENT", "staging"),
            ("MAIL_TRANSPORT", "simulation"),
            ("PUBLIC_URL", "http://alb.example.org"),
        ],
    );
    assert!(load(&staging).is_ok());
}

#[test]
fn production_refuses_what_only_a_rehearsal_may_do() {
    for (name, value, why) in [
        ("MAIL_TRANSPORT", "simulation", "writes codes to the log"),
        ("PUBLIC_URL", "http://auth.example.org", "is not https"),
        ("LIMITS_ENABLED", "false", "only development"),
        ("DATABASE_URL", "", "must be named"),
        (
            "SECRET_KEYS",
            "",
            "is not set, and outside development it must be named",
        ),
        (
            "SECRET_KEYS",
            ",",
            "has no key in it, and outside development it must be named",
        ),
        ("SECRET_KEYS", " , ,", "has no key in it"),
        ("SMTP_URL", "", "MAIL_TRANSPORT is smtp"),
    ] {
        // An empty variable is an unset one, so it is left out of the base.
        let base: Vec<_> = PRODUCTION
            .into_iter()
            .filter(|(known, _)| *known != name)
            .collect();
        let line = refusal(load(&with(&base, &[(name, value)])));
        assert!(line.starts_with(name) && line.contains(why), "{line}");
    }
}

#[test]
fn each_wrong_value_is_refused_by_name() {
    for (name, value) in [
        ("HOST", "0.0.0.0:8001"),
        ("HOST", "a b"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "+"),
        ("PUBLIC_URL", "https://example.org/auth"),
        ("PUBLIC_URL", "example.org"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TRUSTED_PROXIES", "alb"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "::/0"),
        ("TRUSTED_PROXIES", "::ffff:10.0.0.0/104"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://*.example.org"),
        ("CORS_ORIGINS", "null"),
        ("MAX_CONNECTIONS", "0"),
        ("HEADER_TIMEOUT_SECONDS", "0"),
        ("BODY_TIMEOUT_SECONDS", "601"),
        ("IDLE_TIMEOUT_SECONDS", "1h"),
        ("DRAIN_DELAY_SECONDS", "301"),
        ("DRAIN_TIMEOUT_SECONDS", "-1"),
        ("DOCS_ENABLED", "yes"),
        ("DATABASE_URL", "mysql://h/db"),
        ("DATABASE_URL", "sqlite:a.db"),
        ("REDIS_URL", "memcached://h"),
        ("SECRET_KEYS", "hunter2"),
        ("MAIL_TRANSPORT", "sendmail"),
        ("SMTP_URL", "mail.example.org"),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "Ada <a@b"),
        ("MAIL_FROM", "a@b\r\nBcc: c@d"),
        ("MAIL_FROM", "a@b@c"),
        ("CODE_TTL_SECONDS", "3601"),
        ("SESSION_TTL_SECONDS", "0"),
        ("SESSION_LIFETIME_SECONDS", "3600"),
        ("MAX_SESSIONS", "101"),
        ("LIMITS_ENABLED", "0"),
        ("GUESSES_PER_CODE", "11"),
        ("GUESSES_PER_DAY", "101"),
        ("PASSWORD_TRIES_PER_DAY", "0"),
        ("RESEND_AFTER_SECONDS", "3601"),
        ("SENDS_PER_HOUR", "0"),
        ("MAILBOX_SENDS_PER_HOUR", "0"),
        ("MAILBOX_SENDS_PER_DAY", "1001"),
        ("CLIENT_CODE_REQUESTS", "0"),
        ("CLIENT_GUESSES", "0"),
        ("CLIENT_WINDOW_SECONDS", "0"),
        ("SERVICE_CODE_REQUESTS", "0"),
        ("SERVICE_GUESSES", "1e3"),
        ("RETENTION_DAYS", "0"),
        ("PASSWORD_HASH_THREADS", "1025"),
        ("PASSWORD_QUEUE", "0"),
        ("LOG_FORMAT", "JSON"),
        ("LOG_LEVEL", "inof"),
        ("LOG_LEVEL", "info,verbose"),
        ("LOG_LEVEL", "aidlc_auth=loud"),
        ("LOG_LEVEL", "[{"),
    ] {
        let line = refusal(load(&[(name, value)]));
        assert!(
            line.starts_with(&format!("{name} (environment): ")),
            "{value}: {line}"
        );
    }
}

#[test]
fn lists_are_read_item_by_item() {
    let config = load(&[
        (
            "TRUSTED_PROXIES",
            "10.0.12.203/16, 192.0.2.1,,2001:db8::/56",
        ),
        ("LOG_LEVEL", "warn,aidlc_auth::store=debug"),
    ])
    .unwrap();
    let nets: Vec<_> = config
        .http
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(nets, ["10.0.0.0/16", "192.0.2.1/32", "2001:db8::/56"]);
    let lines = refusals(load(&[("CORS_ORIGINS", "https://a.example, *, ftp://b")]));
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].contains("item 2 has a wildcard") && lines[1].contains("item 3"),
        "{lines:#?}"
    );
}

#[test]
fn postgresql_without_redis_says_why_not() {
    let line = refusal(load(&[
        ("DATABASE_URL", "postgres://ada:hunter2@db/auth"),
        ("SECRET_KEYS", KEY),
    ]));
    assert!(line.starts_with("REDIS_URL (default): is not set, and PostgreSQL alone"));
    assert!(!line.contains("hunter2"));
}

#[test]
fn servers_and_the_embedded_store_go_together_when_named() {
    for env in [
        [
            ("DATABASE_URL", "postgres://db/auth"),
            ("REDIS_URL", "redis://cache"),
        ],
        [
            ("DATABASE_URL", "postgresql://db/auth"),
            ("REDIS_URL", "sqlite://a.db"),
        ],
        [
            ("DATABASE_URL", "sqlite://a.db"),
            ("REDIS_URL", "rediss://cache"),
        ],
        [
            ("DATABASE_URL", "memory:"),
            ("REDIS_URL", "redis-cluster://a,b"),
        ],
    ] {
        let config = load(&with(&env, &[("SECRET_KEYS", KEY)])).unwrap();
        assert!(!config.stores.are_embedded(), "{env:?}");
    }
    let line = refusal(load(&[
        ("DATABASE_URL", "postgres://db/auth"),
        ("REDIS_URL", "redis://cache"),
    ]));
    assert!(
        line.starts_with("SECRET_KEYS (default): is not set, and only the embedded store"),
        "{line}"
    );
}

#[test]
fn only_shared_stores_serve_several_copies() {
    let shared = [
        ("DATABASE_URL", "postgres://db/auth"),
        ("REDIS_URL", "redis://cache"),
        ("SECRET_KEYS", KEY),
        ("INSTANCES", "4"),
    ];
    assert_eq!(load(&shared).unwrap().stores.database.instances, 4);
    for (name, embedded) in [
        ("DATABASE_URL", "sqlite://a.db"),
        ("REDIS_URL", "sqlite://a.db"),
    ] {
        let line = refusal(load(&with(&shared, &[(name, embedded)])));
        assert!(line.starts_with("INSTANCES (environment): is more than one"));
    }
}

#[test]
fn a_secret_stands_for_the_database_unless_another_is_named() {
    const ARN: &str = "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:db-AbCdEf";
    let given = [
        ("DATABASE_SECRET_ARN", ARN),
        ("REDIS_URL", "redis://cache"),
        ("SECRET_KEYS", KEY),
    ];
    let stores = load(&given).unwrap().stores;
    assert!(matches!(stores.database_url, DatabaseUrl::Postgres(_)));
    // For an emergency, with the rest of the settings as they were.
    let memory = [("DATABASE_URL", "memory:"), ("REDIS_URL", "memory:")];
    assert!(load(&with(&given, &memory)).unwrap().stores.are_embedded());
    let line = refusal(load(&with(&given, &[("DATABASE_SECRET_ARN", "db")])));
    assert!(line.contains("is not the ARN of a secret"), "{line}");
    // Elsewhere the URL is named: it says how the connection is encrypted.
    let mut given = with(&PRODUCTION, &given);
    given.retain(|(name, _)| *name != "DATABASE_URL");
    assert!(refusal(load(&given)).starts_with("DATABASE_URL (default): is not set"));
}

#[test]
fn a_key_prefix_cannot_move_keys_in_a_cluster() {
    for prefix in ["{a}", "a b", "a\u{1b}", &"a".repeat(65)] {
        let line = refusal(load(&[("REDIS_KEY_PREFIX", prefix)]));
        assert!(line.contains("cannot begin a key"), "{prefix:?}: {line}");
    }
}

#[test]
fn the_embedded_store_is_one_place() {
    for (users, others) in [
        ("sqlite://a.db", "sqlite://b.db"),
        ("memory:", "sqlite://a.db"),
        ("sqlite://a.db", "memory:"),
        ("", "memory:"),
    ] {
        let line = refusal(load(&[("DATABASE_URL", users), ("REDIS_URL", others)]));
        assert!(
            line.starts_with("REDIS_URL (environment): names another place"),
            "{line}"
        );
    }
    for (users, others) in [
        ("sqlite://a.db", "sqlite://./a.db"),
        ("memory:", "memory:"),
        ("memory:", ""),
    ] {
        assert!(
            load(&[("DATABASE_URL", users), ("REDIS_URL", others)]).is_ok(),
            "{users} {others}"
        );
    }
}

#[test]
fn key_ids_are_unique() {
    for key in [KEY, &KEY[3..]] {
        let line = refusal(load(&[("SECRET_KEYS", &format!("{key},{key}"))]));
        assert!(line.contains("uses an id twice"), "{line}");
    }
    let config = load(&[(
        "SECRET_KEYS",
        &format!("{}, {KEY}", KEY.replace("k1", "k2")),
    )])
    .unwrap();
    let ids: Vec<_> = config
        .secret_keys
        .iter()
        .map(|key| key.id.as_str())
        .collect();
    assert_eq!(ids, ["k2", "k1"]);
}

#[test]
fn no_secret_is_in_debug_nor_in_a_problem() {
    let config = load(&with(
        &PRODUCTION,
        &[("SMTP_URL", "smtps://ada:hunter2@mail.example.org")],
    ))
    .unwrap();
    let debug = format!("{config:?}");
    assert!(
        !debug.contains("hunter2") && !debug.contains(&KEY[3..]),
        "{debug}"
    );

    for (name, value) in [
        ("SECRET_KEYS", "hunter2"),
        ("SECRET_KEYS", "hunter2:hunter2"),
        ("SECRET_KEYS", "k1:hunter2!"),
        ("SMTP_URL", "ada:hunter2@mail"),
        ("DATABASE_URL", "postgers://ada:hunter2@db/auth"),
        ("REDIS_URL", "redis:/:hunter2@cache"),
        ("PUBLIC_URL", "https://ada:hunter2@example.org"),
        ("CORS_ORIGINS", "https://ada:hunter2@example.org"),
        ("MAIL_FROM", "hunter2"),
        ("LOG_LEVEL", "hunter2"),
    ] {
        let problems = load(&[(name, value)]).unwrap_err();
        let shown = format!("{problems:?} {}", problems[0]);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_problem_stays_on_its_line() {
    let line = refusal(load(&[("PORT", "1\n2026 INFO: forged \u{1b}[2J\u{202e}")]));
    assert!(!line.contains(['\n', '\u{1b}', '\u{202e}']), "{line}");
    let line = refusal(load_file(&[], "\"a\\nb\" = 1"));
    assert!(line.starts_with("a\\nb (auth.toml:1)"), "{line}");
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let problems = Config::from_process(Some(Path::new("/nowhere/auth.toml"))).unwrap_err();
    let line = problems[0].to_string();
    assert!(
        line.starts_with("config (/nowhere/auth.toml:1): cannot be read"),
        "{line}"
    );
}
