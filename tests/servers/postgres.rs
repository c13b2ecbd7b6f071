//! PostgreSQL servers.

use std::ffi::OsString;
use std::fs::{self, File};
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aidlc_auth::entropy;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::certificates::Certificate;
use super::port::Port;
use super::process::Program;
use super::server::{self, Server};

/// Who signs in, where a test does not say otherwise; may make databases.
pub const USER: &str = "auth";
/// Their password.
pub const PASSWORD: &str = "auth";

/// What is asked of whoever comes over TCP. (The superuser's own socket is always open.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// The password (SCRAM-SHA-256), with or without TLS.
    #[default]
    Password,
    /// The password, and only over TLS: `no pg_hba.conf entry … no encryption` without.
    TlsOnly,
    /// The password, and only without TLS.
    PlainOnly,
    /// A certificate by [`Wanted::clients_by`] in the user's name, over TLS.
    Certificate,
}

/// How a server is to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    pub access: Access,
    /// TLS is on with this one, and off without.
    pub certificate: Option<&'a Certificate>,
    /// The authority of clients' certificates, in PEM.
    pub clients_by: Option<&'a str>,
    /// Survives a power cut. A killed process is survived without, and everything is faster.
    pub durable: bool,
    /// Lines of `postgresql.conf`, such as `("max_connections", "20")`.
    pub settings: &'a [(&'a str, &'a str)],
}

/// A PostgreSQL server.
pub struct Postgres {
    pub server: Server,
    pub place: Place,
    _port: Port,
}

impl Deref for Postgres {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Postgres {
    /// Without TLS.
    pub fn start() -> Self {
        Self::with(Wanted::default())
    }

    pub fn with(wanted: Wanted<'_>) -> Self {
        let folder = owned_folder();
        copy(&template(), &folder.join("data"));
        let data = folder.join("data");
        let mut settings = String::from("\n");
        for (name, value) in wanted.settings {
            settings += &format!("{name} = '{}'\n", value.replace('\'', "''"));
        }
        if !wanted.durable {
            settings += "fsync = off\nfull_page_writes = off\n";
        }
        let write = |name: &str, text: &str| {
            let path = data.join(name);
            fs::write(&path, text).unwrap();
            give(&path, 0o600);
        };
        if let Some(certificate) = wanted.certificate {
            write("server.crt", &certificate.chain);
            write("server.key", &certificate.key);
            settings += "ssl = on\n";
        }
        if let Some(authority) = wanted.clients_by {
            write("clients.crt", authority);
            settings += "ssl_ca_file = 'clients.crt'\n";
        }
        let tcp = match wanted.access {
            Access::Password => "host all all all scram-sha-256",
            Access::TlsOnly => "hostssl all all all scram-sha-256",
            Access::PlainOnly => "hostnossl all all all scram-sha-256",
            Access::Certificate => "hostssl all all all cert",
        };
        let rules = format!("local all all trust\nlocal replication all trust\n{tcp}\n");
        write("pg_hba.conf", &rules);
        let standard = fs::read_to_string(data.join("postgresql.conf")).unwrap();
        write("postgresql.conf", &(standard + &settings));
        Self::run(folder)
    }

    /// A standby that follows a server by streaming, and can be read.
    pub fn replica_of(primary: &Self) -> Self {
        let folder = owned_folder();
        let source = format!(
            "host={} port={} user=postgres",
            primary.folder().display(),
            primary.port()
        );
        let mut command = command("pg_basebackup");
        command
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
            .args(["--wal-method=stream", "--dbname", &source, "--pgdata"])
            .arg(folder.join("data"));
        succeeds(&mut command);
        Self::run(folder)
    }

    fn run(folder: PathBuf) -> Self {
        let port = Port::free();
        let mut arguments: Vec<OsString> = vec!["-D".into(), folder.join("data").into()];
        arguments.extend(["-k".into(), folder.clone().into()]);
        arguments.extend(["-p".into(), port.number.to_string().into()]);
        let program = Program {
            path: binary("postgres"),
            arguments,
            user: owner(),
            ready: "database system is ready to accept",
        };
        Self {
            place: Place {
                folder: folder.clone(),
                port: port.number,
            },
            server: Server::start(program, folder),
            _port: port,
        }
    }

    pub fn port(&self) -> u16 {
        self.place.port
    }

    /// Where a database is, for [`USER`] with [`PASSWORD`].
    pub fn url(&self, database: &str) -> String {
        url(self.port(), database)
    }

    /// Makes an empty database, and answers its URL.
    pub async fn database(&self) -> String {
        let name = new_name();
        self.place.make(&name).await;
        self.url(&name)
    }

    /// The superuser, over a socket that needs neither password nor TLS.
    pub async fn superuser(&self, database: &str) -> Client {
        self.place.superuser(database).await
    }

    /// Asks it to end as an operator does: transactions are broken off, nothing has to be recovered.
    pub fn shut_down(&self) {
        self.server.stop("INT");
    }
}

/// Where a database is, at a port of the loopback.
pub fn url(port: u16, database: &str) -> String {
    format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}")
}

/// Where a server is, whoever started it.
#[derive(Debug, Clone)]
pub struct Place {
    pub folder: PathBuf,
    pub port: u16,
}

impl Place {
    pub async fn superuser(&self, database: &str) -> Client {
        let (client, connection) = tokio_postgres::Config::new()
            .host_path(&self.folder)
            .port(self.port)
            .user("postgres")
            .dbname(database)
            .connect(tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }

    /// Makes an empty database.
    pub async fn make(&self, name: &str) {
        let superuser = self.superuser("postgres").await;
        let plain = format!("CREATE DATABASE {name} OWNER {USER}");
        // A tenth of the time where nothing has to reach a disk; servers before 15 know no other.
        let copied = format!("{plain} STRATEGY file_copy");
        if let Err(error) = superuser.batch_execute(&copied).await {
            assert_eq!(error.code(), Some(&SqlState::SYNTAX_ERROR), "{error:?}");
            superuser.batch_execute(&plain).await.unwrap();
        }
    }
}

/// A database's that nobody else has.
pub fn new_name() -> String {
    format!("test_{}", Uuid::from_bytes(entropy::random()).simple())
}

/// A data folder as every server begins, made once and then copied: that is four times as fast.
fn template() -> PathBuf {
    let target = option_env!("CARGO_TARGET_TMPDIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp"),
        PathBuf::from,
    );
    fs::create_dir_all(&target).unwrap();
    let version = succeeds(command("postgres").arg("--version")).stdout;
    let version = String::from_utf8(version).unwrap();
    let digits = |c: char| if c.is_ascii_digit() { c } else { '-' };
    let version: String = version.trim().chars().map(digits).collect();
    let version = version.trim_matches('-');
    let template = target.join(format!("postgres-{version}"));
    let lock = File::create(target.join("postgres.lock")).unwrap();
    lock.lock().unwrap();
    if !template.exists() {
        let folder = owned_folder();
        let data = folder.join("data");
        make_data(&data);
        // Under its name it is there whole or not at all.
        let half = target.join("postgres-half");
        let _ = fs::remove_dir_all(&half);
        copy(&data, &half);
        fs::rename(&half, &template).unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
    template
}

fn make_data(data: &Path) {
    let mut initdb = command("initdb");
    initdb
        .args(["--username=postgres", "--encoding=UTF8", "--locale=C"])
        .args(["--auth=trust", "--no-sync", "--wal-segsize=4", "--pgdata"])
        .arg(data);
    succeeds(&mut initdb);
    let mut single = command("sh");
    single
        .args([
            "-c",
            r#"printf '%s\n' "$3" | "$1" --single -D "$2" postgres"#,
            "sh",
        ])
        .args([&binary("postgres"), data])
        .arg(format!(
            "CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{PASSWORD}'"
        ));
    succeeds(&mut single);
}

/// A copy that belongs to whom the original does.
fn copy(from: &Path, to: &Path) {
    succeeds(Command::new("cp").arg("-a").args([from, to]));
}

/// As whom the server runs, where we are root, which it refuses: `nobody`, who is there everywhere.
pub(super) fn owner() -> Option<u32> {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    is_root.then(|| {
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let nobody = users.lines().find(|line| line.starts_with("nobody:"));
        let nobody = nobody.expect("there is a user called nobody");
        nobody.split(':').nth(2).unwrap().parse().unwrap()
    })
}

pub(super) fn owned_folder() -> PathBuf {
    let folder = server::folder("pg");
    give(&folder, 0o700);
    folder
}

pub(super) fn give(path: &Path, mode: u32) {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if let Some(owner) = owner() {
        chown(path, Some(owner), Some(owner)).unwrap();
    }
}

fn command(name: &str) -> Command {
    let path = if name == "sh" {
        name.into()
    } else {
        binary(name)
    };
    let mut command = Command::new(path);
    // Whatever folder we are in, the server's user may not see it.
    command.current_dir("/").env("LC_ALL", "C");
    if let Some(owner) = owner() {
        command.uid(owner).gid(owner);
    }
    command
}

/// One of PostgreSQL's programs: Debian keeps the server's own out of `PATH`.
fn binary(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path);
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut by_version: Vec<_> = versions.flatten().map(|entry| entry.path()).collect();
    by_version.sort();
    let by_version = by_version.into_iter().rev().map(|path| path.join("bin"));
    let mut servers = in_path.chain(by_version).map(|path| path.join("postgres"));
    let server = servers.find(|path| path.is_file());
    let server = server.expect("PostgreSQL is missing: apt-get install postgresql");
    // Beside the program itself, not a link to it, lie the others of its version.
    server.canonicalize().unwrap().with_file_name(name)
}

#[track_caller]
fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
