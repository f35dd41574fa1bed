//! Finds the last line of a stream that a parser accepts. Memory is bounded, and a chunk of many lines is parsed from its end, so that
//! usually one line is parsed. Also writes a prefix before each line.

use memchr::{memchr, memchr2, memrchr, memrchr2};

/// Longer lines are skipped.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// The start of the line that is still incomplete.
#[derive(Default)]
pub struct LineScanner {
    partial: Vec<u8>,
    is_too_long: bool,
}

impl LineScanner {
    /// Adds a chunk. Returns the result of the last line completed by it that `parse` accepts. A carriage return ends a line too, because
    /// progress bars use it.
    pub fn push<T>(&mut self, chunk: &[u8], mut parse: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        let Some(first_end) = memchr2(b'\n', b'\r', chunk) else {
            self.extend(chunk);
            return None;
        };
        let (first, rest) = chunk.split_at(first_end);
        let mut found = None;
        let mut end = memrchr2(b'\n', b'\r', rest).unwrap_or(0);
        let partial = rest.get(end + 1..).unwrap_or_default();
        // From the last line back to the second; `rest` starts with the end of the first one.
        while found.is_none() && end > 0 {
            let start = memrchr2(b'\n', b'\r', rest.get(..end).unwrap_or_default()).unwrap_or(0);
            found = parse_line(rest.get(start + 1..end).unwrap_or_default(), &mut parse);
            end = start;
        }
        if found.is_none() {
            self.extend(first);
            found = self.finish(&mut parse);
        }
        self.partial.clear();
        self.is_too_long = false;
        self.extend(partial);
        found
    }

    /// Parses the last line of the stream, which may have no end.
    pub fn finish<T>(&mut self, mut parse: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        if self.is_too_long { None } else { parse_line(&self.partial, &mut parse) }
    }

    fn extend(&mut self, part: &[u8]) {
        self.is_too_long |= self.partial.len() + part.len() > MAX_LINE_BYTES;
        if self.is_too_long {
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(part);
        }
    }
}

/// Returns whole lines, each after a prefix. Of a line that is written again after a carriage return, as a progress bar is, only the last
/// state is returned.
#[derive(Default)]
pub struct WholeLines {
    prefix: Vec<u8>,
    line: Vec<u8>,
}

impl WholeLines {
    /// Writes this prefix before each line.
    pub fn with_prefix(prefix: &str) -> Self {
        WholeLines { prefix: prefix.into(), line: Vec::new() }
    }

    /// Adds a chunk. Returns the lines that it completes.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        let is_usual =
            self.prefix.is_empty() && !self.line.ends_with(b"\r") && memchr(b'\r', chunk).is_none();
        if is_usual && let Some(end) = memrchr(b'\n', chunk) {
            let (whole, rest) = chunk.split_at(end + 1);
            let lines = [&self.line, whole].concat();
            self.line = rest.to_vec();
            return lines;
        }
        let mut lines = Vec::new();
        for part in chunk.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
            if self.line.ends_with(b"\r") {
                match part {
                    b"\n" => _ = self.line.pop(),
                    b"\r" => continue,
                    _ => self.line.clear(),
                }
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                lines.append(&mut self.take());
            } else if self.line.len() > MAX_LINE_BYTES {
                lines.append(&mut self.finish());
            }
        }
        lines
    }

    /// Returns the last line, with a line end.
    pub fn finish(&mut self) -> Vec<u8> {
        if self.line.is_empty() {
            return Vec::new();
        }
        if self.line.ends_with(b"\r") {
            self.line.pop();
        }
        self.line.push(b'\n');
        self.take()
    }

    fn take(&mut self) -> Vec<u8> {
        let line = [self.prefix.as_slice(), &self.line].concat();
        self.line.clear();
        line
    }
}

fn parse_line<T>(line: &[u8], parse: &mut impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
    if line.is_empty() || line.len() > MAX_LINE_BYTES { None } else { parse(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts lines that begin with `!`.
    fn bang(line: &[u8]) -> Option<String> {
        line.strip_prefix(b"!").map(|text| String::from_utf8_lossy(text).into_owned())
    }

    #[test]
    fn the_last_accepted_line_is_returned() {
        let mut lines = LineScanner::default();
        assert_eq!(lines.push(b"a\n!1\n!2\r\nb\n", bang).as_deref(), Some("2"));
        assert_eq!(lines.push(b"a\nb\n", bang), None);
        assert_eq!(lines.push(b"50%\r!75%\r", bang).as_deref(), Some("75%"));
    }

    #[test]
    fn chunk_size_does_not_matter() {
        let text = b"x\n!first\nyy\r!second\r\n\n!third\nz";
        let whole = LineScanner::default().push(text, bang);
        for size in 1..text.len() {
            let mut lines = LineScanner::default();
            let found = text.chunks(size).filter_map(|chunk| lines.push(chunk, bang)).last();
            assert_eq!(found, whole, "{size}");
        }
    }

    #[test]
    fn every_line_gets_the_prefix_at_any_chunk_size() {
        let text = b"one\n\n1%\r2%\rtwo\r\nthree\r";
        for size in 1..=text.len() {
            let mut prefix = WholeLines::with_prefix("a | ");
            let mut written: Vec<u8> = text.chunks(size).flat_map(|chunk| prefix.push(chunk)).collect();
            written.append(&mut prefix.finish());
            assert_eq!(String::from_utf8(written).unwrap(), "a | one\na | \na | two\na | three\n", "{size}");
        }
    }

    #[test]
    fn endless_line_is_not_held_back() {
        let mut prefix = WholeLines::with_prefix("a | ");
        assert_eq!(prefix.push(&[b'x'; MAX_LINE_BYTES + 1]).len(), MAX_LINE_BYTES + 1 + "a | \n".len());
    }

    #[test]
    fn the_last_line_needs_no_line_end() {
        let mut lines = LineScanner::default();
        assert_eq!(lines.push(b"a\n!b", bang), None);
        assert_eq!(lines.finish(bang).as_deref(), Some("b"));
    }

    #[test]
    fn endless_line_uses_limited_memory_and_is_skipped() {
        let mut lines = LineScanner::default();
        let chunk = [b'!'; 4096];
        for _ in 0..1000 {
            assert_eq!(lines.push(&chunk, bang), None);
            assert!(lines.partial.capacity() <= 2 * MAX_LINE_BYTES);
        }
        assert_eq!(lines.push(b"\n!ok\n", bang).as_deref(), Some("ok"));
        assert_eq!(lines.finish(bang), None);
    }
}
