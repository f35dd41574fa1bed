//! Finds the newest line of a stream that says something. In bounded memory, and at the speed of the stream: of a chunk that has
//! many such lines only the last is looked at.

use memchr::{memchr2, memrchr2};

/// The longest line that is looked at; longer ones say nothing.
pub const MAX_LINE: usize = 64 * 1024;

/// What has come of the line that isn't complete yet.
#[derive(Default)]
pub struct LineScanner {
    begun: Vec<u8>,
    too_long: bool,
}

impl LineScanner {
    /// Takes in a chunk. The last of the lines completed by it of which `read` makes something. A carriage return ends a line too:
    /// progress bars use it.
    pub fn take<T>(&mut self, chunk: &[u8], mut read: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        let Some(first_end) = memchr2(b'\n', b'\r', chunk) else {
            self.begin(chunk);
            return None;
        };
        let (first, rest) = chunk.split_at(first_end);
        let mut found = None;
        let mut end = memrchr2(b'\n', b'\r', rest).unwrap_or(0);
        let begun = rest.get(end + 1..).unwrap_or_default();
        // From the last line to the first that is complete here; `rest` begins with the end of the one before.
        while found.is_none() && end > 0 {
            let start = memrchr2(b'\n', b'\r', rest.get(..end).unwrap_or_default()).unwrap_or(0);
            found = of_line(rest.get(start + 1..end).unwrap_or_default(), &mut read);
            end = start;
        }
        if found.is_none() {
            self.begin(first);
            found = self.finish(&mut read);
        }
        self.begun.clear();
        self.too_long = false;
        self.begin(begun);
        found
    }

    /// The stream is over, and with it its last line.
    pub fn finish<T>(&mut self, mut read: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        if self.too_long { None } else { of_line(&self.begun, &mut read) }
    }

    fn begin(&mut self, part: &[u8]) {
        self.too_long |= self.begun.len() + part.len() > MAX_LINE;
        if self.too_long {
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(part);
        }
    }
}

fn of_line<T>(line: &[u8], read: &mut impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
    if line.is_empty() || line.len() > MAX_LINE { None } else { read(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LineScanner that begin with `!` say something.
    fn bang(line: &[u8]) -> Option<String> {
        line.strip_prefix(b"!").map(|text| String::from_utf8_lossy(text).into_owned())
    }

    #[test]
    fn the_last_line_that_says_something_is_found() {
        let mut lines = LineScanner::default();
        assert_eq!(lines.take(b"a\n!1\n!2\r\nb\n", bang).as_deref(), Some("2"));
        assert_eq!(lines.take(b"a\nb\n", bang), None);
        assert_eq!(lines.take(b"50%\r!75%\r", bang).as_deref(), Some("75%"));
    }

    #[test]
    fn lines_are_the_same_however_they_come_in_chunks() {
        let text = b"x\n!first\nyy\r!second\r\n\n!third\nz";
        let whole = LineScanner::default().take(text, bang);
        for size in 1..text.len() {
            let mut lines = LineScanner::default();
            let found = text.chunks(size).filter_map(|chunk| lines.take(chunk, bang)).last();
            assert_eq!(found, whole, "{size}");
        }
    }

    #[test]
    fn the_last_line_needs_no_end() {
        let mut lines = LineScanner::default();
        assert_eq!(lines.take(b"a\n!b", bang), None);
        assert_eq!(lines.finish(bang).as_deref(), Some("b"));
    }

    #[test]
    fn an_endless_line_takes_no_memory_and_says_nothing() {
        let mut lines = LineScanner::default();
        let chunk = [b'!'; 4096];
        for _ in 0..1000 {
            assert_eq!(lines.take(&chunk, bang), None);
            assert!(lines.begun.capacity() <= 2 * MAX_LINE);
        }
        assert_eq!(lines.take(b"\n!ok\n", bang).as_deref(), Some("ok"));
        assert_eq!(lines.finish(bang), None);
    }
}
