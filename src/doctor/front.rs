//! What the load balancer in front meets: address, port, whose word is believed, and the ends of
//! connections. In development there is none.

use std::time::Duration;

use crate::config::{Config, Environment};
use crate::model::finding::Finding;
use crate::work::LAST_LETTERS;

/// What the templates name everywhere.
const PORT: u16 = 8001;
/// How long an ALB keeps a connection for its next request, unless told otherwise.
const BALANCER_IDLE: Duration = Duration::from_secs(60);
/// The longest StopTimeout on Fargate.
const STOP_TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// Whether it can be reached from outside of its own machine.
pub fn address(config: &Config) -> Finding {
    let host = &config.http.host;
    let is_local = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    let evidence = format!("HOST={host}");
    Finding::failed_if(is_local && !is_alone(config), "targets_unhealthy", evidence)
}

/// Whether the target group asks where the service listens. Only a task has templates to agree with.
pub fn port(config: &Config, is_task: bool) -> Finding {
    let port = config.http.port;
    let evidence = format!("PORT={port}, and the templates have {PORT}");
    if port == PORT || is_alone(config) {
        Finding::ok("killed_while_starting", format!("PORT={port}"))
    } else if is_task {
        Finding::failed("killed_while_starting", evidence)
    } else {
        Finding::warning("killed_while_starting", evidence)
    }
}

/// Whether the balancer's word on where a request comes from is believed.
pub fn proxies(config: &Config) -> Finding {
    let trusted = &config.http.trusted_proxies;
    let evidence = match &trusted[..] {
        [] => "TRUSTED_PROXIES is not set".to_owned(),
        trusted => {
            let trusted: Vec<_> = trusted.iter().map(ToString::to_string).collect();
            format!("TRUSTED_PROXIES={}", trusted.join(","))
        }
    };
    Finding::failed_if(
        trusted.is_empty() && !is_alone(config),
        "proxy_trust",
        evidence,
    )
}

/// Whether connections outlast the balancer's use of them, and requests the end of a task.
pub fn deployments(config: &Config) -> Finding {
    let http = &config.http;
    let to_stop = http.drain_delay + http.drain_timeout + LAST_LETTERS;
    let evidence = format!(
        "IDLE_TIMEOUT_SECONDS={}, to be above the balancer's {}; stopping takes up to {} s, to be below \
         StopTimeout (at most {} on Fargate)",
        http.idle_timeout.as_secs(),
        BALANCER_IDLE.as_secs(),
        to_stop.as_secs(),
        STOP_TIMEOUT_MAX.as_secs()
    );
    let is_cut = http.idle_timeout <= BALANCER_IDLE || to_stop >= STOP_TIMEOUT_MAX;
    Finding::failed_if(
        is_cut && !is_alone(config),
        "bad_gateway_at_deploy",
        evidence,
    )
}

/// Whether nothing is in front.
fn is_alone(config: &Config) -> bool {
    config.environment == Environment::Development
}
