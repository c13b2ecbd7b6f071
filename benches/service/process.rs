//! The service as a process in an empty folder: its log, what `/proc` says of it, and its end.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Connection;

/// The binary that is measured.
pub const BINARY: &str = env!("CARGO_BIN_EXE_aidlc-auth");

type Codes = Arc<Mutex<HashMap<String, Sender<String>>>>;

/// A running service. Ends when it is dropped.
pub struct Service {
    /// Where it listens.
    pub port: u16,
    pid: u32,
    child: Child,
    codes: Codes,
    _folder: TempDir,
}

impl Service {
    /// Starts it with limits off and mail in the log, and waits until it is ready.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_under(&[], settings)
    }

    /// The same, as the child of a tracer.
    pub fn start_under(tracer: &[&str], settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let port = free_port();
        let mut line = tracer.to_vec();
        line.push(BINARY);
        let mut child = Command::new(line[0])
            .args(&line[1..])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs([
                ("HOST", "127.0.0.1"),
                ("LIMITS_ENABLED", "false"),
                ("LOG_FORMAT", "json"),
            ])
            .env("PORT", port.to_string())
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service can be started");
        let codes = Codes::default();
        let log = child.stdout.take().expect("it is piped");
        std::thread::spawn({
            let codes = Arc::clone(&codes);
            move || read_log(log, &codes)
        });
        wait_until_answers(port, "/health/ready");
        let pid = if tracer.is_empty() {
            child.id()
        } else {
            only_child(child.id())
        };
        Self {
            port,
            pid,
            child,
            codes,
            _folder: folder,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The codes that are mailed to an address from now on.
    pub fn codes_for(&self, email: &str) -> Receiver<String> {
        let (sender, codes) = channel();
        self.codes
            .lock()
            .expect("no reader panicked")
            .insert(email.to_owned(), sender);
        codes
    }

    /// Makes an account and returns the token of its first session.
    pub fn register(
        &self,
        connection: &mut Connection,
        email: &str,
        codes: &Receiver<String>,
    ) -> String {
        let form = format!(r#"{{"email":"{email}","password":"pass123","full_name":"Test User"}}"#);
        connection.post("/api/auth/register", &form, 202);
        let code = next(codes);
        let proof = format!(r#"{{"email":"{email}","verification_code":"{code}"}}"#);
        token(&connection.post("/api/auth/verify-registration", &proof, 201))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.pid.to_string()).status();
        let _ = self.child.wait();
    }
}

/// The next code. Mails leave within milliseconds, so a minute is for ever.
pub fn next(codes: &Receiver<String>) -> String {
    codes
        .recv_timeout(Duration::from_secs(60))
        .expect("a mail comes")
}

/// The token in an answer.
pub fn token(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).expect("answers are JSON");
    answer["session_token"]
        .as_str()
        .expect("a token is in it")
        .to_owned()
}

/// A port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Returns at the first 200. On servers the service listens before it is ready.
pub fn wait_until_answers(port: u16, path: &str) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    for _ in 0..60_000 {
        if let Ok(mut stream) = TcpStream::connect(address) {
            let mut head = [0; 12];
            let answered = stream.write_all(request.as_bytes());
            if answered.and_then(|()| stream.read_exact(&mut head)).is_ok()
                && head.ends_with(b" 200")
            {
                return;
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    panic!("nothing is ready on port {port}");
}

/// Processor time that a process has used, in seconds (proc(5): utime and stime, in hundredths).
pub fn cpu_secs(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .expect("its name ends")
        .1
        .split(' ')
        .collect();
    let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
    (ticks(12) + ticks(13)) / 100.0
}

/// Resident memory of a process in MiB.
pub fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("it has memory");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<f64>().expect("a number") / 1024.0
}

fn only_child(pid: u32) -> u32 {
    let children = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(children).expect("the tracer runs");
    children.trim().parse().expect("it has one child")
}

fn read_log(log: ChildStdout, codes: &Codes) {
    for line in BufReader::new(log).lines() {
        let Ok(line) = line else { return };
        if !line.contains("📧") {
            continue;
        }
        let Ok(mail) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if let (Some(to), Some(code)) = (mail["to"].as_str(), mail["code"].as_str())
            && let Some(waiting) = codes.lock().expect("no sender panics").get(to)
        {
            // Whoever asked may have stopped asking.
            let _ = waiting.send(code.to_owned());
        }
    }
}
