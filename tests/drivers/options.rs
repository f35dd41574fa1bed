//! Prints the effective configuration of options (JSON, the only argument), environment and file, for the comparison with the
//! loaders of the official SDKs. The keys are those of the SDKs.
#![allow(clippy::unwrap_used, reason = "a test program")]

use serde_json::{Map, Value, json};
use temporal_heartbeat::config::{Options, Origin, Place};

fn main() {
    let json = std::env::args().nth(1).unwrap_or_default();
    let told = match Options::read(json.as_bytes()) {
        Ok(options) => told(&options),
        Err(error) => json!({"error": error.to_string()}),
    };
    println!("{told}");
}

fn told(options: &Options) -> Value {
    let security = &options.security;
    let tls = security.tls.as_ref().map(|tls| {
        let mut told = Map::new();
        put(&mut told, "server_ca_cert", tls.server_ca_cert.as_ref());
        put(&mut told, "client_cert", tls.client_cert.as_ref().map(|(cert, _)| cert));
        put(&mut told, "client_key", tls.client_cert.as_ref().map(|(_, key)| key));
        told.insert("server_name".to_owned(), json!(tls.server_name.to_str()));
        told.insert("disable_host_verification".to_owned(), json!(tls.disable_host_verification));
        told
    });
    let headers: Map<String, Value> = security
        .headers
        .map()
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
        .collect();
    json!({
        "address": options.address.text,
        "namespace": options.namespace,
        "authority": options.authority.as_str(),
        "api_key": security.api_key.as_ref().map(place),
        "tls": tls,
        "grpc_meta": headers,
    })
}

fn put(told: &mut Map<String, Value>, name: &str, origin: Option<&Origin>) {
    if let Some(origin) = origin {
        let kind = if origin.is_file() { "path" } else { "data" };
        told.insert(format!("{name}_{kind}"), json!(place(origin)));
    }
}

fn place(origin: &Origin) -> String {
    match &origin.place {
        Place::Here(text) => text.to_string(),
        Place::File(path) => path.display().to_string(),
    }
}
