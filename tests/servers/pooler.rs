//! PgBouncer in transaction mode: a server connection belongs to a client for one transaction only.

use std::fs;
use std::path::PathBuf;

use super::port::Port;
use super::postgres::{PASSWORD, Postgres, USER, give, owned_folder, owner};
use super::process::Program;
use super::server::Server;

/// A pooler before a server.
pub struct Pooler {
    _server: Server,
    port: Port,
}

impl Pooler {
    /// Makes so many connections to a database, however many come.
    pub fn before(server: &Postgres, connections: usize) -> Self {
        let (folder, port) = (owned_folder(), Port::free());
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = {connections}\n",
            server.port(),
            port.number,
            folder.join("users.txt").display()
        );
        for (name, text) in [
            ("pgbouncer.ini", settings),
            ("users.txt", format!("\"{USER}\" \"{PASSWORD}\"\n")),
        ] {
            fs::write(folder.join(name), text).unwrap();
            give(&folder.join(name), 0o600);
        }
        let program = Program {
            path: binary(),
            arguments: vec!["pgbouncer.ini".into()],
            user: owner(),
            ready: "process up",
        };
        Self {
            _server: Server::start(program, folder),
            port,
        }
    }

    /// Where a database is, through the pooler.
    pub fn url(&self, database: &str) -> String {
        super::postgres::url(self.port.number, database)
    }
}

/// Debian keeps it where only root looks.
fn binary() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut programs = folders.map(|folder| folder.join("pgbouncer"));
    let program = programs.find(|path| path.is_file());
    program.expect("PgBouncer is missing: apt-get install pgbouncer")
}
