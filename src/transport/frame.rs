//! gRPC's frame around a message: a byte that says whether it is compressed, four with its length.

use std::io::{Read, Write};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use zeroize::Zeroizing;

use crate::secret;

/// The byte and the length.
pub const HEADER_BYTES: usize = 5;
/// Below this, compressing costs more than it saves.
const WORTH_COMPRESSING: usize = 1024;

/// The message in its frame, compressed if that is wanted and makes it smaller.
pub fn encode(message: &[u8], gzip: bool) -> Result<Bytes, String> {
    let compressed = if gzip && message.len() > WORTH_COMPRESSING { compress(message) } else { None };
    let body = compressed.as_ref().map_or(message, |compressed| compressed);
    let length = u32::try_from(body.len()).map_err(|_| "a message of over 4 GiB".to_owned())?;
    // It holds the task token, so that it is wiped like the message.
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.put_u8(compressed.is_some().into());
    frame.put_u32(length);
    frame.extend_from_slice(body);
    Ok(secret::shared(frame))
}

/// The message in a whole frame, of at most `limit` bytes.
pub fn decode(mut frame: BytesMut, gzip: bool, limit: usize) -> Result<Bytes, String> {
    if frame.len() < HEADER_BYTES {
        return Err("its frame has no header".to_owned());
    }
    let compressed = frame.get_u8() != 0;
    let length = frame.get_u32() as usize;
    match (compressed, frame.len() == length) {
        (_, false) => Err("its length isn't the one that it tells".to_owned()),
        (false, true) => Ok(frame.freeze()),
        (true, true) if gzip => decompress(&frame, limit),
        (true, true) => Err("it is compressed in a way that nobody asked for".to_owned()),
    }
}

fn compress(message: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 2), Compression::fast());
    encoder.write_all(message).ok()?;
    encoder.finish().ok().map(Zeroizing::new).filter(|compressed| compressed.len() < message.len())
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

    fn round_trip(message: &[u8], gzip: bool) -> usize {
        let frame = encode(message, gzip).unwrap();
        assert_eq!(decode(BytesMut::from(&*frame), gzip, message.len()).unwrap(), message);
        frame.len()
    }

    #[test]
    fn what_gets_smaller_is_compressed() {
        let message = b"heartbeat ".repeat(1000);
        assert!(round_trip(&message, true) < 200);
        assert_eq!(round_trip(&message, false), message.len() + HEADER_BYTES);
        let noise: Vec<u8> = (0..10_000).map(|_| fastrand::u8(..)).collect();
        assert_eq!(round_trip(&noise, true), noise.len() + HEADER_BYTES);
        assert_eq!(round_trip(b"short", true), 5 + HEADER_BYTES);
    }

    #[test]
    fn a_message_that_grows_over_the_limit_is_given_up() {
        let frame = encode(&[0; 100_000], true).unwrap();
        assert!(decode(BytesMut::from(&*frame), true, 99_999).unwrap_err().contains("99999"));
    }

    #[test]
    fn what_is_no_frame_says_why() {
        for (frame, why) in
            [(&b"\0\0"[..], "no header"), (b"\0\0\0\0\x02a", "length"), (b"\x01\0\0\0\x01a", "nobody asked")]
        {
            assert!(decode(BytesMut::from(frame), false, 10).unwrap_err().contains(why));
        }
        assert!(
            decode(BytesMut::from(&b"\x01\0\0\0\x01a"[..]), true, 10).unwrap_err().contains("decompressed")
        );
    }
}
