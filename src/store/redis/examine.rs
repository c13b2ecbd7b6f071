//! Redis as the doctor looks at it: each failure that can be told, by its name in
//! `deploy/failures.toml`. It only reads.

use redis::cmd;
use secrecy::SecretString;

use super::about::About;
use super::dial::{NOT_THERE, OF_CERTIFICATE, OF_TLS};
use super::link::Link;
use super::trouble::{OF_CLUSTER, OF_PASSWORD, SILENT};
use super::url::{Shape, Url};
use super::{Error, time};
use crate::clock::Clock;
use crate::config;
use crate::model::finding::Finding;
use crate::store::examine;

/// Looks at the servers that the settings name.
pub async fn examine(
    url: &SecretString,
    settings: &config::Redis,
    clock: &dyn Clock,
) -> Vec<Finding> {
    let linked = Url::parse(url).and_then(|url| Ok((Link::new(&url, settings)?, url)));
    let (link, url) = match linked {
        Ok(linked) => linked,
        Err(why) => return vec![Finding::failed("settings", why)],
    };
    let base = format!("{}check", settings.key_prefix);
    let keys = match link.keys_everywhere(&base).await {
        Ok(keys) => keys,
        Err(error) => return vec![amiss(&error)],
    };
    let place = url.to_string();
    let is_cluster = matches!(url.shape, Shape::Cluster(_));
    let mut found = Vec::new();
    for key in keys {
        match server(&link, &key, clock).await {
            Ok((said, time)) => {
                found.extend(of(&About(&said), is_cluster, &place));
                found.push(time);
            }
            Err(error) => found.push(amiss(&error)),
        }
    }
    found
}

/// What a server says of itself, and its clock beside ours.
async fn server(link: &Link, key: &str, clock: &dyn Clock) -> Result<(String, Finding), Error> {
    // A read of a key: only that tells whether a cluster serves it. One that the service makes too, so
    // that its user may.
    link.ask::<Option<String>>(key, cmd("GET").arg(key)).await?;
    let said = link.info(key).await?.unwrap_or_default();
    let asked = clock.now();
    let theirs = time(link.ask(key, &cmd("TIME")).await?)?;
    let clocks = examine::clocks("Redis", theirs, asked, clock.now());
    Ok((said, clocks))
}

/// What it says, judged. Where it may not be asked for it, nothing is.
fn of(about: &About<'_>, is_cluster: bool, place: &str) -> Vec<Finding> {
    if !is_cluster && about.is_of_cluster() {
        let evidence = format!("{place}: {}", OF_CLUSTER[0]);
        return vec![Finding::failed("redis_cluster", evidence)];
    }
    let version = about.says("redis_version").unwrap_or("(not told)");
    let evidence = format!("Redis {version} at {place}");
    let mut found = vec![Finding::ok("redis_unreachable", evidence)];
    match (about.evicts_by(), about.says("maxmemory_policy")) {
        (Some(policy), _) => {
            let evicted = about.says("evicted_keys").unwrap_or("?");
            let evidence = format!("maxmemory-policy is {policy}, keys evicted so far: {evicted}");
            found.push(Finding::warning("redis_eviction", evidence));
        }
        (None, Some(policy)) => {
            let evidence = format!("maxmemory-policy is {policy}");
            found.push(Finding::ok("redis_eviction", evidence));
        }
        (None, None) => {}
    }
    if about.forgets() {
        found.push(Finding::warning("redis_persistence", "appendonly is no"));
    }
    found
}

/// Our sentence for what is amiss tells what it is.
fn amiss(error: &Error) -> Finding {
    let why = error.to_string();
    let says = |sentences: &[&str]| sentences.iter().any(|sentence| why.contains(sentence));
    let code = if says(&OF_TLS) {
        "redis_tls"
    } else if says(&OF_CERTIFICATE) {
        "redis_certificate"
    } else if says(&OF_PASSWORD) {
        "redis_password"
    } else if says(&OF_CLUSTER) {
        "redis_cluster"
    } else if says(&[NOT_THERE, SILENT, "no sentinel answers"]) {
        "redis_unreachable"
    } else {
        "redis_refused"
    };
    Finding::failed(code, why)
}
