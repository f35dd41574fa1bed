//! Generates `src/proto` from `proto/`, and checks that it isn't stale. Users who compile the library need neither the generator nor protoc.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, env, fs, path::Path};

use prost_build::{Config, Service, ServiceGenerator};

/// The first file imports the others, except the messages that are sent inside byte fields.
const PROTOS: [&str; 4] = [
    "temporal/api/workflowservice/v1/service.proto",
    "temporal/api/errordetails/v1/message.proto",
    "temporal/server/api/token/v1/message.proto",
    "google/rpc/status.proto",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn generate(folder: &Path) {
    let descriptors = protox::compile(PROTOS, [root().join("proto")]).unwrap();
    Config::new()
        .bytes(["."])
        // So that the names have an order.
        .btree_map(["temporal.api.common.v1.Header"])
        .enable_type_names()
        .type_attribute(".", "#[allow(missing_docs)]")
        .enum_attribute(".", "#[allow(missing_docs)]")
        // Values are passed on as the bytes that came, so this one type is written by hand.
        .extern_path(".temporal.api.common.v1.Payloads", "crate::model::payload::Payloads")
        .service_generator(Box::new(Methods))
        .include_file("mod.rs")
        .out_dir(folder)
        .compile_fds(descriptors)
        .unwrap();
}

/// Returns the files of a folder by name.
fn contents(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|file| (file.file_name().unwrap().to_str().unwrap().into(), fs::read_to_string(&file).unwrap()))
        .collect()
}

/// Empties a folder, which may not exist.
fn empty(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
}

#[test]
fn code_is_generated_from_the_proto_files() {
    let generated = root().join("src/proto");
    if env::var_os("THB_UPDATE_PROTO").is_some() {
        empty(&generated);
        generate(&generated);
    }
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proto");
    empty(&fresh);
    generate(&fresh);
    assert!(contents(&generated) == contents(&fresh), "{} is stale: run `make proto`", generated.display());
}

/// Writes one typed constant per call of the service: its number, its path, its request and its response; and all names by number.
struct Methods;

impl ServiceGenerator for Methods {
    fn generate(&mut self, service: Service, buf: &mut String) {
        for (number, method) in service.methods.iter().enumerate() {
            let name = method.proto_name.chars().fold(String::new(), |mut name, letter| {
                if letter.is_uppercase() && !name.is_empty() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
                name
            });
            buf.push_str(&format!(
                "#[doc = \"`{call}`\"]\npub const {name}: crate::model::method::Method<{input}, {output}> =\n    \
                 crate::model::method::Method::new({number}, \"{call}\", \"/{package}.{service}/{call}\");\n",
                call = method.proto_name,
                input = method.input_type,
                output = method.output_type,
                package = service.package,
                service = service.proto_name,
            ));
        }
        let names: Vec<_> = service.methods.iter().map(|method| method.proto_name.as_str()).collect();
        buf.push_str(&format!(
            "/// The calls' names, by number.\npub const CALLS: [&str; {}] = {names:?};\n",
            names.len()
        ));
    }
}
