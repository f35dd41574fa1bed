//! What may be secret: never shown, and wiped from memory when it is dropped.

use std::{fmt, ops::Deref};

use bytes::Bytes;
use zeroize::{Zeroize, Zeroizing};

/// A text that is neither shown nor left behind.
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

/// Bytes that are wiped when the last of those who share them is gone.
pub fn shared(bytes: impl Into<Vec<u8>>) -> Bytes {
    Bytes::from_owner(Wiped(bytes.into()))
}

/// As `Zeroizing<Vec<u8>>`, which goes from byte to byte and takes more time for large details than all else that is done for them.
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
    fn nothing_of_it_is_shown() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "...");
    }
}
