//! Ports that are ours for as long as we say, also while nothing listens there.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;

use aidlc_auth::entropy;

/// Below those that systems give to outgoing connections, so that none is taken while a server is down.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port of the loopback. Other tests leave it alone until this is dropped.
#[derive(Debug)]
pub struct Port {
    pub number: u16,
    /// Locked.
    _claim: File,
}

impl Port {
    /// One on which nobody listens.
    pub fn free() -> Self {
        let folder = claims();
        for _ in 0..1000 {
            let random = u16::from_be_bytes(entropy::random());
            let number = PORTS.start + random % (PORTS.end - PORTS.start);
            let claim = File::create(folder.join(number.to_string())).unwrap();
            if claim.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self {
                    number,
                    _claim: claim,
                };
            }
        }
        panic!("there is no free port in {PORTS:?}");
    }
}

/// Where ports are claimed, by locks on files: they go with the process that has them.
fn claims() -> PathBuf {
    use std::os::unix::fs::MetadataExt as _;
    let user = fs::metadata("/proc/self").unwrap().uid();
    let folder = std::env::temp_dir().join(format!("aidlc-auth-test-ports-{user}"));
    fs::create_dir_all(&folder).unwrap();
    folder
}
