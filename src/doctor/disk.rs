//! The folder of the embedded store: whether it can be written, and how much room it has.

use std::io;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use crate::config::{DatabaseUrl, RedisUrl, Stores};
use crate::model::finding::Finding;

/// Below that a busy day may fill it.
const FREE_MIN: u64 = 64 * 1024 * 1024;

/// Looks at it, if anything is kept in a file. It makes no file to find out.
pub fn of(config: &Stores) -> Option<Finding> {
    let file = match (&config.database_url, &config.redis_url) {
        (DatabaseUrl::Sqlite(file), _) | (_, RedisUrl::Sqlite(file)) => file,
        _ => return None,
    };
    let folder = existing(file);
    Some(match room(folder) {
        Ok(free) => Finding::failed_if(
            free < FREE_MIN,
            "disk",
            format!("{} has {} MiB free", folder.display(), free / 1024 / 1024),
        ),
        Err(error) => {
            let evidence = format!("{} cannot be written: {error}", folder.display());
            Finding::failed("disk", evidence)
        }
    })
}

/// The nearest folder that is there: the first start makes the others.
fn existing(file: &Path) -> &Path {
    let folders = file.ancestors().skip(1);
    let mut folders = folders.filter(|folder| !folder.as_os_str().is_empty());
    let found = folders.find(|folder| folder.exists());
    found.unwrap_or(Path::new("."))
}

fn room(folder: &Path) -> io::Result<u64> {
    if !folder.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    // Says no on a file system that is read-only, too.
    access(folder, Access::WRITE_OK)?;
    let room = statvfs(folder)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}
