//! One run of a server's program, and the signals that it gets.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than any start takes unless it hangs, on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at a log.
const LOOK: Duration = Duration::from_millis(5);

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
    /// Whose process it is, where that is not ours.
    pub user: Option<u32>,
    /// What it writes into its log when it takes connections.
    pub ready: &'static str,
}

/// A program that runs, with all its children.
pub struct Process {
    guard: Child,
    pid: u32,
}

impl Process {
    /// Starts it in a folder that ends with it, and waits until it is ready.
    pub fn start(program: &Program, folder: &Path) -> Self {
        let log = folder.join("log");
        let before = fs::metadata(&log).map_or(0, |log| log.len());
        let mut command = Command::new("sh");
        command
            .args(["-c", include_str!("guard.sh"), "guard"])
            .args([folder, &log, &program.path])
            .args(&program.arguments)
            .env("LC_ALL", "C")
            // Whoever ends a test by a signal to its group leaves it to us to clear up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(user) = program.user {
            command.uid(user).gid(user);
        }
        let mut guard = command.spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(guard.stdout.take().unwrap())
            .read_line(&mut pid)
            .unwrap();
        let pid = pid.trim().parse();
        let pid = pid.unwrap_or_else(|_| panic!("{} did not start", program.path.display()));
        let process = Self { guard, pid };
        process.wait_for(program, &log, before);
        process
    }

    fn wait_for(&self, program: &Program, log: &Path, before: u64) {
        let start = Instant::now();
        loop {
            // Looked at first: what it wrote before it ended is then in the text.
            let is_alive = self.is_alive();
            let text = fs::read(log).unwrap_or_default();
            let text = text.get(before as usize..).unwrap_or_default();
            let text = String::from_utf8_lossy(text);
            if text.contains(program.ready) {
                return;
            }
            assert!(
                is_alive && start.elapsed() < DEADLINE,
                "{} {:?} is not ready:\n{text}",
                program.path.display(),
                program.arguments,
            );
            sleep(LOOK);
        }
    }

    /// Sends it a signal, by name, and none to its children.
    pub fn tell(&self, signal: &str) {
        send(signal, &[self.pid]);
    }

    /// Stops it and its children where they are: they answer nothing and close nothing.
    pub fn freeze(&self) {
        self.tell("STOP");
        send("STOP", &children(self.pid));
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        send("CONT", &children(self.pid));
        self.tell("CONT");
    }

    /// Waits until it has ended by itself.
    pub fn ended(&self) {
        let start = Instant::now();
        while self.is_alive() {
            assert!(start.elapsed() < DEADLINE, "{} does not end", self.pid);
            sleep(LOOK);
        }
    }

    /// Ends it and its children as a power cut would. Its folder stays.
    pub fn kill(mut self) {
        let mut input = self.guard.stdin.take().unwrap();
        input.write_all(b"keep\n").unwrap();
        drop(input);
        self.guard.wait().unwrap();
    }

    fn is_alive(&self) -> bool {
        // Nobody waits for it before the guard does: dead, it is there as a zombie.
        let status = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let state = status.rsplit(") ").next().unwrap_or_default();
        !state.is_empty() && !state.starts_with('Z')
    }
}

/// Ends it as a power cut would, and removes its folder.
impl Drop for Process {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let status = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // `pid (name) state parent …`, and the name may hold anything.
        let after_name = status.rsplit(") ").next().unwrap_or_default();
        if after_name.split(' ').nth(1) == Some(&parent.to_string()) {
            found.push(pid);
        }
    }
    found
}

fn send(signal: &str, to: &[u32]) {
    // The shell's own `kill`: a small machine may have no other.
    let pids: Vec<_> = to.iter().map(u32::to_string).collect();
    let script = format!("kill -{signal} {}", pids.join(" "));
    // One of the children may have ended meanwhile.
    let _ = Command::new("sh")
        .args(["-c", &script])
        .stderr(Stdio::null())
        .status()
        .unwrap();
}
