//! `aidlc-auth healthcheck`: asks the service on this machine how it is, where there is no shell to.
//!
//! It is run every few seconds beside the service, so it reads two settings and opens one socket.

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::Config;

/// For everything. Whoever runs it has a time-out of their own, 5 seconds with Docker and ECS.
const PATIENCE: Duration = Duration::from_secs(3);

/// What to ask.
#[derive(Args)]
pub struct Healthcheck {
    /// Ask whether requests should come here (/health/ready), not only whether it lives (/health/live).
    #[arg(long)]
    ready: bool,
}

/// Asks. Says nothing if all is well, else one line.
pub fn run(file: Option<&Path>, command: &Healthcheck) -> ExitCode {
    let path = match command.ready {
        true => "/health/ready",
        false => "/health/live",
    };
    match asked(file, path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("aidlc-auth: {path} {why}");
            ExitCode::FAILURE
        }
    }
}

fn asked(file: Option<&Path>, path: &str) -> Result<(), String> {
    // Whatever else is wrong with the settings is for the service to say.
    let (config, problems) = Config::with_problems(file);
    let ours = problems
        .iter()
        .find(|it| matches!(&*it.key, "host" | "port"));
    if let Some(problem) = ours {
        return Err(format!("cannot be asked: {problem}"));
    }
    if config.http.port == 0 {
        return Err("cannot be asked: PORT is 0, so any port may be the service's".into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot be asked: {error}"))?;
    let host = reached_at(&config.http.host);
    let asking = status(&host, config.http.port, path);
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await });
    // Not waiting for a look-up of a name that may still be under way.
    runtime.shutdown_background();
    match answer {
        Ok(Ok(200)) => Ok(()),
        Ok(Ok(status)) => Err(format!("was answered {status}")),
        Ok(Err(error)) => Err(format!("was not answered: {error}")),
        Err(_) => Err(format!("was not answered within {} s", PATIENCE.as_secs())),
    }
}

/// Who listens on every interface is on this one.
fn reached_at(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V4(v4)) if v4.is_unspecified() => "127.0.0.1".into(),
        Ok(IpAddr::V6(v6)) if v6.is_unspecified() => "::1".into(),
        _ => host.to_owned(),
    }
}

/// The status of the answer: of HTTP/1.1 its first line is enough.
async fn status(host: &str, port: u16, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect((host, port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut first = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut first).await?;
    let status = str::from_utf8(&first).ok();
    let status = status.and_then(|line| line.strip_prefix("HTTP/1.1 ")?.parse().ok());
    status.ok_or_else(|| std::io::Error::other("what listens there does not speak HTTP"))
}
