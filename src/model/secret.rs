//! Secrets: never logged, and wiped from memory when dropped.

use std::{fmt, ops::Deref};

use bytes::Bytes;
use zeroize::{Zeroize, Zeroizing};

/// A text that is never logged, and wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(Zeroizing::new(text))
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(text: Zeroizing<String>) -> Self {
        Secret(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}

/// Returns shared bytes that are wiped when the last reference is dropped.
pub fn shared(bytes: impl Into<Vec<u8>>) -> Bytes {
    Bytes::from_owner(Wiped(bytes.into()))
}

/// Like `Zeroizing<Vec<u8>>`, which wipes byte by byte. For large details that takes more time than everything else.
struct Wiped(Vec<u8>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "...");
    }
}
