//! Breaks messages between words for a terminal, which would break them within words.

/// The indentation of the second and later lines.
const INDENTATION: &str = "  ";

/// Returns the text in lines of at most `columns` characters; `used` of the first line are taken. A longer word stays whole.
pub fn wrapped(text: &str, columns: usize, used: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = used;
    for (number, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if number > 0 && column + 1 + length > columns {
            out.push('\n');
            out.push_str(INDENTATION);
            column = INDENTATION.len();
        } else if number > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_are_indented() {
        assert_eq!(wrapped("one two three four", 9, 0), "one two\n  three\n  four");
        assert_eq!(
            wrapped("one two", 9, 4),
            "one\n  two",
            "the program's name takes a part of the first line"
        );
    }

    #[test]
    fn text_that_fits_is_unchanged() {
        assert_eq!(wrapped("one  two ", 9, 0), "one  two ");
        assert_eq!(wrapped("", 80, 0), "");
    }

    #[test]
    fn long_word_stays_whole() {
        assert_eq!(wrapped("see /a/very/long/path now", 10, 0), "see\n  /a/very/long/path\n  now");
    }
}
