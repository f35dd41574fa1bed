//! Arranges the stacks that a host has written, for a failure: the culprit first, limited in size.

/// The longest text of stacks.
pub const MAX_BYTES: usize = 32 << 10;
/// The beginning of the block of the thread that got the signal, as Python's `faulthandler` writes it.
const CULPRIT: &str = "Current thread";
const CUT: &str = "\n(the rest is cut)";

/// Returns the newest text that was written, with the thread that got the signal first. Texts end with NUL, and blocks
/// with an empty line.
pub fn arrange(written: &[u8]) -> String {
    let newest = written.rsplit(|byte| *byte == 0).find(|text| !text.is_empty()).unwrap_or_default();
    let text = String::from_utf8_lossy(newest);
    let mut blocks: Vec<_> =
        text.split("\n\n").map(str::trim_end).filter(|block| !block.is_empty()).collect();
    if let Some(culprit) = blocks.iter().position(|block| block.trim_start().starts_with(CULPRIT)) {
        let culprit = blocks.remove(culprit);
        blocks.insert(0, culprit);
    }
    cut(blocks.join("\n\n"))
}

/// Cuts a text that is too long.
fn cut(mut text: String) -> String {
    if text.len() > MAX_BYTES {
        let end = (0..=MAX_BYTES - CUT.len()).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text += CUT;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_that_got_the_signal_comes_first() {
        let written = b"Thread 0x1 (most recent call first):\n  File \"a.py\", line 1 in f\n\n\
                        Current thread 0x2 (most recent call first):\n  File \"b.py\", line 2 in g\n";
        let stacks = arrange(written);
        assert!(stacks.starts_with("Current thread 0x2"), "{stacks}");
        assert!(stacks.ends_with("line 1 in f"), "{stacks}");
        assert_eq!(arrange(b""), "");
    }

    #[test]
    fn newest_of_several_texts_counts() {
        assert_eq!(arrange(b"goroutine 1\0goroutine 2\0"), "goroutine 2");
        assert_eq!(arrange(b"goroutine 1\0"), "goroutine 1");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let stacks = arrange("☃".repeat(MAX_BYTES).as_bytes());
        assert!(stacks.len() <= MAX_BYTES && stacks.ends_with(CUT));
    }
}
