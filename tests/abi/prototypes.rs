//! The rules for every prototype of the header.

use std::{collections::BTreeSet, process::Command};

use crate::built::{output, root};

/// A function of the header.
struct Prototype {
    result: String,
    name: String,
    parameters: Vec<String>,
}

/// Returns the header's own declarations as the C compiler sees them, on one line.
fn declarations() -> String {
    let header = root().join("include/temporal_heartbeat.h");
    let text = output(Command::new("cc").args(["-E", "-P"]).arg(header));
    let ours = text.find("typedef enum thb_status").unwrap();
    text[ours..].split_whitespace().collect::<Vec<_>>().join(" ")
}

fn prototypes() -> Vec<Prototype> {
    let text = declarations();
    let found: Vec<_> = text
        .split(';')
        .filter_map(|statement| {
            let (before, parameters) = statement.trim().split_once('(')?;
            let split = before.rfind([' ', '*'])? + 1;
            Some(Prototype {
                result: before[..split].trim().to_owned(),
                name: before[split..].to_owned(),
                parameters: parameters
                    .trim_end_matches(')')
                    .split(',')
                    .map(|parameter| parameter.trim().replace("struct ", ""))
                    .filter(|parameter| parameter != "void")
                    .collect(),
            })
        })
        .collect();
    assert!(found.len() > 25, "{} prototypes", found.len());
    found
}

/// Returns the names of all functions.
pub fn names() -> BTreeSet<String> {
    prototypes().into_iter().map(|prototype| prototype.name).collect()
}

#[test]
fn every_function_name_has_the_prefix() {
    assert!(names().iter().all(|name| name.starts_with("thb_")));
}

#[test]
fn error_out_is_the_last_parameter_of_functions_that_return_a_status() {
    for Prototype { result, name, parameters } in prototypes() {
        // The status that these functions return isn't the outcome of the call, or is the complete outcome.
        let fails = result == "thb_status_t" && !["thb_error_code", "thb_check_abi"].contains(&name.as_str());
        let place = parameters.iter().position(|parameter| parameter == "thb_error_t **error_out");
        assert_eq!(place, fails.then(|| parameters.len() - 1), "{name}");
    }
}

#[test]
fn outputs_follow_inputs() {
    for Prototype { name, parameters, .. } in prototypes() {
        let outputs: Vec<_> = parameters.iter().map(|parameter| parameter.ends_with("_out")).collect();
        assert!(outputs.is_sorted(), "{name}");
    }
}

#[test]
fn times_have_a_unit() {
    for Prototype { name, parameters, .. } in prototypes() {
        for parameter in parameters.iter().filter(|parameter| parameter.contains("time")) {
            assert_eq!(parameter, "uint32_t timeout_ms", "{name}");
        }
    }
}

#[test]
fn bytes_have_a_length() {
    for Prototype { name, parameters, .. } in prototypes() {
        for pair in parameters.windows(2) {
            let [first, second] = pair else { unreachable!() };
            let bytes = ["const void *", "const char *"].iter().find_map(|kind| first.strip_prefix(kind));
            if let Some(bytes) = bytes {
                let stem = bytes.trim_end_matches("_json");
                assert_eq!(*second, format!("size_t {stem}_len"), "{name}");
            }
        }
    }
}

#[test]
fn signatures_have_no_callbacks_fields_or_enums() {
    let text = declarations();
    assert!(!text.contains("(*"), "a function pointer");
    assert!(!text.contains("struct {"), "a struct with fields");
    let bodies =
        text.split("struct thb_").skip(1).filter(|after| after.split_once(' ').unwrap().1.starts_with('{'));
    assert_eq!(bodies.count(), 0, "a struct with fields");
    for Prototype { result, name, parameters } in prototypes() {
        let enums = ["thb_status ", "thb_encoding ", "thb_signal ", "enum "];
        let uses = |text: &str| enums.iter().any(|name| format!("{text} ").starts_with(name));
        assert!(!uses(&result) && !parameters.iter().any(|parameter| uses(parameter)), "{name}");
    }
}
