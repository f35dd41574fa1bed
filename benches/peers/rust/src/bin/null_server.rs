//! The null server: it acknowledges each complete request with the same prepared answer.
//!
//! It prints its address. When its standard input ends, it prints the number of heartbeats, the number of tokens, and the longest
//! interval in milliseconds between two heartbeats of one token. It reads tokens only with `--count`, which costs some time.
//! With `--tls CA` it uses TLS, and writes the certificate of its authority to the file CA.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use benches::frames::{self, ACK, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, Input, PING, SETTINGS};

/// The connection preface of HTTP/2.
const PREFACE: usize = 24;
/// The flow-control window: the largest that HTTP/2 allows.
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
const FIRST_WINDOW: u32 = 65_535;
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

#[derive(Default)]
struct Beats {
    count: u64,
    last: HashMap<Vec<u8>, Instant>,
    longest: Duration,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut tls, mut counting) = (None, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--count" => counting = true,
            "--tls" => tls = Some(Arc::new(certify(&arguments.next().expect("--tls CA")))),
            other => panic!("unknown argument {other}"),
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let beats = Arc::new(Mutex::new(Beats::default()));
    thread::spawn({
        let beats = beats.clone();
        move || {
            for stream in listener.incoming() {
                let (mut stream, tls) = (stream.unwrap(), tls.clone());
                let beats = counting.then(|| beats.clone());
                stream.set_nodelay(true).unwrap();
                // A client that closed its connection isn't an error.
                thread::spawn(move || match tls {
                    None => serve(&mut stream, beats),
                    Some(config) => {
                        let session = rustls::ServerConnection::new(config).unwrap();
                        serve(&mut rustls::StreamOwned::new(session, stream), beats)
                    }
                });
            }
        }
    });
    // Runs until the parent closes standard input.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let beats = beats.lock().unwrap();
    // The parent may have closed standard output.
    let _ = writeln!(io::stdout(), "{} {} {}", beats.count, beats.last.len(), beats.longest.as_millis());
}

fn serve(stream: &mut (impl Read + Write), beats: Option<Arc<Mutex<Beats>>>) -> io::Result<()> {
    stream.read_exact(&mut [0; PREFACE])?;
    let mut out = Vec::new();
    let stream_window = [&INITIAL_WINDOW_SIZE[..], &LARGEST_WINDOW.to_be_bytes()].concat();
    frames::push(&mut out, SETTINGS, 0, 0, &stream_window);
    grant(&mut out, LARGEST_WINDOW - FIRST_WINDOW);
    stream.write_all(&out)?;

    let (mut input, mut buffer, mut taken) = (Input::default(), vec![0; 1 << 18], 0);
    let mut tokens: HashMap<u32, Vec<u8>> = HashMap::new();
    loop {
        out.clear();
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        input.feed(&buffer[..read], |frame| {
            if frame.kind == DATA {
                taken += frame.len;
                if beats.is_some() {
                    tokens.entry(frame.stream).or_insert_with(|| token(&frame).to_vec());
                }
            }
            match frame.kind {
                DATA | HEADERS if frame.flags & END_STREAM != 0 => {
                    if let (Some(beats), Some(token)) = (&beats, tokens.remove(&frame.stream)) {
                        count(&mut beats.lock().unwrap(), token);
                    }
                    answer(&mut out, frame.stream);
                }
                SETTINGS if frame.flags & ACK == 0 => frames::push(&mut out, SETTINGS, ACK, 0, &[]),
                PING if frame.flags & ACK == 0 => frames::push(&mut out, PING, ACK, 0, frame.start),
                _ => {}
            }
        });
        if taken > LARGEST_WINDOW as usize / 2 {
            grant(&mut out, u32::try_from(taken).unwrap());
            taken = 0;
        }
        stream.write_all(&out)?;
    }
}

fn grant(out: &mut Vec<u8>, bytes: u32) {
    frames::push(out, frames::WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes());
}

/// The answer: an empty message and the status OK.
fn answer(out: &mut Vec<u8>, stream: u32) {
    // ":status: 200" by its index, the rest as literals, so that the decoder keeps no state.
    const HEAD: &[u8] = b"\x88\x00\x0ccontent-type\x10application/grpc";
    const TRAILERS: &[u8] = b"\x00\x0bgrpc-status\x010";
    frames::push(out, HEADERS, END_HEADERS, stream, HEAD);
    frames::push(out, DATA, 0, stream, &[0; 5]);
    frames::push(out, HEADERS, END_HEADERS | END_STREAM, stream, TRAILERS);
}

/// Returns the message's first field, which is the token. It follows the five bytes of the gRPC frame header.
fn token<'a>(frame: &Frame<'a>) -> &'a [u8] {
    match *frame.start {
        [_, _, _, _, _, 0x0a, len @ ..0x80, ref rest @ ..] => rest.get(..usize::from(len)),
        [_, _, _, _, _, 0x0a, low, high @ ..0x80, ref rest @ ..] => {
            rest.get(..usize::from(low & 0x7f) | usize::from(high) << 7)
        }
        _ => None,
    }
    .unwrap_or_default()
}

fn count(beats: &mut Beats, token: Vec<u8>) {
    let now = Instant::now();
    beats.count += 1;
    if let Some(last) = beats.last.insert(token, now) {
        beats.longest = beats.longest.max(now - last);
    }
}

/// Creates a certificate for 127.0.0.1 and its authority, and writes the authority's certificate to the file `ca`.
fn certify(ca: &str) -> rustls::ServerConfig {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_cert = authority.self_signed(&key).unwrap();
    std::fs::write(ca, authority_cert.pem()).unwrap();
    let issuer = rcgen::Issuer::new(authority, &key);

    let server_key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
    let cert = server.signed_by(&server_key, &issuer).unwrap();
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(server_key.serialize_der());
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], private.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}
