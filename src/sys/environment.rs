//! Whether the process may trust its environment.

/// Returns whether the process has more rights than its caller, as with a set-user-ID bit or with capabilities of the
/// program's file. The caller controls the environment. It must not use the additional rights to read other files, or to
/// make the process trust another server.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn is_untrusted() -> bool {
    // SAFETY: no pointers are passed.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Returns the same on other systems.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn is_untrusted() -> bool {
    unsafe extern "C" {
        fn issetugid() -> libc::c_int;
    }
    // SAFETY: no pointers are passed.
    unsafe { issetugid() != 0 }
}
