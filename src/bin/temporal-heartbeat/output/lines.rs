//! Finds the last line of a stream that a parser accepts. Memory is bounded, and a chunk of many lines is parsed from its end, so that
//! usually one line is parsed.

use memchr::{memchr2, memrchr2};

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
