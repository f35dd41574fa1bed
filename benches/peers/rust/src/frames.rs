//! The frames of HTTP/2, as far as the server and the prepared requests need them.

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const WINDOW_UPDATE: u8 = 8;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

const HEAD: usize = 9;
/// As much of a frame's payload is kept as may be looked at.
const KEPT: usize = 1024;

/// Adds a frame to `out`.
pub fn push(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A frame that has come in.
pub struct Frame<'a> {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub len: usize,
    /// The first bytes of its payload.
    pub start: &'a [u8],
}

/// Cuts what comes in into frames.
#[derive(Default)]
pub struct Input {
    /// What has been kept of a frame that isn't whole yet.
    kept: Vec<u8>,
    /// How much of it is still to come, and not kept.
    skip: usize,
}

impl Input {
    /// Takes in what was read, and shows each frame that is whole with it.
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
