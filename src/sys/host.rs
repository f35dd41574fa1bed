//! The name of this machine.

/// Returns the host name, or `unknown`.
pub fn name() -> String {
    // POSIX's limit on a host name is 255 bytes.
    let mut name = [0_u8; 256];
    // SAFETY: the pointer and the length are those of one array that outlives the call.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    let text = name.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(text) {
        Ok(text) if result == 0 && !text.is_empty() => text.to_owned(),
        _ => "unknown".to_owned(),
    }
}
