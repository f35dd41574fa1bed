//! Measures the cost of the network alone. One thread writes prepared frames, one for each caller, and counts the ends of the
//! answers. Plaintext only. See ../../../README.md.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Instant,
};

use benches::{
    Measurement, Task,
    frames::{self, DATA, END_HEADERS, END_STREAM, HEADERS, PING, SETTINGS},
};

/// The connection preface of HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The flow-control window of an answer: the largest that HTTP/2 allows.
const WINDOW: u32 = (1 << 31) - 1 - 65_535;
const MAX_FRAME: usize = 16_384;

fn main() {
    let task = Task::asked(0);
    assert!(task.ca.is_none(), "the wire is plaintext");
    let mut stream = TcpStream::connect(&task.address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut hello = PREFACE.to_vec();
    frames::push(&mut hello, SETTINGS, 0, 0, &[]);
    frames::push(&mut hello, frames::WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes());
    stream.write_all(&hello).unwrap();

    let head = head(&task.address);
    let message = message(&task);
    let measurement = Measurement::new(task.time);
    let (mut next_stream, mut answered) = (1_u32, task.callers);
    let (mut out, mut input) = (Vec::new(), frames::Input::default());
    let mut buffer = vec![0; 1 << 16];
    loop {
        let before = Instant::now();
        for _ in 0..answered {
            frames::push(&mut out, HEADERS, END_HEADERS, next_stream, &head);
            let mut parts = message.chunks(MAX_FRAME).peekable();
            while let Some(part) = parts.next() {
                let flags = if parts.peek().is_none() { END_STREAM } else { 0 };
                frames::push(&mut out, DATA, flags, next_stream, part);
            }
            next_stream += 2;
        }
        stream.write_all(&out).unwrap();
        out.clear();
        answered = 0;
        while answered == 0 {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the server has closed the connection");
            input.feed(&buffer[..read], |frame| match frame.kind {
                HEADERS if frame.flags & END_STREAM != 0 => answered += 1,
                PING if frame.flags == 0 => frames::push(&mut out, PING, frames::ACK, 0, frame.start),
                SETTINGS if frame.flags == 0 => frames::push(&mut out, SETTINGS, frames::ACK, 0, &[]),
                _ => {}
            });
        }
        for _ in 0..answered {
            if !measurement.ended(before) {
                return measurement.report();
            }
        }
    }
}

/// Returns the header block, encoded so that the server keeps no state.
fn head(authority: &str) -> Vec<u8> {
    let path = "/temporal.api.workflowservice.v1.WorkflowService/RecordActivityTaskHeartbeat";
    // ":method: POST" and ":scheme: http" by their indexes.
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("grpc-timeout", "10S"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Returns a gRPC message with the size and the beginning of the library's message.
fn message(task: &Task) -> Vec<u8> {
    let token = &task.tokens[0];
    let mut body = vec![0x0a];
    varint(&mut body, token.len());
    body.extend_from_slice(token);
    body.push(0x12);
    varint(&mut body, task.details.len());
    body.extend_from_slice(&task.details);
    let mut message = vec![0];
    message.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&body);
    message
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
