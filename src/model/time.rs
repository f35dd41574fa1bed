//! Converts timestamps of the server.

use prost_types::Timestamp;

/// Returns nanoseconds since 1970; 0 without a timestamp.
pub fn unix_ns(time: Option<Timestamp>) -> i64 {
    time.map_or(0, |time| time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanos.into()))
}

/// Returns milliseconds since 1970; 0 without a timestamp.
pub fn unix_ms(time: Option<Timestamp>) -> i64 {
    unix_ns(time) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_timestamp_is_zero() {
        assert_eq!((unix_ms(None), unix_ns(None)), (0, 0));
        assert_eq!(unix_ms(Some(Timestamp { seconds: 1, nanos: 2_999_999 })), 1002);
    }
}
