//! PostgreSQL as the doctor looks at it: each failure that can be told, by its name in
//! `deploy/failures.toml`. It only reads.

use secrecy::SecretString;

use super::explain::NotConnected;
use super::room::{self, Room};
use super::{LOOK, Postgres, credentials, migrate, url};
use crate::clock::Clock;
use crate::config;
use crate::messages::EN;
use crate::model::finding::Finding;
use crate::store::{Error, examine, instant};

/// The oldest version that statements and migrations are written for.
const VERSION_MIN: i64 = 14;

/// Looks at the server that the settings name.
pub async fn examine(
    url: &SecretString,
    settings: &config::Database,
    clock: &dyn Clock,
) -> Vec<Finding> {
    let server = credentials::of(url, settings).and_then(|who| Postgres::new(url, settings, who));
    let server = match server {
        Ok(server) => server,
        Err(why) if why.ends_with(url::ENCODE) => {
            return vec![Finding::failed("password_in_url", why)];
        }
        Err(why) => return vec![Finding::failed("settings", why)],
    };
    let place = server.primary.place();
    let mut found = vec![Finding::ok("password_in_url", format!("read as {place}"))];
    // A connection of its own: the pool would say why in words alone.
    if let Err(why) = server.primary.connect().await {
        found.push(not_connected(&why));
        return found;
    }
    let room = room::ask(&server.primary, settings).await;
    found.extend(match &room {
        Ok(room) => of_server(room, settings, &place),
        Err(error) => vec![refused(error)],
    });
    found.push(schema(&server, settings).await);
    found.extend(clock_and_writes(&server, clock).await);
    found.extend(replica(&server).await);
    found
}

/// What stands in the way of a connection.
fn not_connected(why: &NotConnected) -> Finding {
    if let Some(why) = why.of_login() {
        let code = match why.contains("AccessDenied") {
            true => "secret_access",
            false => "database_secret",
        };
        return Finding::failed(code, why);
    }
    // What is said to do about it tells what it is.
    let Some(words) = why.words() else {
        return Finding::failed("database_refused", why.to_string());
    };
    let (words, known) = (words(&EN.database), &EN.database);
    let named = [
        (known.no_encryption, "database_no_encryption"),
        (known.unknown_authority, "database_unknown_issuer"),
        (known.password, "database_password"),
        (known.too_many_connections, "too_many_connections"),
    ];
    if let Some((_, code)) = named.iter().find(|(it, _)| *it == words) {
        return Finding::failed(code, why.told());
    }
    let kinds: [(&[&str], _); 3] = [
        (
            &[
                known.name_not_found,
                known.connection_refused,
                known.unreachable,
                known.silent,
                known.lost,
            ],
            "database_unreachable",
        ),
        (
            &[
                known.no_tls,
                known.wrong_name,
                known.expired,
                known.certificate,
                known.handshake,
                known.client_certificate,
            ],
            "database_tls",
        ),
        (&[known.no_host, known.no_user], "settings"),
    ];
    let kind = kinds.iter().find(|(all, _)| all.contains(&words));
    let code = kind.map_or("database_refused", |(_, code)| code);
    // Each of these has several causes: what is to do about this one stands in the evidence.
    Finding::failed(code, why.to_string())
}

/// What it is, and whether it has room for us.
fn of_server(room: &Room, settings: &config::Database, place: &str) -> Vec<Finding> {
    let version = &room.version;
    let tls = if room.is_encrypted {
        "with TLS"
    } else {
        "without TLS"
    };
    let mut found = vec![Finding::failed_if(
        room.version_number < VERSION_MIN * 10_000,
        "database_version",
        format!("PostgreSQL {version} at {place}, {tls}; version {VERSION_MIN} or later is needed"),
    )];
    if !room.is_encrypted && !room.is_near {
        let evidence = "the connection has no TLS: anyone on the way can read along";
        found.push(Finding::warning("database_tls", evidence));
    }
    // Behind a pooler the numbers are the pooler's, which nobody tells us.
    if settings.prepared_statements {
        let evidence = format!(
            "{} may be needed (DATABASE_POOL_SIZE {} × INSTANCES {} + 3), {} are there",
            room.needed, settings.pool_size, settings.instances, room.room
        );
        found.push(Finding::failed_if(
            !room.is_enough(),
            "too_many_connections",
            evidence,
        ));
    }
    found
}

/// Whether the tables are there, and ours.
async fn schema(server: &Postgres, settings: &config::Database) -> Finding {
    let schema = match migrate::look(&server.primary).await {
        Ok(schema) => schema,
        Err(error) => return refused(&error),
    };
    let evidence = format!(
        "schema {}, this release has {}",
        schema.version, schema.ours
    );
    match (&schema.missing, schema.check()) {
        (Err(why), _) => Finding::failed("database_refused", why.clone()),
        (Ok(_), Ok(())) => Finding::ok("tables_missing", evidence),
        (Ok(_), Err(_)) if settings.migrate_at_start => {
            let evidence = format!("{evidence}; the next start migrates (MIGRATE_AT_START=true)");
            Finding::warning("tables_missing", evidence)
        }
        (Ok(_), Err(_)) => Finding::failed(
            "tables_missing",
            format!("{evidence}, and a start does not migrate (MIGRATE_AT_START=false)"),
        ),
    }
}

/// Whether its clock agrees with ours, and whether it takes writes.
async fn clock_and_writes(server: &Postgres, clock: &dyn Clock) -> Vec<Finding> {
    let asked = clock.now();
    let rows = match server.primary.read(LOOK, &[]).await {
        Ok(rows) => rows,
        Err(error) => return vec![refused(&error)],
    };
    let answered = clock.now();
    let mut found = Vec::new();
    for row in rows {
        let theirs = instant(row.get(0));
        found.push(examine::clocks("PostgreSQL", theirs, asked, answered));
        if row.get(1) {
            found.push(refused(&server.primary.takes_no_writes()));
        }
    }
    found
}

/// The primary answers for a replica that cannot be read, so that is no failure.
async fn replica(server: &Postgres) -> Option<Finding> {
    let why = server.replica.as_ref()?.connect().await.err()?;
    let found = not_connected(&why);
    let evidence = format!("DATABASE_REPLICA_URL: {}", found.evidence);
    Some(Finding::warning(found.code, evidence))
}

fn refused(error: &Error) -> Finding {
    Finding::failed("database_refused", error.to_string())
}
