//! Tests options, variables and files together.

use super::{table::KEYS, *};
use crate::model::status::Status;

fn read(json: &str, variables: &[(&str, &str)]) -> Result<Options> {
    // So that the tests don't read the user's own file.
    let home = [("XDG_CONFIG_HOME", "/nonexistent")];
    let variables = variables.iter().chain(&home).map(|(name, value)| (name.into(), value.into())).collect();
    Options::with_environment(json.as_bytes(), variables)
}

fn refused(json: &str, variables: &[(&str, &str)]) -> (Status, String) {
    let error = read(json, variables).unwrap_err();
    (error.status(), error.message().to_owned())
}

#[test]
fn default_is_the_local_server() {
    let options = read("", &[]).unwrap();
    assert_eq!(options.address.text, "127.0.0.1:7233");
    assert_eq!(options.namespace, "default");
    assert!(!options.lazy);
    assert!(options.identity.resolve().starts_with(&format!("{}@", std::process::id())));
    assert_eq!(read("{}", &[]).unwrap(), options);
}

#[test]
fn option_overrides_variable_and_variable_overrides_default() {
    let variables = [("TEMPORAL_ADDRESS", "env:1"), ("TEMPORAL_NAMESPACE", "env")];
    let options = read("{\"address\":\"[::1]:2\"}", &variables).unwrap();
    assert_eq!((options.address.host.as_str(), options.address.port), ("::1", 2));
    assert_eq!(options.namespace, "env");
}

#[test]
fn empty_variable_is_ignored() {
    let empty =
        read("", &[("TEMPORAL_ADDRESS", ""), ("TEMPORAL_API_KEY", ""), ("TEMPORAL_TLS", "")]).unwrap();
    let absent = read("", &[]).unwrap();
    assert_eq!((empty.address, empty.security), (absent.address, absent.security));
}

#[test]
fn unknown_variables_are_ignored() {
    assert!(read("", &[("TEMPORAL_TLSX", "1"), ("TEMPORAL_ACTIVITY_ID", "1"), ("PATH", "x")]).is_ok());
}

#[test]
fn address_may_have_the_scheme_of_gos_clients() {
    let options = read(r#"{"address":"dns:///server.example:7233"}"#, &[]).unwrap();
    assert_eq!((options.address.host.as_str(), options.address.port), ("server.example", 7233));
    assert_eq!(options.authority, "server.example:7233");
}

#[test]
fn newer_variables_override_older_ones() {
    let older = [("TEMPORAL_TLS_CERT", "/c"), ("TEMPORAL_TLS_KEY", "/k"), ("TEMPORAL_TLS_CA", "/ca")];
    let origins = |more: &[(&str, &str)]| {
        let options = read("", &[&older[..], more].concat()).unwrap();
        options.security.origins().map(ToString::to_string).collect::<Vec<_>>()
    };
    let all = ["TEMPORAL_TLS_CA (/ca)", "TEMPORAL_TLS_CERT (/c)", "TEMPORAL_TLS_KEY (/k)"];
    assert_eq!(origins(&[]), all);
    assert_eq!(
        origins(&[("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/new")])[0],
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH (/new)"
    );
    assert_eq!(origins(&[("TEMPORAL_TLS_CLIENT_CERT_DATA", "pem")])[1], "TEMPORAL_TLS_CLIENT_CERT_DATA");
    assert_eq!(origins(&[("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "")]), all[1..]);
}

#[test]
fn invalid_address_is_explained() {
    for (address, why) in [
        ("localhost", "no port"),
        ("http://localhost:7233", "scheme"),
        ("localhost:0", "port"),
        ("localhost:x", "port"),
        (":7233", "no host"),
        ("::1:7233", "brackets"),
        ("[::1:7233", "brackets"),
        ("a b:7233", "character"),
        ("u@h:7233", "character"),
        ("unix:", "no path"),
        ("unix://", "no path"),
    ] {
        let (status, message) = refused(&format!("{{\"address\":\"{address}\"}}"), &[]);
        assert_eq!(status, Status::Config);
        assert!(message.contains("options.address") && message.contains(why), "{address}: {message}");
    }
    assert!(refused("", &[("TEMPORAL_ADDRESS", "x")]).1.contains("TEMPORAL_ADDRESS"));
}

#[test]
fn a_socket_in_the_file_system_is_an_address() {
    for (address, path) in
        [("unix:/run/t.sock", "/run/t.sock"), ("unix:///run/t.sock", "/run/t.sock"), ("unix:t", "t")]
    {
        let options = read(&format!("{{\"address\":\"{address}\"}}"), &[]).unwrap();
        assert_eq!(options.address.path.as_deref(), Some(std::path::Path::new(path)));
        assert_eq!((options.authority.as_str(), options.address.text.as_str()), ("localhost", address));
    }
    let (status, message) = refused(r#"{"address":"unix:t","proxy":"a:1"}"#, &[]);
    assert!(status == Status::Config && message.contains("proxy can't reach unix:t"), "{message}");
}

#[test]
fn options_of_the_wrong_kind_are_configuration_errors() {
    for json in
        ["{\"lazy\":1}", "{\"connect_timeout_ms\":0}", "{\"namespace\":\"\"}", "{\"nonsense\":1}", "nonsense"]
    {
        assert_eq!(refused(json, &[]).0, Status::Config, "{json}");
    }
}

#[test]
fn every_default_is_a_valid_value() {
    for key in KEYS.iter().filter(|key| key.default.is_some()) {
        assert!(key.default_value().is_some(), "{}", key.name);
    }
}

#[test]
fn groups_are_contiguous_and_alternatives_are_mutual() {
    let groups: Vec<_> = KEYS.iter().filter_map(|key| key.group()).collect();
    let mut runs = groups.clone();
    runs.dedup();
    assert_eq!(runs.len(), groups.into_iter().collect::<std::collections::HashSet<_>>().len());
    for key in KEYS {
        let other =
            key.alternative.map(|name| KEYS.iter().find(|other| other.name == name).unwrap().alternative);
        assert!(other.is_none_or(|other| other == Some(key.name)), "{}", key.name);
    }
}

#[test]
fn options_show_no_secret() {
    let json = r#"{"api_key":"hunter2","grpc_meta":{"x-token":"hunter2"},
        "tls":{"client_cert_data":"hunter2","client_key_data":"hunter2","server_ca_cert_data":"hunter2"},
        "proxy":{"target_host":"a:1","basic_auth_user":"u","basic_auth_password":"hunter2"}}"#;
    let options = read(json, &[("TEMPORAL_GRPC_META_Y", "hunter2")]).unwrap();
    assert!(!format!("{options:?}").contains("hunter2"), "{options:?}");
}

#[test]
fn api_key_turns_tls_on_unless_it_is_disabled() {
    let tls = |json: &str, variables: &[(&str, &str)]| read(json, variables).unwrap().security.tls.is_some();
    assert!(!tls("", &[]));
    assert!(tls(r#"{"api_key":"k"}"#, &[]));
    assert!(tls("", &[("TEMPORAL_API_KEY", "k")]));
    assert!(!tls(r#"{"api_key":"k","tls":false}"#, &[]));
    assert!(!tls("", &[("TEMPORAL_API_KEY", "k"), ("TEMPORAL_TLS", "0")]));
    assert!(tls(r#"{"tls":true}"#, &[("TEMPORAL_TLS", "false")]));
    assert!(!tls(r#"{"tls":false}"#, &[("TEMPORAL_TLS_SERVER_NAME", "a")]));
    assert!(tls("", &[("TEMPORAL_TLS_SERVER_NAME", "a")]));
}

#[test]
fn tls_option_turns_tls_on() {
    let json = r#"{"tls":{"server_name":"a"}}"#;
    assert!(read(json, &[("TEMPORAL_TLS", "false")]).unwrap().security.tls.is_some());
    assert!(read("{\"tls\":{}}", &[]).unwrap().security.tls.is_some());
    assert!(read("{\"tls\":{\"disabled\":true,\"server_name\":\"a\"}}", &[]).unwrap().security.tls.is_none());
}

#[test]
fn path_and_data_are_exclusive_within_a_source() {
    for (one, other) in
        [("server_ca_cert", "SERVER_CA_CERT"), ("client_cert", "CLIENT_CERT"), ("client_key", "CLIENT_KEY")]
    {
        let json = format!(r#"{{"tls":{{"{one}_path":"p","{one}_data":"d"}}}}"#);
        let (status, message) = refused(&json, &[]);
        assert_eq!(status, Status::Config);
        assert!(
            message.contains(&format!("tls.{one}_path")) && message.contains(&format!("{one}_data")),
            "{message}"
        );
        let path = format!("TEMPORAL_TLS_{other}_PATH");
        let data = format!("TEMPORAL_TLS_{other}_DATA");
        let (_, message) = refused("", &[(&path, "p"), (&data, "d")]);
        assert!(message.contains(&path) && message.contains(&data), "{message}");
    }
    let options = read(r#"{"api_key_path":"/p"}"#, &[("TEMPORAL_API_KEY", "k")]).unwrap();
    assert!(matches!(options.security.api_key, Some(Origin { place: Place::File(_), .. })));
}

#[test]
fn certificate_needs_its_key() {
    let (_, message) = refused(r#"{"tls":{"client_cert_data":"c"}}"#, &[]);
    assert!(
        message.contains("options.tls.client_cert_data") && message.contains("client_key_path"),
        "{message}"
    );
    let (_, message) = refused("", &[("TEMPORAL_TLS_CLIENT_KEY_PATH", "k")]);
    assert!(message.contains("TEMPORAL_TLS_CLIENT_KEY_PATH"), "{message}");
}

#[test]
fn headers_of_all_sources_are_merged_with_normalized_names() {
    let variables = [
        ("TEMPORAL_GRPC_META_X_ONE", "env"),
        ("TEMPORAL_GRPC_META_X_TWO", "env"),
        ("TEMPORAL_GRPC_META_GONE", ""),
    ];
    let options =
        read(r#"{"grpc_meta":{"X_Two":"option","gone":"stays","x-raw-bin":"a?>"}}"#, &variables).unwrap();
    let headers = options.security.headers.map();
    for (name, value) in [("x-one", "env"), ("x-two", "option"), ("gone", "stays"), ("x-raw-bin", "YT8+")] {
        assert_eq!(headers.get(name).unwrap(), value, "{name}");
    }
    assert!(headers.iter().all(|(_, value)| value.is_sensitive()));
    for name in ["te", "grpc-timeout", ":path", "a b", ""] {
        assert_eq!(
            refused(&format!("{{\"grpc_meta\":{{\"{name}\":\"x\"}}}}"), &[]).0,
            Status::Config,
            "{name}"
        );
    }
    let (_, message) = refused(r#"{"grpc_meta":{"x-a":"hunter2\u00e9"}}"#, &[]);
    assert!(message.contains("x-a") && !message.contains("hunter2"), "{message}");
}

#[test]
fn invalid_boolean_error_names_the_variable() {
    for name in ["TEMPORAL_TLS", "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION"] {
        let (status, message) = refused("", &[(name, "yes")]);
        assert_eq!(status, Status::Config);
        assert!(message.contains(name) && message.contains("true or false"), "{message}");
    }
}

#[test]
fn reconfiguring_changes_only_the_named_options() {
    let options =
        read(r#"{"api_key":"old","grpc_meta":{"a":"1","b":"1"},"tls":{"server_name":"n"}}"#, &[]).unwrap();
    let changed = options.reconfigured(br#"{"api_key_path":"/new","grpc_meta":{"b":"2"}}"#).unwrap();
    assert!(matches!(changed.security.api_key, Some(Origin { place: Place::File(_), .. })));
    assert_eq!(changed.security.tls, options.security.tls);
    let headers = changed.security.headers.map();
    assert!(headers.get("a").unwrap() == "1" && headers.get("b").unwrap() == "2");
    let error = options.reconfigured(br#"{"address":"a:1"}"#).unwrap_err();
    assert!(error.message().contains("options.address") && error.message().contains("disconnect"), "{error}");
}

#[test]
fn codec_server_is_read_from_its_url() {
    let options = read(
        r#"{"namespace":"n","codec_endpoint":"https://codec.example.com/v1/{namespace}/","codec_auth":"Bearer hunter2"}"#,
        &[],
    );
    let codec = options.unwrap().codec.unwrap();
    assert_eq!((codec.address.text.as_str(), codec.path.as_str()), ("codec.example.com:443", "/v1/n"));
    assert_eq!(codec.authority, "codec.example.com");
    assert_eq!(codec.security.headers.map().get("authorization").unwrap(), "Bearer hunter2");
    assert_eq!(codec.security.tls.unwrap().server_name, "codec.example.com".try_into().unwrap());
    let local = read("", &[("TEMPORAL_CODEC_ENDPOINT", "http://[::1]:8081")]).unwrap().codec.unwrap();
    assert_eq!((local.address.port, local.security.tls), (8081, None));
}

#[test]
fn codec_server_of_the_environment_can_be_turned_off() {
    let variables = [("TEMPORAL_CODEC_ENDPOINT", "http://127.0.0.1:1"), ("TEMPORAL_CODEC_AUTH", "x")];
    assert!(read("", &variables).unwrap().codec.is_some());
    assert_eq!(read(r#"{"codec_endpoint":""}"#, &variables).unwrap().codec, None);
}

#[test]
fn values_are_not_sent_in_the_clear_to_another_computer() {
    let given = r#"{"codec_endpoint":"http://codec.example.com:8081"}"#;
    let (status, message) = refused(given, &[]);
    assert!(status == Status::Config && message.contains("codec_http_host"), "{message}");
    assert!(message.contains("reaches codec.example.com by http"), "{message}");
    let allowed = given.replace('}', r#","codec_http_host":"codec.example.com"}"#);
    assert!(read(&allowed, &[]).unwrap().codec.is_some());
}

#[test]
fn mistakes_in_the_options_of_a_codec_server_are_named() {
    for (given, words) in [
        (r#"{"codec_endpoint":"codec.example.com"}"#, "must be a URL"),
        (r#"{"codec_endpoint":"ftp://codec.example.com"}"#, "neither https:// nor http://"),
        (r#"{"codec_endpoint":"https://user@codec.example.com"}"#, "codec_auth"),
        (r#"{"codec_endpoint":"https://codec.example.com?x=1"}"#, "query"),
        (r#"{"codec_endpoint":"https://codec.example.com/{Namespace}"}"#, "only {namespace} is replaced"),
        (r#"{"codec_auth":"hunter2"}"#, "without codec_endpoint (TEMPORAL_CODEC_ENDPOINT)"),
        (r#"{"codec_endpoint":"http://127.0.0.1:1","codec_auth":"hunter2\n"}"#, "options.codec_auth"),
    ] {
        let (status, message) = refused(given, &[]);
        assert!(status == Status::Config && message.contains(words), "{given}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn options_of_an_inactive_connect_are_checked() {
    // The tests run without an activity in their environment.
    assert!(Options::are_inactive(br#"{"when_absent":"inactive","address":"a:1"}"#).unwrap());
    assert!(!Options::are_inactive(br#"{"when_absent":"error"}"#).unwrap());
    assert!(!Options::are_inactive(b"").unwrap());
    for json in [&br#"{"when_absent":"run"}"#[..], br#"{"when_absent":"inactive","adress":"a:1"}"#] {
        assert_eq!(Options::are_inactive(json).unwrap_err().status(), Status::Config);
    }
}
