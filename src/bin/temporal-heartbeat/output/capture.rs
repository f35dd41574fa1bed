//! Keeps the command's output: all of it for the result, and the last lines for a failure.

use std::collections::VecDeque;

use memchr::memrchr_iter;

use super::lines::WholeLines;

/// The most that is kept for a result. The server accepts 2 MiB by default, and no message larger than this.
pub const MAX_RESULT_BYTES: usize = 4 * 1024 * 1024;
/// The most that is kept of the last lines.
const MAX_TAIL_BYTES: usize = 16 * 1024;

/// The whole output, up to [`MAX_RESULT_BYTES`].
#[derive(Default)]
pub struct Capture {
    bytes: Vec<u8>,
    total: u64,
}

impl Capture {
    /// Adds a chunk.
    pub fn push(&mut self, chunk: &[u8]) {
        let free = MAX_RESULT_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(chunk.get(..free).unwrap_or(chunk));
        self.total += chunk.len() as u64;
    }

    /// Returns the whole output, or its size if it was too large to keep.
    pub fn finish(self) -> Result<Vec<u8>, u64> {
        if self.bytes.len() as u64 == self.total { Ok(self.bytes) } else { Err(self.total) }
    }
}

/// The last lines, up to [`MAX_TAIL_BYTES`].
pub struct Tail {
    bytes: VecDeque<u8>,
    unfinished: WholeLines,
    lines: usize,
}

impl Tail {
    /// Keeps at most this number of lines.
    pub fn new(lines: usize) -> Self {
        Tail { bytes: VecDeque::new(), unfinished: WholeLines::default(), lines }
    }

    /// Adds a chunk. Of a line that is written again and again, the last state is kept.
    pub fn push(&mut self, chunk: &[u8]) {
        let whole = self.unfinished.push(chunk);
        self.append(&whole);
    }

    fn append(&mut self, chunk: &[u8]) {
        let chunk = chunk.get(chunk.len().saturating_sub(MAX_TAIL_BYTES)..).unwrap_or_default();
        let excess = (self.bytes.len() + chunk.len()).saturating_sub(MAX_TAIL_BYTES);
        self.bytes.drain(..excess.min(self.bytes.len()));
        self.bytes.extend(chunk);
    }

    /// Returns the last lines as text, without white space at the end.
    pub fn finish(mut self) -> String {
        let rest = self.unfinished.finish();
        self.append(rest.trim_ascii_end());
        let bytes = self.bytes.make_contiguous().trim_ascii_end();
        let start = match self.lines.checked_sub(1) {
            None => bytes.len(),
            Some(breaks) => memrchr_iter(b'\n', bytes).nth(breaks).map_or(0, |end| end + 1),
        };
        String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(lines: usize, chunks: &[&[u8]]) -> String {
        let mut tail = Tail::new(lines);
        chunks.iter().for_each(|chunk| tail.push(chunk));
        tail.finish()
    }

    #[test]
    fn the_last_lines_are_kept() {
        assert_eq!(tail(2, &[b"a\nb\n", b"c\n"]), "b\nc");
        assert_eq!(tail(2, &[b"a"]), "a");
        assert_eq!(tail(1, &[b"a\nb\n\n"]), "b");
        assert_eq!(tail(0, &[b"a\nb"]), "");
        assert_eq!(tail(3, &[b"\xff\n"]), "\u{fffd}");
    }

    #[test]
    fn redrawn_line_is_kept_in_its_last_state() {
        assert_eq!(tail(3, &[b"a\n10%\r20%\r30%\nb\n"]), "a\n30%\nb");
        assert_eq!(tail(3, &[b"10%\r", b"20%", b"\r", b"\r", b"30%\r\nb\r\n"]), "30%\nb");
        // The bar begins with the carriage return, and never ends its line.
        assert_eq!(tail(3, &[b"a\n\r10%", b"\r20%"]), "a\n20%");
        // The earlier lines stay, however often a line is written again.
        let bar = b"\r50% [#####     ]".repeat(MAX_TAIL_BYTES);
        assert_eq!(tail(2, &[b"first\n", &bar, b"\n"]), "first\n50% [#####     ]");
    }

    #[test]
    fn chunk_size_does_not_matter_for_redrawn_lines() {
        let text = b"a\r\n1%\r2%\r\r3%\n\rb\r\r\nc\n";
        for size in 1..text.len() {
            assert_eq!(tail(9, &text.chunks(size).collect::<Vec<_>>()), "a\n3%\nb\nc", "{size}");
        }
    }

    #[test]
    fn the_start_of_a_long_output_is_dropped() {
        let text = tail(5, &[&[b'x'; 3 * MAX_TAIL_BYTES], b"end"]);
        assert_eq!(text.len(), MAX_TAIL_BYTES);
        assert!(text.ends_with("xend"));
    }

    #[test]
    fn a_result_is_complete_or_an_error() {
        let mut capture = Capture::default();
        capture.push(&vec![0; MAX_RESULT_BYTES]);
        capture.push(b"");
        assert_eq!(capture.finish().unwrap().len(), MAX_RESULT_BYTES);

        let mut capture = Capture::default();
        capture.push(&vec![0; MAX_RESULT_BYTES]);
        capture.push(b"1");
        assert_eq!(capture.finish(), Err(MAX_RESULT_BYTES as u64 + 1));
    }
}
