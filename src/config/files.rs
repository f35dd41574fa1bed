//! Reads the files that options name.

use std::{fmt, fs::File, io, os::fd::AsRawFd, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use zeroize::Zeroizing;

use crate::{
    model::{error::Error, status::Status},
    sys,
};

/// The size of the largest file that is read. A bundle of CA certificates has a few hundred KiB.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// By how much a file may grow between the check of its length and the read.
const MAX_GROWTH_BYTES: usize = 4096;
/// How long a read waits for the writer of a named pipe.
const PIPE_TIMEOUT: Duration = Duration::from_secs(2);

/// Creates the error for a file that can't be read. `source` is the option that names the file.
pub fn unreadable(source: &impl fmt::Display, why: &io::Error) -> Error {
    match sys::descriptor::exhausted(why) {
        Some(step) => Error::new(Status::LocalLimit, format!("{source} can't be read: {why}; {step}")),
        None => Error::config(format!("{source} can't be read: {why}")),
    }
}

/// Reads a whole file of at most [`MAX_BYTES`]. It may contain secrets, so its bytes are erased when dropped.
pub fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Without O_NONBLOCK, opening a named pipe would wait for its writer indefinitely.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    // A pipe, for example, reports the length 0 and may contain any number of bytes.
    let length = file.metadata().map_or(0, |file| file.len());
    let limit = match usize::try_from(length) {
        Ok(length @ 1..MAX_BYTES) => MAX_BYTES.min(length + MAX_GROWTH_BYTES),
        _ => MAX_BYTES,
    };
    let bytes = Zeroizing::new(sys::descriptor::read_to_end(file.as_raw_fd(), limit, PIPE_TIMEOUT)?);
    if bytes.len() > limit {
        return Err(io::Error::other(match limit {
            MAX_BYTES => format!("it has more than {MAX_BYTES} bytes"),
            _ => "it grew while it was read".to_owned(),
        }));
    }
    Ok(bytes)
}

/// Reads a whole file as text.
pub fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    let bytes = read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::other("it isn't valid UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn file_is_read_completely_or_not_at_all() {
        let path = std::env::temp_dir().join(format!("thb-files-{}", std::process::id()));
        fs::write(&path, vec![b'x'; MAX_BYTES]).unwrap();
        assert_eq!(read_text(&path).unwrap().len(), MAX_BYTES);
        fs::write(&path, vec![b'x'; MAX_BYTES + 1]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("more than"));
        fs::write(&path, b"\xff").unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("UTF-8"));
        fs::remove_file(&path).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(read(&std::env::temp_dir()).is_err());
    }
}
