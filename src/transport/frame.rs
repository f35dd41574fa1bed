//! The gRPC frame of a message: one byte for compression, four bytes for the length.

use std::io::{Read, Write};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use prost::Message;
use zeroize::Zeroizing;

use crate::model::secret;

/// The size of the frame header.
pub const HEADER_BYTES: usize = 5;
/// Below this size, compression costs more than it saves.
const WORTH_COMPRESSING: usize = 1024;

/// A message in its frame. It contains the task token, so it is wiped when the last clone is dropped.
#[derive(Clone)]
pub struct Frame(Bytes);

impl Frame {
    /// Frames a message without compression.
    pub fn plain(message: &impl Message) -> Self {
        let length = message.encoded_len();
        let mut frame = Vec::with_capacity(HEADER_BYTES + length);
        begin(&mut frame, false, length);
        message.encode_raw(&mut frame);
        Frame(secret::shared(frame))
    }

    /// Returns the frame compressed, if that is smaller.
    pub fn compressed(&self) -> Option<Self> {
        if self.message().len() <= WORTH_COMPRESSING {
            return None;
        }
        let body = compress(self.message()).filter(|body| body.len() < self.message().len())?;
        let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
        begin(&mut frame, true, body.len());
        frame.extend_from_slice(&body);
        Some(Frame(secret::shared(frame)))
    }

    /// Returns the length of the message.
    pub fn message_bytes(&self) -> usize {
        self.message().len()
    }

    /// Returns the bytes to send.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    fn message(&self) -> &[u8] {
        self.0.get(HEADER_BYTES..).unwrap_or_default()
    }
}

fn begin(frame: &mut Vec<u8>, compressed: bool, length: usize) {
    frame.put_u8(compressed.into());
    // A longer message isn't sent, because `max_message_bytes` can't be that large.
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// Returns the message of a complete frame, of at most `limit` bytes.
pub fn decode(mut frame: BytesMut, gzip: bool, limit: usize) -> Result<Bytes, String> {
    if frame.len() < HEADER_BYTES {
        return Err("its frame has no header".to_owned());
    }
    let compressed = frame.get_u8() != 0;
    let length = frame.get_u32() as usize;
    match (compressed, frame.len() == length) {
        (_, false) => Err("its length differs from its frame header".to_owned()),
        (false, true) => Ok(frame.freeze()),
        (true, true) if gzip => decompress(&frame, limit),
        (true, true) => Err("it is compressed, but its grpc-encoding isn't gzip".to_owned()),
    }
}

fn compress(message: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 2), Compression::fast());
    encoder.write_all(message).ok()?;
    encoder.finish().ok().map(Zeroizing::new)
}

fn decompress(bytes: &[u8], limit: usize) -> Result<Bytes, String> {
    let mut message = Vec::new();
    let mut decoder = GzDecoder::new(bytes).take(u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1));
    decoder.read_to_end(&mut message).map_err(|why| format!("it can't be decompressed: {why}"))?;
    if message.len() > limit {
        return Err(format!("it has over {limit} bytes when decompressed"));
    }
    Ok(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames arbitrary bytes.
    fn framed(bytes: &[u8]) -> Frame {
        let mut frame = Vec::new();
        begin(&mut frame, false, bytes.len());
        frame.extend_from_slice(bytes);
        Frame(frame.into())
    }

    fn round_trip(message: &[u8], gzip: bool) -> usize {
        let plain = framed(message);
        let frame = if gzip { plain.compressed().unwrap_or(plain) } else { plain }.into_bytes();
        assert_eq!(decode(BytesMut::from(&*frame), gzip, message.len()).unwrap(), message);
        frame.len()
    }

    #[test]
    fn message_is_encoded_into_its_frame() {
        let message = prost_types::Timestamp { seconds: 7, nanos: 5 };
        let frame = Frame::plain(&message);
        assert_eq!(frame.message_bytes(), message.encoded_len());
        let decoded = decode(BytesMut::from(&*frame.into_bytes()), false, 100).unwrap();
        assert_eq!(prost_types::Timestamp::decode(decoded).unwrap(), message);
    }

    #[test]
    fn message_is_compressed_if_it_becomes_smaller() {
        let message = b"heartbeat ".repeat(1000);
        assert!(round_trip(&message, true) < 200);
        assert_eq!(round_trip(&message, false), message.len() + HEADER_BYTES);
        let noise: Vec<u8> = (0..10_000).map(|_| fastrand::u8(..)).collect();
        assert_eq!(round_trip(&noise, true), noise.len() + HEADER_BYTES);
        assert_eq!(round_trip(b"short", true), 5 + HEADER_BYTES);
    }

    #[test]
    fn decompression_stops_at_the_limit() {
        let frame = framed(&[0; 100_000]).compressed().unwrap().into_bytes();
        assert!(decode(BytesMut::from(&*frame), true, 99_999).unwrap_err().contains("99999"));
    }

    #[test]
    fn invalid_frame_is_explained() {
        for (frame, why) in
            [(&b"\0\0"[..], "no header"), (b"\0\0\0\0\x02a", "length"), (b"\x01\0\0\0\x01a", "isn't gzip")]
        {
            assert!(decode(BytesMut::from(frame), false, 10).unwrap_err().contains(why));
        }
        assert!(
            decode(BytesMut::from(&b"\x01\0\0\0\x01a"[..]), true, 10).unwrap_err().contains("decompressed")
        );
    }
}
