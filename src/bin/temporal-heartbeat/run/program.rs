//! Checks that a command can be run, before it is needed.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use nix::{errno::Errno, unistd::AccessFlags};

/// Where the system looks for programs if PATH isn't set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Returns the error that running the program would cause. Searches for it as `execvp` does.
pub fn check(program: &OsStr) -> io::Result<()> {
    if program.is_empty() {
        return Err(Errno::ENOENT.into());
    }
    let path = Path::new(program);
    if is_path(program) {
        return check_file(path);
    }
    let folders = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut why = io::Error::from(Errno::ENOENT);
    for folder in env::split_paths(&folders) {
        match check_file(&PathBuf::from(&folder).join(path)) {
            Ok(()) => return Ok(()),
            // A file that can't be run is a better reason than the other folders' lack of the file.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => why = error,
            Err(_) => {}
        }
    }
    Err(why)
}

/// Describes why the program couldn't be run.
pub fn not_run(program: &OsStr, why: &io::Error) -> String {
    let reason = match why.kind() {
        io::ErrorKind::NotFound if check(program).is_ok() => {
            "the interpreter that its first line names doesn't exist"
        }
        io::ErrorKind::NotFound if is_path(program) => "there is no such file",
        io::ErrorKind::NotFound => "there is no such program on the PATH",
        io::ErrorKind::PermissionDenied => "it isn't a file that may be executed",
        _ => &why.to_string(),
    };
    format!("can't run {}: {reason}", program.display())
}

fn is_path(program: &OsStr) -> bool {
    program.as_encoded_bytes().contains(&b'/')
}

fn check_file(path: &Path) -> io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return Err(Errno::EACCES.into());
    }
    Ok(nix::unistd::access(path, AccessFlags::X_OK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(program: &str) -> Option<io::ErrorKind> {
        check(OsStr::new(program)).err().map(|error| error.kind())
    }

    #[test]
    fn programs_are_found_by_path_and_by_name() {
        assert_eq!(kind("sh"), None);
        assert_eq!(kind("/bin/sh"), None);
        assert_eq!(kind("no-such-program"), Some(io::ErrorKind::NotFound));
        assert_eq!(kind("./no-such-program"), Some(io::ErrorKind::NotFound));
        assert_eq!(kind("/etc/passwd"), Some(io::ErrorKind::PermissionDenied));
        assert_eq!(kind("/bin/"), Some(io::ErrorKind::PermissionDenied));
        assert_eq!(kind(""), Some(io::ErrorKind::NotFound));
    }
}
