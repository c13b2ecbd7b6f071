//! What all servers have: a folder, a program, and a life with ends and new beginnings.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::process::{Process, Program};

/// A server in a folder of its own.
pub struct Server {
    folder: PathBuf,
    program: Program,
    process: Mutex<Option<Process>>,
}

impl Server {
    /// Starts a program in a folder, which is removed in the end.
    pub fn start(program: Program, folder: PathBuf) -> Self {
        let process = Process::start(&program, &folder);
        Self {
            folder,
            program,
            process: Mutex::new(Some(process)),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// `kill -9`, all its processes at once.
    pub fn kill(&self) {
        let process = self.process.lock().unwrap().take();
        process.expect("it runs").kill();
    }

    /// Starts it again after its end, on the same port and data, and waits until it is ready.
    pub fn revive(&self) {
        let mut process = self.process.lock().unwrap();
        assert!(process.is_none(), "it runs");
        *process = Some(Process::start(&self.program, &self.folder));
    }

    /// Asks it to end, by the signal that it takes for that, and waits until it has.
    pub fn stop(&self, signal: &str) {
        let process = self.process.lock().unwrap().take().expect("it runs");
        process.tell(signal);
        process.ended();
        process.kill();
    }

    /// SIGSTOP, to all its processes: connections stay, and nothing answers.
    pub fn freeze(&self) {
        self.running(Process::freeze);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.running(Process::thaw);
    }

    /// Sends a signal, by name, to its first process.
    pub fn tell(&self, signal: &str) {
        self.running(|process| process.tell(signal));
    }

    fn running(&self, act: impl Fn(&Process)) {
        act(self.process.lock().unwrap().as_ref().expect("it runs"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its guard removes the folder; where there is none, we do.
        if self
            .process
            .get_mut()
            .is_ok_and(|process| process.is_none())
        {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A new folder for a server, outside of everything else.
pub fn folder(kind: &str) -> PathBuf {
    // The sockets in it may have paths of at most 107 bytes.
    let folder = tempfile::Builder::new().prefix(kind).tempdir().unwrap();
    folder.keep()
}
