//! Whether the hashing threads fit into the memory that this process may use.

use std::path::{Path, PathBuf};

use crate::hashing::MEMORY_BYTES;
use crate::model::finding::Finding;

const MIB: u64 = 1024 * 1024;
/// For all that is not hashing, connections at their cap included; the advice in
/// `deploy/failures.toml` has the same number.
const BASE: u64 = 128 * MIB;

/// The arithmetic for so many threads. `root` is where `/proc` and `/sys` are.
pub fn of(threads: usize, root: &Path) -> Finding {
    let threads_count = u64::try_from(threads).unwrap_or(u64::MAX);
    let needed = threads_count
        .saturating_mul(MEMORY_BYTES)
        .saturating_add(BASE);
    let sum = format!(
        "{threads} hashing threads × {} MiB + {} MiB = {} MiB may be needed",
        MEMORY_BYTES / MIB,
        BASE / MIB,
        needed / MIB
    );
    match limit(root) {
        Some(limit) => Finding::failed_if(
            needed > limit,
            "out_of_memory",
            format!("{sum}, {} MiB are there", limit / MIB),
        ),
        None => Finding::ok("out_of_memory", format!("{sum}; no limit is known")),
    }
}

/// The lowest limit of the control groups that this process is in, of itself, and of the machine.
fn limit(root: &Path) -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let groups = read("proc/self/cgroup");
    let groups = groups.lines().flat_map(|line| files(root, line));
    let groups = groups.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok());
    let own = of_process(&read("proc/self/limits"));
    groups
        .chain(own)
        .chain(of_machine(&read("proc/meminfo")))
        .min()
}

/// Where the limits are of a group, and of those that it is in: `hierarchy:controllers:path`
/// (cgroups(7)). Version 2 has one hierarchy, without names of controllers. Inside a container the path
/// may be the host's, and the file lies at the top.
fn files(root: &Path, line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
        return Vec::new();
    };
    let (top, file) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    let group = Path::new(path.trim_start_matches('/'));
    let groups = group.ancestors();
    groups
        .map(|group| root.join(top).join(group).join(file))
        .collect()
}

/// `ulimit -v`, or systemd's `LimitAS=`.
fn of_process(limits: &str) -> Option<u64> {
    let mut lines = limits.lines();
    let soft = lines.find_map(|line| line.strip_prefix("Max address space"))?;
    soft.split_whitespace().next()?.parse().ok()
}

fn of_machine(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let total = lines.find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::Status;

    /// A machine of 8 GiB with these files beside.
    fn machine_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let total = (
            "proc/meminfo",
            "MemTotal:        8388608 kB\nMemFree: 1 kB\n",
        );
        for (name, text) in files.iter().chain([&total]) {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const MIB_512: &str = "536870912\n";

    #[test]
    fn the_lowest_limit_counts_in_both_versions() {
        let of = |files: &[(&str, &str)]| limit(machine_with(files).path()).map(|it| it / MIB);
        assert_eq!(of(&[]), Some(8192));
        // Version 2: as a container sees itself, and as the host sees it.
        let inside = [
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", MIB_512),
        ];
        assert_eq!(of(&inside), Some(512));
        let nested = [
            ("proc/self/cgroup", "0::/ecs/task/container\n"),
            ("sys/fs/cgroup/ecs/task/container/memory.max", "max\n"),
            ("sys/fs/cgroup/ecs/task/memory.max", MIB_512),
            ("sys/fs/cgroup/ecs/memory.max", "4294967296\n"),
        ];
        assert_eq!(of(&nested), Some(512));
        // Version 1 says a number near 2^63 where there is no limit.
        let first = [
            (
                "proc/self/cgroup",
                "5:cpu,cpuacct:/ecs/task\n4:memory:/ecs/task\n1:name=systemd:/\n",
            ),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            (
                "sys/fs/cgroup/memory/ecs/task/memory.limit_in_bytes",
                MIB_512,
            ),
        ];
        assert_eq!(of(&first), Some(512));
        let own = "Max address space         536870912            unlimited            bytes\n";
        assert_eq!(of(&[("proc/self/limits", own)]), Some(512));
        let none = own.replace("536870912", "unlimited");
        assert_eq!(of(&[("proc/self/limits", &none)]), Some(8192));
        assert_eq!(limit(Path::new("/nowhere")), None);
    }

    #[test]
    fn threads_that_fit_are_well() {
        let root = machine_with(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", MIB_512),
        ]);
        let status = |threads| of(threads, root.path()).status;
        assert_eq!(status(1), Status::Ok);
        assert_eq!(status(20), Status::Ok, "380 + 128 = 508");
        assert_eq!(status(21), Status::Failed, "399 + 128 = 527");
        let evidence = of(21, root.path()).evidence;
        assert!(
            evidence.contains("21 hashing threads × 19 MiB + 128 MiB = 527 MiB"),
            "{evidence}"
        );
        assert!(evidence.ends_with("512 MiB are there"), "{evidence}");
        assert_eq!(of(1, Path::new("/nowhere")).status, Status::Ok);
    }
}
