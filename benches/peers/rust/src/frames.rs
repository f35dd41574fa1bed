//! HTTP/2 frames, as far as the null server and the prepared requests need them.

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const WINDOW_UPDATE: u8 = 8;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

const HEAD: usize = 9;
/// The number of payload bytes that are kept for inspection.
const KEPT: usize = 1024;

/// Appends a frame to `out`.
pub fn push(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A received frame.
pub struct Frame<'a> {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub len: usize,
    /// The first bytes of its payload.
    pub start: &'a [u8],
}

/// Splits the received bytes into frames.
#[derive(Default)]
pub struct Input {
    /// The kept bytes of an incomplete frame.
    kept: Vec<u8>,
    /// The number of its bytes that are still to be received and discarded.
    skip: usize,
}

impl Input {
    /// Adds received bytes, and calls back for each complete frame.
    pub fn feed(&mut self, mut bytes: &[u8], mut show: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            if self.kept.is_empty() && bytes.len() >= HEAD && bytes.len() >= HEAD + length(bytes) {
                let (frame, rest) = bytes.split_at(HEAD + length(bytes));
                show(parse(frame));
                bytes = rest;
                continue;
            }
            let wanted = if self.kept.len() < HEAD { HEAD } else { HEAD + length(&self.kept).min(KEPT) };
            let (more, rest) = bytes.split_at((wanted - self.kept.len()).min(bytes.len()));
            self.kept.extend_from_slice(more);
            bytes = rest;
            if self.kept.len() == HEAD {
                self.skip = length(&self.kept).saturating_sub(KEPT);
            }
            if self.kept.len() < HEAD || self.kept.len() < HEAD + length(&self.kept).min(KEPT) {
                continue;
            }
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.skip == 0 {
                show(parse(&self.kept));
                self.kept.clear();
            }
        }
    }
}

fn length(frame: &[u8]) -> usize {
    usize::from(frame[0]) << 16 | usize::from(frame[1]) << 8 | usize::from(frame[2])
}

fn parse(frame: &[u8]) -> Frame<'_> {
    Frame {
        kind: frame[3],
        flags: frame[4],
        stream: u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]),
        len: length(frame),
        start: &frame[HEAD..],
    }
}
