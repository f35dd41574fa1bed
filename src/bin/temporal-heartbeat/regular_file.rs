//! Reads files that a command writes.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

/// What changes whenever a file is replaced or written.
#[derive(PartialEq)]
pub struct Version {
    inode: u64,
    changed_at: (i64, i64),
}

/// Returns the version of a regular file; `None` without one.
pub fn version(path: &Path) -> Option<Version> {
    let metadata = path.metadata().ok().filter(Metadata::is_file)?;
    Some(Version { inode: metadata.ino(), changed_at: (metadata.ctime(), metadata.ctime_nsec()) })
}

/// The content of a file, or its size in bytes if that is over the limit.
pub type Content = Result<Vec<u8>, u64>;

/// Reads a regular file. Any other file is an error: to read a named pipe or a device could block, or never end.
pub fn read(path: &Path, limit: u64) -> io::Result<Content> {
    // Without O_NONBLOCK, opening a named pipe would wait for its writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it isn't a regular file"));
    }
    let mut content = Vec::new();
    // The file may grow while it is read.
    file.take(limit + 1).read_to_end(&mut content)?;
    let size = metadata.len().max(content.len() as u64);
    Ok(if size > limit { Err(size) } else { Ok(content) })
}
