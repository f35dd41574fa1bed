//! What is kept of the output: all of it, where it is to be the result; the last lines, for a failure.

use std::collections::VecDeque;

use memchr::memchr_iter;

/// The most that is kept as a result. The server takes 2 MiB by default, and no message of more than this.
pub const MAX_RESULT: usize = 4 * 1024 * 1024;
/// The most that is kept of the last lines.
const MAX_TAIL: usize = 16 * 1024;

/// The whole output, up to [`MAX_RESULT`] bytes.
#[derive(Default)]
pub struct Capture {
    bytes: Vec<u8>,
    total: u64,
}

impl Capture {
    /// Takes in a chunk.
    pub fn take(&mut self, chunk: &[u8]) {
        let room = MAX_RESULT - self.bytes.len();
        self.bytes.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        self.total += chunk.len() as u64;
    }

    /// All of it; or, when that is too much, how much it was.
    pub fn whole(self) -> Result<Vec<u8>, u64> {
        if self.bytes.len() as u64 == self.total { Ok(self.bytes) } else { Err(self.total) }
    }
}

/// The last lines.
pub struct Tail {
    bytes: VecDeque<u8>,
    lines: usize,
}

impl Tail {
    /// At most so many lines.
    pub fn new(lines: usize) -> Self {
        Tail { bytes: VecDeque::new(), lines }
    }

    /// Takes in a chunk.
    pub fn take(&mut self, chunk: &[u8]) {
        let chunk = chunk.get(chunk.len().saturating_sub(MAX_TAIL)..).unwrap_or_default();
        let over = (self.bytes.len() + chunk.len()).saturating_sub(MAX_TAIL);
        self.bytes.drain(..over.min(self.bytes.len()));
        self.bytes.extend(chunk);
    }

    /// The last lines as text.
    pub fn text(mut self) -> String {
        let bytes = self.bytes.make_contiguous();
        let trimmed = bytes.trim_ascii_end();
        let starts: Vec<usize> = memchr_iter(b'\n', trimmed).map(|end| end + 1).collect();
        let start = match starts.len().checked_sub(self.lines) {
            _ if self.lines == 0 => trimmed.len(),
            Some(cut) => starts.get(cut).copied().unwrap_or(0),
            None => 0,
        };
        String::from_utf8_lossy(trimmed.get(start..).unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(lines: usize, chunks: &[&[u8]]) -> String {
        let mut tail = Tail::new(lines);
        chunks.iter().for_each(|chunk| tail.take(chunk));
        tail.text()
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
    fn a_long_output_is_cut_at_its_beginning() {
        let text = tail(5, &[&[b'x'; 3 * MAX_TAIL], b"end"]);
        assert_eq!(text.len(), MAX_TAIL);
        assert!(text.ends_with("xend"));
    }

    #[test]
    fn a_result_is_whole_or_none() {
        let mut capture = Capture::default();
        capture.take(&vec![0; MAX_RESULT]);
        capture.take(b"");
        assert_eq!(capture.whole().unwrap().len(), MAX_RESULT);

        let mut capture = Capture::default();
        capture.take(&vec![0; MAX_RESULT]);
        capture.take(b"1");
        assert_eq!(capture.whole(), Err(MAX_RESULT as u64 + 1));
    }
}
