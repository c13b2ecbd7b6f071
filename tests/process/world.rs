//! A folder, the processes that run in it, and what they write to their logs.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than anything here takes unless it hangs, on a machine that is busy.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What the service writes for each mail that it would send.
pub const SIMULATED: &str = "📧 이메일 발송 시뮬레이션";

/// Limits as they are kept, but far away: for tests that ask for many codes from one address.
pub const RAISED_LIMITS: [(&str, &str); 4] = [
    ("CLIENT_CODE_REQUESTS", "1000000"),
    ("CLIENT_GUESSES", "1000000"),
    ("SERVICE_CODE_REQUESTS", "1000000000"),
    ("SERVICE_GUESSES", "1000000000"),
];

pub type Settings<'a> = &'a [(&'a str, &'a str)];

/// An empty folder that processes run in.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the embedded store is when nobody says otherwise.
    pub fn database(&self) -> PathBuf {
        self.path().join("data/aidlc-auth.db")
    }

    /// A service that listens on a free port.
    pub async fn server(&self, settings: Settings<'_>) -> Server {
        Server::started(self.serve(settings)).await
    }

    /// A service that may write no file beyond so many bytes, as if the disk were full there.
    pub async fn server_with_room_for(&self, bytes: u32, settings: Settings<'_>) -> Server {
        Server::started(self.serve_with_room_for(bytes, settings)).await
    }

    /// A service that is not waited for.
    pub fn serve(&self, settings: Settings<'_>) -> Process {
        Process::spawn(self.command(binary(), &[], settings))
    }

    pub fn serve_with_room_for(&self, bytes: u32, settings: Settings<'_>) -> Process {
        // SIGXFSZ would end the process; ignored, the write fails instead, as on a full disk.
        let blocks = bytes / 512;
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\"");
        Process::spawn(self.command("sh", &["-c", &script, binary()], settings))
    }

    /// A subcommand, to its end.
    pub async fn run(&self, arguments: &[&str], settings: Settings<'_>) -> Ended {
        let process = Process::spawn(self.command(binary(), arguments, settings));
        process.ended().await
    }

    fn command(&self, program: &str, arguments: &[&str], settings: Settings<'_>) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.path())
            // Nothing of the machine's own settings gets in.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PORT", "0")
            .envs(settings.iter().copied());
        command
    }
}

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_aidlc-auth")
}

/// A process of ours, ended with this value.
pub struct Process {
    child: Child,
    pub log: Arc<Log>,
}

impl Process {
    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        log.follow(child.stdout.take().unwrap(), "");
        log.follow(child.stderr.take().unwrap(), ERROR_MARK);
        Self { child, log }
    }

    /// Asks it to stop: `TERM` or `INT`.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`: a small machine may have no other.
        let script = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(sent.success(), "no signal could be sent");
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        self.log.whole().await;
        let code = self.child.wait().unwrap().code();
        let lines = self.log.lines();
        let (err, out) = lines
            .into_iter()
            .partition(|line| line.starts_with(ERROR_MARK));
        let text = |lines: Vec<String>| lines.join("\n").replace(ERROR_MARK, "");
        Ended {
            code,
            out: text(out),
            err: text(err),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stands before what came on standard error; no line of ours begins like it.
const ERROR_MARK: &str = "\u{1}";

/// How a process ended and what it said.
#[derive(Debug)]
pub struct Ended {
    /// None: by a signal.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// It refused, in so many lines for the operator, and it did not fall over.
    #[track_caller]
    pub fn refused_in_lines(&self, count: usize) -> &str {
        assert!(self.code.is_some_and(|code| code != 0), "{self:?}");
        assert_eq!(self.err.lines().count(), count, "{self:?}");
        for said in [&self.err, &self.out] {
            assert!(!said.contains("panicked"), "{self:?}");
        }
        &self.err
    }

    #[track_caller]
    pub fn succeeded(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.out
    }
}

/// What a process writes, line by line, as it comes.
pub struct Log {
    lines: Mutex<Vec<String>>,
    /// Moves with every line and at the end of each stream.
    moved: watch::Sender<usize>,
    streams_open: Mutex<usize>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            moved: watch::Sender::new(0),
            streams_open: Mutex::default(),
        }
    }
}

impl Log {
    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static, mark: &'static str) {
        *self.streams_open.lock().unwrap() += 1;
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while let Ok(1..) = stream.read_until(b'\n', &mut line) {
                let text = String::from_utf8_lossy(&line);
                let text = format!("{mark}{}", text.trim_end_matches('\n'));
                log.lines.lock().unwrap().push(text);
                log.moved.send_modify(|count| *count += 1);
                line.clear();
            }
            *log.streams_open.lock().unwrap() -= 1;
            log.moved.send_modify(|count| *count += 1);
        });
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The first line of which `read` makes something; `None` if the process ends without one.
    pub async fn find<T>(&self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let mut moved = self.moved.subscribe();
        let mut seen = 0;
        let search = async {
            loop {
                moved.borrow_and_update();
                let ended = self.has_ended();
                let lines = self.lines.lock().unwrap()[seen..].to_vec();
                seen += lines.len();
                if let Some(found) = lines.iter().find_map(|line| read(line)) {
                    return Some(found);
                }
                if ended {
                    return None;
                }
                moved.changed().await.unwrap();
            }
        };
        timeout(DEADLINE, search).await.unwrap_or_else(|_| {
            panic!("the log never said what was waited for:\n{}", self.text());
        })
    }

    /// Waits for a line with these words.
    pub async fn says(&self, words: &str) -> String {
        let line = self
            .find(|line| line.contains(words).then(|| line.to_owned()))
            .await;
        line.unwrap_or_else(|| panic!("{words:?} was never said:\n{}", self.text()))
    }

    /// Waits until the process can write no more.
    pub async fn whole(&self) {
        self.find(|_| None::<()>).await;
    }

    fn has_ended(&self) -> bool {
        *self.streams_open.lock().unwrap() == 0
    }

    /// Waits for the first mail to an address for a purpose, as it is known by its subject.
    pub async fn mail(&self, to: &str, subject: &str) -> Mail {
        let mail = self.find_mail(to, subject).await;
        mail.unwrap_or_else(|| panic!("no mail to {to}:\n{}", self.text()))
    }

    /// As [`Log::mail`]; `None` if the process ends before.
    pub async fn find_mail(&self, to: &str, subject: &str) -> Option<Mail> {
        self.find(|line| Mail::read(line).filter(|mail| mail.is(to, subject)))
            .await
    }

    /// Every mail so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.lines()
            .iter()
            .filter_map(|line| Mail::read(line))
            .collect()
    }
}

/// A part of the subject that only mails for this purpose have.
pub const REGISTRATION: &str = "registration";
pub const SIGN_IN: &str = "sign";

/// A mail that was written to the log instead of being sent.
#[derive(Debug, Clone)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub code: String,
}

impl Mail {
    fn read(line: &str) -> Option<Self> {
        if !line.contains(SIMULATED) {
            return None;
        }
        let field = |name| field(line, name).unwrap_or_default();
        Some(Self {
            to: field("to"),
            subject: field("subject"),
            code: field("code"),
        })
    }

    pub fn is(&self, to: &str, subject: &str) -> bool {
        self.to == to && self.subject.contains(subject)
    }
}

/// A field of a line in either format.
pub fn field(line: &str, name: &str) -> Option<String> {
    if line.starts_with('{') {
        let line: Value = serde_json::from_str(line).unwrap();
        return Some(line.get(name)?.as_str()?.to_owned());
    }
    let (_, rest) = line.split_once(&format!(" {name}="))?;
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(' ').next(),
    };
    value.map(str::to_owned)
}

/// A service that answers.
pub struct Server {
    pub process: Process,
    pub address: SocketAddr,
    client: reqwest::Client,
}

impl Server {
    /// Waits until it is ready.
    pub async fn started(process: Process) -> Self {
        let server = Self::listening(process).await;
        server
            .log()
            .says("INFO: Application startup complete")
            .await;
        server
    }

    /// Waits until it listens, ready or not.
    pub async fn listening(process: Process) -> Self {
        let line = process.log.says("listening").await;
        let address = field(&line, "address").expect("the address that is listened on");
        let port = address.rsplit(':').next().unwrap();
        Self {
            address: format!("127.0.0.1:{port}").parse().unwrap(),
            process,
            client: reqwest::Client::builder()
                .timeout(DEADLINE)
                .build()
                .unwrap(),
        }
    }

    pub fn log(&self) -> &Log {
        &self.process.log
    }

    /// What `curl -X POST` gets; an error when the service dies before it answers.
    pub async fn try_post(
        &self,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.client.post(self.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::read(request.send().await?).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, None, Some(body)).await.unwrap()
    }

    pub async fn try_get(&self, path: &str, token: Option<&str>) -> reqwest::Result<Answer> {
        let mut request = self.client.get(self.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Answer::read(request.send().await?).await
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.try_get(path, token).await.unwrap()
    }

    /// Whether a session is live.
    pub async fn is_live(&self, token: &str) -> bool {
        let answer = self.get("/api/auth/session", Some(token)).await;
        assert!(matches!(answer.status, 200 | 401), "{answer:?}");
        answer.status == 200
    }

    /// For what the other methods do not say.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method.parse().unwrap(), self.url(path))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A new account, signed in. Answers its token.
    pub async fn sign_up(&self, email: &str) -> String {
        let asked = self
            .post("/api/auth/register", &registration(email))
            .await
            .is(202);
        let mail = self.log().mail(email, REGISTRATION).await;
        let body = json!({
            "email": email,
            "verification_code": mail.code,
            "challenge_id": asked.text("challenge_id"),
        });
        self.post("/api/auth/verify-registration", &body)
            .await
            .is(201)
            .text("session_token")
    }
}

/// The form that the README shows.
pub fn registration(email: &str) -> Value {
    json!({"email": email, "password": "pass123", "full_name": "Test User"})
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.bytes().await?;
        Ok(Self {
            status,
            headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        })
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn text(&self, field: &str) -> String {
        let text = self.body[field].as_str();
        text.unwrap_or_else(|| panic!("no {field} in {self:?}"))
            .to_owned()
    }
}
