//! The numbers in the header equal those in the Rust code.

use temporal_heartbeat::{
    abi::{
        about::{thb_check_abi, thb_status_name},
        types::{THB_ABI_VERSION, THB_FOREVER, thb_encoding, thb_signal},
    },
    model::{deadline::Timeout, payload::Encoding, signals::Signals, status::Status},
};

const HEADER: &str = include_str!("../../include/temporal_heartbeat.h");

/// Returns the enumerators of one enumeration of the header.
fn enumerators(list: &str) -> Vec<(String, i32)> {
    let body = HEADER.split(&format!("enum {list} {{")).nth(1).unwrap().split('}').next().unwrap();
    let lines = body.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(" = "));
    lines.map(|(name, number)| (name.to_owned(), number.parse().unwrap())).collect()
}

#[test]
fn every_status_has_its_number_and_name() {
    let logic: Vec<_> = Status::ALL
        .iter()
        .map(|status| (status.name().to_str().unwrap().to_owned(), status.code()))
        .collect();
    assert_eq!(enumerators("thb_status"), logic);
}

#[test]
fn unknown_status_has_a_name() {
    for unknown in [-1, 27, i32::MIN, i32::MAX] {
        // SAFETY: a static string.
        let name = unsafe { std::ffi::CStr::from_ptr(thb_status_name(unknown)) };
        assert_eq!(name, c"THB_UNKNOWN");
    }
}

#[test]
fn every_encoding_has_its_number() {
    for (number, encoding) in [
        (thb_encoding::THB_ENCODING_NONE as i32, Encoding::None),
        (thb_encoding::THB_ENCODING_JSON as i32, Encoding::Json),
        (thb_encoding::THB_ENCODING_BINARY as i32, Encoding::Binary),
        (thb_encoding::THB_ENCODING_NULL as i32, Encoding::Null),
        (thb_encoding::THB_ENCODING_PAYLOADS as i32, Encoding::Payloads),
    ] {
        assert_eq!(Encoding::from_code(number).unwrap(), encoding);
    }
    assert!(Encoding::from_code(5).is_err() && Encoding::from_code(-1).is_err());
}

#[test]
fn every_signal_has_its_bit() {
    assert_eq!(thb_signal::THB_SIGNAL_CANCEL_REQUESTED as u32, Signals::CANCEL_REQUESTED.bits());
    assert_eq!(thb_signal::THB_SIGNAL_PAUSED as u32, Signals::PAUSED.bits());
    assert_eq!(thb_signal::THB_SIGNAL_RESET as u32, Signals::RESET.bits());
}

#[test]
fn forever_is_forever() {
    assert_eq!(Timeout::from_ms(THB_FOREVER).unwrap(), Timeout::Forever);
}

#[test]
fn check_abi_accepts_the_same_major_and_no_newer_minor() {
    assert_eq!(thb_check_abi(THB_ABI_VERSION), 0);
    for other in [THB_ABI_VERSION + 1, THB_ABI_VERSION + (1 << 16), u32::MAX] {
        assert_eq!(thb_check_abi(other), Status::AbiMismatch.code());
    }
}

#[test]
fn version_equals_the_crate_version() {
    assert_eq!(temporal_heartbeat::api::rpc::VERSION.to_str().unwrap(), env!("CARGO_PKG_VERSION"));
}
