//! Compiles `proto/` with protox, so that there is no protoc to install.

use std::env;

use prost_build::{Config, Service, ServiceGenerator};

/// The first file imports the others, except the messages that are sent inside byte fields.
const PROTOS: [&str; 4] = [
    "temporal/api/workflowservice/v1/service.proto",
    "temporal/api/errordetails/v1/message.proto",
    "temporal/server/api/token/v1/message.proto",
    "google/rpc/status.proto",
];

/// Calls that the command-line program makes, and the library doesn't.
const PROGRAM_ONLY: [&str; 2] = ["PollActivityTaskQueue", "ShutdownWorker"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");

    let descriptors = protox::compile(PROTOS, ["proto"])?;
    Config::new()
        .bytes(["."])
        .enable_type_names()
        .type_attribute(".", "#[allow(missing_docs)]")
        .enum_attribute(".", "#[allow(missing_docs)]")
        // Values are passed on as the bytes that came, so this one type is written by hand.
        .extern_path(".temporal.api.common.v1.Payloads", "crate::model::payload::Payloads")
        .service_generator(Box::new(Methods))
        .include_file("proto.rs")
        .out_dir(env::var("OUT_DIR")?)
        .compile_fds(descriptors)?;
    Ok(())
}

/// Writes one typed constant per call of the service: its number, its path, its request and its response; and all names by number.
struct Methods;

impl ServiceGenerator for Methods {
    fn generate(&mut self, service: Service, buf: &mut String) {
        for (number, method) in service.methods.iter().enumerate() {
            if PROGRAM_ONLY.contains(&method.proto_name.as_str()) {
                buf.push_str("#[cfg(feature = \"cli\")]\n");
            }
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
