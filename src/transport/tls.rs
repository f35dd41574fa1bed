//! Encrypts connections, and explains why that fails.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
        SignatureScheme,
        client::{
            ResolvesClientCert, WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{self, CryptoProvider},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem, pem::PemObject},
        sign::CertifiedKey,
    },
};

use super::socket::Socket;
use crate::{
    config::{Origin, Tls},
    model::{
        error::{Error, Result},
        secret::Secret,
        status::Status,
    },
    sys,
};

/// The protocol above TLS, which the handshake negotiates.
#[derive(Clone, Copy, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1. A server needn't name it.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// Returns its name in a handshake.
    fn name(self) -> &'static [u8] {
        match self {
            Protocol::Http1 => b"http/1.1",
            Protocol::Http2 => b"h2",
        }
    }
}

/// The TLS configuration for a server.
pub struct Encryption {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
    /// The group of the options with these settings.
    options: &'static str,
    /// The name of the client certificate in errors, if there is one.
    client_cert: Option<String>,
    /// Which of the CA certificates can't be used, and why.
    skipped: Option<String>,
}

/// An origin and its contents.
type Found<'a> = (&'a Origin, Secret);

impl Encryption {
    /// Creates the configuration from `tls` and the contents of the files that it names.
    pub fn new(tls: &Tls, ca: Option<Found<'_>>, client: Option<(Found<'_>, Found<'_>)>) -> Result<Self> {
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|why| Error::new(Status::Internal, format!("TLS can't be set up: {why}")))?;
        let (verifier, skipped) = verifier(tls, ca, &provider)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let client_cert = client.as_ref().map(|((cert, _), _)| cert.to_string());
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(((cert, cert_text), (key, key_text))) => {
                let chain = certificates(cert, &cert_text)?;
                builder.with_client_auth_cert(chain, private_key(key, &key_text)?).map_err(
                    |why| match why {
                        rustls::Error::InconsistentKeys(_) => {
                            config_error(key, &format!("isn't the key of the certificate in {cert}"))
                        }
                        _ => config_error(cert, &format!("can't be used with {key}: {why}")),
                    },
                )?
            }
        };
        let (config, server_name) = (Arc::new(config), tls.server_name.clone());
        Ok(Encryption { config, server_name, options: tls.options, client_cert, skipped })
    }

    /// Returns which of the CA certificates can't be used, and why.
    pub fn skipped(&self) -> Option<&str> {
        self.skipped.as_deref()
    }

    /// Performs the handshake on `stream`. The returned [`Handshake`] explains later failures that the handshake
    /// caused.
    pub async fn start(
        &self,
        stream: Socket,
        peer: &str,
        protocol: Protocol,
    ) -> Result<(TlsStream<Socket>, Handshake)> {
        let mut handshake = Handshake {
            peer: peer.to_owned(),
            server_name: self.server_name.clone(),
            options: self.options,
            client_cert: self.client_cert.clone(),
            asked_for_cert: Arc::default(),
            protocol,
            is_agreed: false,
        };
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![protocol.name().to_vec()];
        config.client_auth_cert_resolver = Arc::new(Noting {
            resolver: config.client_auth_cert_resolver.clone(),
            asked: handshake.asked_for_cert.clone(),
        });
        let connecting = TlsConnector::from(Arc::new(config)).connect(self.server_name.clone(), stream);
        match connecting.await {
            Ok(stream) => {
                handshake.is_agreed = stream.get_ref().1.alpn_protocol() == Some(protocol.name());
                Ok((stream, handshake))
            }
            Err(why) => Err(handshake.explain(&why)),
        }
    }
}

/// Returns whether the peer of `stream` speaks TLS, even if the handshake fails.
pub async fn is_spoken(stream: Socket) -> bool {
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = Arc::new(AnyHost { chain: None, provider: provider.clone() });
    let Ok(builder) = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
    else {
        return false;
    };
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![Protocol::Http2.name().to_vec()];
    let nobody = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
    match TlsConnector::from(Arc::new(config)).connect(nobody, stream).await {
        Ok(_) => true,
        Err(why) => matches!(fault(&why), Some(why) if !matches!(why, rustls::Error::InvalidMessage(_))),
    }
}

/// Returns the TLS error, if TLS caused the failure.
fn fault(why: &io::Error) -> Option<&rustls::Error> {
    why.get_ref()?.downcast_ref()
}

/// A handshake, to explain its failure.
pub struct Handshake {
    peer: String,
    server_name: ServerName<'static>,
    options: &'static str,
    client_cert: Option<String>,
    asked_for_cert: Arc<AtomicBool>,
    protocol: Protocol,
    /// Whether the server named the protocol, too.
    is_agreed: bool,
}

impl Handshake {
    /// Explains why the handshake failed.
    fn explain(&self, why: &io::Error) -> Error {
        let peer = &self.peer;
        let (what, step) = match fault(why) {
            Some(rustls::Error::InvalidCertificate(why)) => return self.untrusted(why),
            Some(rustls::Error::InvalidMessage(_)) => (
                "it doesn't speak TLS".to_owned(),
                match self.protocol {
                    Protocol::Http1 => "if it uses plain text, its URL begins with http://",
                    Protocol::Http2 => "if the server uses plain text, set tls to false (TEMPORAL_TLS=false)",
                },
            ),
            Some(rustls::Error::AlertReceived(alert)) => return self.alerted(*alert),
            Some(rustls::Error::PeerIncompatible(why)) => (
                format!("it shares no encryption parameters with this client ({why:?})"),
                "it must speak TLS 1.2 or 1.3",
            ),
            Some(rustls::Error::NoApplicationProtocol) => return self.other_protocol(),
            Some(why) => (why.to_string(), "is this the server's address?"),
            None if self.asked_for_cert.load(Ordering::Relaxed) => {
                return self.client_refused(&why.to_string());
            }
            // Probably a network failure.
            None => {
                let what = format!("the connection to {peer} ended during the TLS handshake: {why}");
                return Error::new(Status::Unavailable, format!("{what}; does it speak TLS?"));
            }
        };
        tls_error(format!("no TLS with {peer}: {what}; {step}"))
    }

    /// Explains why the connection ended after the handshake, before any byte from the server. With TLS 1.3 the
    /// server checks the client certificate only then.
    pub fn explain_end(&self, why: Option<&io::Error>) -> Error {
        if let Some(why) = why.filter(|why| fault(why).is_some()) {
            return self.explain(why);
        }
        if self.asked_for_cert.load(Ordering::Relaxed) {
            return self.client_refused("it closed the connection without a reason");
        }
        if !self.is_agreed {
            return self.other_protocol();
        }
        let peer = &self.peer;
        Error::new(Status::Unavailable, format!("{peer} closed the connection right after the TLS handshake"))
    }

    /// Explains an HTTP answer that mentions certificates.
    pub fn client_refused(&self, what: &str) -> Error {
        let options = self.options;
        let step = match &self.client_cert {
            None => format!(
                "it asks for a client certificate: give {options}.client_cert_path and {options}.client_key_path"
            ),
            Some(cert) => format!(
                "it doesn't accept the client certificate ({cert}): has that expired, and does the server trust its CA?"
            ),
        };
        tls_error(format!("no TLS with {}: {what}; {step}", self.peer))
    }

    fn untrusted(&self, why: &CertificateError) -> Error {
        let (name, options) = (self.server_name.to_str(), self.options);
        let (what, step) = match why {
            CertificateError::UnknownIssuer => (
                "isn't signed by a trusted CA".to_owned(),
                format!("give its CA's certificate in {options}.server_ca_cert_path"),
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
                format!("has expired{}", period(why)),
                "the server needs a new one; or is this machine's clock wrong?".to_owned(),
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                (format!("isn't valid yet{}", period(why)), "is this machine's clock wrong?".to_owned())
            }
            CertificateError::NotValidForName => (
                format!("isn't valid for {name}"),
                format!("set {options}.server_name to a name that it is valid for"),
            ),
            CertificateError::NotValidForNameContext { presented, .. } => (
                format!("isn't valid for {name}, but for {}", presented.join(", ")),
                format!("set {options}.server_name to a name that it is valid for, if this is the server"),
            ),
            // The crate of this error isn't a dependency.
            CertificateError::Other(why) if why.to_string().contains("CaUsedAsEndEntity") => (
                "is a CA certificate".to_owned(),
                "such a certificate can't be a server's own, even if it is trusted: sign one for the server with it, or make the \
                 self-signed one without the rights of a CA (openssl req -x509 -addext basicConstraints=critical,CA:FALSE)"
                    .to_owned(),
            ),
            CertificateError::Revoked => ("is revoked".to_owned(), "the server needs a new one".to_owned()),
            why => (format!("can't be trusted ({why})"), "the server needs another one".to_owned()),
        };
        tls_error(format!("no TLS with {}: its certificate {what}; {step}", self.peer))
    }

    fn alerted(&self, alert: AlertDescription) -> Error {
        use AlertDescription as Alert;
        let what = format!("it reports {alert:?}");
        match alert {
            Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied => self.client_refused(&what),
            Alert::NoApplicationProtocol => self.other_protocol(),
            Alert::UnrecognisedName => {
                let (peer, name, options) = (&self.peer, self.server_name.to_str(), self.options);
                tls_error(format!(
                    "no TLS with {peer}: {what} of {name}; set {options}.server_name to a name that it knows"
                ))
            }
            // A server that requires a client certificate and gets none may report nothing more than this.
            _ if self.asked_for_cert.load(Ordering::Relaxed) => self.client_refused(&what),
            _ => {
                tls_error(format!("no TLS with {}: {what}; the server's log may show the reason", self.peer))
            }
        }
    }

    fn other_protocol(&self) -> Error {
        let what = match self.protocol {
            Protocol::Http1 => "it doesn't offer HTTP/1.1 there; is this the codec server's address?",
            Protocol::Http2 => "it doesn't offer HTTP/2 there; is this a gRPC endpoint?",
        };
        tls_error(format!("no TLS with {}: {what}", self.peer))
    }
}

/// Returns until when a certificate was valid, or from when it will be, if known.
fn period(why: &CertificateError) -> String {
    let (time, limit) = match why {
        CertificateError::ExpiredContext { time, not_after } => (time, not_after),
        CertificateError::NotValidYetContext { time, not_before } => (time, not_before),
        _ => return String::new(),
    };
    let (seconds, word) = match (time.as_secs(), limit.as_secs()) {
        (now, then) if now >= then => (now - then, "ago"),
        (now, then) => (then - now, "from now"),
    };
    match seconds {
        0..7200 => format!(" ({} min {word})", seconds / 60),
        7200..172_800 => format!(" ({} h {word})", seconds / 3600),
        _ => format!(" ({} days {word})", seconds / 86_400),
    }
}

fn certificates(origin: &Origin, text: &Secret) -> Result<Vec<CertificateDer<'static>>> {
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let found = match found {
        Ok(found) if found.is_empty() => Err(pem::Error::NoItemsFound),
        found => found,
    };
    found.map_err(|why| config_error(origin, &unreadable(text, "CERTIFICATE", &why)))
}

fn private_key(origin: &Origin, text: &Secret) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|why| config_error(origin, &unreadable(text, "PRIVATE KEY", &why)))
}

/// Explains why a text isn't PEM. Repeats nothing of it, because it may be secret.
fn unreadable(text: &str, wanted: &str, why: &pem::Error) -> String {
    match why {
        _ if text.contains("ENCRYPTED") => {
            "is encrypted: decrypt it, e.g. by `openssl pkey -in KEY -out DECRYPTED`".to_owned()
        }
        _ if text.contains("\\n") => {
            "has \\n where PEM has line breaks: replace each by a line break".to_owned()
        }
        pem::Error::NoItemsFound => {
            format!("has no {} in PEM (-----BEGIN {wanted}-----)", wanted.to_lowercase())
        }
        pem::Error::MissingSectionEnd { .. } => "isn't valid PEM: it has no line with -----END".to_owned(),
        pem::Error::Base64Decode(_) => {
            "isn't valid PEM: it isn't base64 between its first and last line".to_owned()
        }
        _ => "isn't valid PEM".to_owned(),
    }
}

/// Returns the usable certificates of a bundle of CAs, and why others are skipped, as system stores do.
fn given_roots(origin: &Origin, text: &Secret) -> Result<(RootCertStore, Option<String>)> {
    let (mut roots, mut nth, mut skipped) = (RootCertStore::empty(), 0, Vec::new());
    for found in CertificateDer::pem_slice_iter(text.as_bytes()) {
        nth += 1;
        let added = found.map_err(|why| unreadable(text, "CERTIFICATE", &why)).and_then(|certificate| {
            roots.add(certificate).map_err(|why| format!("has a certificate that can't be used: {why}"))
        });
        if let Err(why) = added {
            skipped.push((nth, why));
        }
    }
    if roots.is_empty() {
        let nothing = || unreadable(text, "CERTIFICATE", &pem::Error::NoItemsFound);
        let why = skipped.into_iter().next().map_or_else(nothing, |(_, why)| why);
        return Err(config_error(origin, &why));
    }
    let warning = skipped.first().map(|(nth, why)| {
        format!(
            "{origin} {why}; {} of its {} certificates are skipped, first number {nth}",
            skipped.len(),
            roots.len() + skipped.len()
        )
    });
    Ok((roots, warning))
}

/// Returns the verifier, and which of the given CA certificates it can't use.
fn verifier(
    tls: &Tls,
    ca: Option<Found<'_>>,
    provider: &Arc<CryptoProvider>,
) -> Result<(Arc<dyn ServerCertVerifier>, Option<String>)> {
    let mut skipped = None;
    let chain = match ca {
        None if tls.disable_host_verification => None,
        None => Some(system_roots()?),
        Some((origin, text)) => {
            let roots;
            (roots, skipped) = given_roots(origin, &text)?;
            Some(roots)
        }
    };
    let chain = match chain {
        None => None,
        Some(roots) => {
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
            Some(verifier.map_err(|why| {
                Error::new(Status::Internal, format!("no certificate can be checked: {why}"))
            })?)
        }
    };
    let verifier = match chain {
        Some(chain) if !tls.disable_host_verification => chain as Arc<dyn ServerCertVerifier>,
        chain => Arc::new(AnyHost { chain, provider: provider.clone() }),
    };
    Ok((verifier, skipped))
}

/// Returns the certificates that this machine trusts.
fn system_roots() -> Result<RootCertStore> {
    let chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| std::env::var_os(name).is_some());
    if let Some(variable) = chosen.filter(|_| sys::environment::is_untrusted()) {
        let step = "unset it, or give tls.server_ca_cert_path";
        let why = format!(
            "{variable} must not choose the trusted certificates of a program with more rights than its caller: {step}"
        );
        return Err(Error::new(Status::Config, why));
    }
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(Error::new(
            Status::Config,
            "this machine has no trusted certificates: install them (the package is often called ca-certificates), or give \
             tls.server_ca_cert_path",
        ));
    }
    Ok(roots)
}

/// Accepts a certificate for any name. Checks the signer only if a CA is configured.
#[derive(Debug)]
struct AnyHost {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        // The name is checked last, so all other checks have passed.
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Notes whether the server asks for a client certificate.
#[derive(Debug)]
struct Noting {
    resolver: Arc<dyn ResolvesClientCert>,
    asked: Arc<AtomicBool>,
}

impl ResolvesClientCert for Noting {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.resolver.resolve(hints, schemes)
    }

    fn has_certs(&self) -> bool {
        // Otherwise rustls wouldn't ask the resolver.
        true
    }
}

fn config_error(origin: &Origin, why: &str) -> Error {
    Error::new(Status::Config, format!("{origin} {why}"))
}

fn tls_error(why: String) -> Error {
    Error::new(Status::Tls, why)
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS as {:?}", self.server_name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Place, Security};

    /// Self-signed certificates of "localhost", valid until 2126: with and without the rights of a CA.
    const WITH_CA_RIGHTS: &str = "-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUUjnAsyEeDNAEMmamz+UVWr3wLogwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODA5NTAwOVoYDzIxMjYxMTA0
MDk1MDA5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATS3wM/jxwMkq1Q+EWGx1q3XV1UU8nNL3hhmsJfXcguPMgqsquDODH7
dxKRk2n0uvWViCJBEy4t9orwkV0OZhVwo2kwZzAdBgNVHQ4EFgQUGC+5DKgHaw+N
pzI+SfSqIKRphsAwHwYDVR0jBBgwFoAUGC+5DKgHaw+NpzI+SfSqIKRphsAwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIhAKAFp0V33LC2Us9DmIrWSjuaknrQE42yB0QOM1Qa6xzwAiAvIrJegF86
+pNQVfRITzqQ3ChHjcIjt262CxWCRB9tPg==
-----END CERTIFICATE-----
";
    const WITHOUT_CA_RIGHTS: &str = "-----BEGIN CERTIFICATE-----
MIIBkjCCATigAwIBAgIUXFggpucYt0Z1kw2Y6Rr2X5UbirYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODA5NTAwOVoYDzIxMjYxMTA0
MDk1MDA5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAR3BJiyqqgcFKUEkjDjq8it3uT9ZM3OBzjMYGWpYmjoSn0jBoeg2sbd
NLvMKOr/Sm8B9lbbFZJOLgNOystXYCeYo2YwZDAdBgNVHQ4EFgQUsZC+Sq4D4KrS
lb344PLH/C41m4MwHwYDVR0jBBgwFoAUsZC+Sq4D4KrSlb344PLH/C41m4MwFAYD
VR0RBA0wC4IJbG9jYWxob3N0MAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAw
RQIhAOF3V6FpX1Uydv3hSzdoE/JkRp21805iiOKtH6xHh5CTAiA0Bkro3wXnnnXK
Ziz9+0xMEu8eOpusxGb1NK0OH3TQQg==
-----END CERTIFICATE-----
";
    const ENCRYPTED_KEY: &str = "-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,C12F3E1F78E9168EDAFACDE27CFDBEE5

KgYM6ri7YHm1gorZrwvfIVc6qy9UOx9OqBtzHoW30J7p38ZaO/7vKozETtkLuxyG
KIImr9MT2ofoVPPjEpKe9v9UWdUIAYC2CreyOchxNxCZBncwTTlMtOMYuYQbTBuw
3GqJSCQuVEOMMAgwaAO2rExLzdBao5BQc0FQkl2TjKQ=
-----END EC PRIVATE KEY-----
";

    fn origin() -> Origin {
        Origin { source: "THE SOURCE".to_owned(), place: Place::Here("".into()) }
    }

    /// Returns how the certificate is refused that is given as its own CA.
    fn refused_as_its_own_ca(pem: &str) -> Option<String> {
        let options = crate::config::Options::read(br#"{"address":"localhost:7233","tls":true}"#).unwrap();
        let Security { tls: Some(tls), .. } = options.security else { panic!() };
        let origin = origin();
        let encryption = Encryption::new(&tls, Some((&origin, pem.into())), None).unwrap();
        let (verifier, _) =
            verifier(&tls, Some((&origin, pem.into())), &Arc::new(crypto::ring::default_provider())).unwrap();
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let in_2030 = UnixTime::since_unix_epoch(Duration::from_secs(1_900_000_000));
        let verified = verifier.verify_server_cert(&certificate, &[], &tls.server_name, &[], in_2030);
        let handshake = Handshake {
            peer: "localhost:7233".to_owned(),
            server_name: encryption.server_name,
            client_cert: None,
            asked_for_cert: Arc::default(),
            options: "tls",
            protocol: Protocol::Http2,
            is_agreed: false,
        };
        verified.err().map(|why| handshake.explain(&io::Error::other(why)).message().to_owned())
    }

    #[test]
    fn self_signed_certificate_is_trusted_only_without_ca_rights() {
        assert_eq!(refused_as_its_own_ca(WITHOUT_CA_RIGHTS), None);
        let why = refused_as_its_own_ca(WITH_CA_RIGHTS).unwrap();
        assert!(why.contains("is a CA certificate") && why.contains("CA:FALSE"), "{why}");
    }

    #[test]
    fn invalid_pem_is_explained_without_its_text() {
        let one_line = WITH_CA_RIGHTS.replace('\n', "\\n");
        let cut = WITH_CA_RIGHTS.split("-----END").next().unwrap();
        let garbled = WITH_CA_RIGHTS.replace("MIIB", "MI?B");
        for (text, why) in [
            (one_line.as_str(), "\\n where"),
            (cut, "-----END"),
            (&garbled, "base64"),
            ("MIIB", "no certificate"),
        ] {
            for error in [
                certificates(&origin(), &text.into()).unwrap_err(),
                given_roots(&origin(), &text.into()).unwrap_err(),
            ] {
                let message = error.message();
                assert!(message.contains("THE SOURCE") && message.contains(why), "{message}");
                assert!(!message.contains("MIIB"), "{message}");
            }
        }
        let error = private_key(&origin(), &ENCRYPTED_KEY.into()).unwrap_err();
        assert!(error.message().contains("is encrypted: decrypt it"), "{error}");
    }

    #[test]
    fn invalid_certificate_in_a_ca_bundle_is_skipped() {
        let undecodable = WITH_CA_RIGHTS.replace("MIIB", "MI?B");
        let unusable = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        for bad in [undecodable.as_str(), unusable] {
            let bundle = [WITH_CA_RIGHTS, bad, WITHOUT_CA_RIGHTS].concat();
            let (roots, skipped) = given_roots(&origin(), &bundle.as_str().into()).unwrap();
            assert_eq!(roots.len(), 2);
            let skipped = skipped.unwrap();
            assert!(skipped.contains("1 of its 3 certificates") && skipped.contains("number 2"), "{skipped}");
        }
        assert_eq!(given_roots(&origin(), &WITH_CA_RIGHTS.into()).unwrap().1, None);
    }
}
