//! Makes text safe to stand in a line of the log or of a terminal: what would move the cursor, end
//! the line or turn the reading direction is written out. Korean and emoji stay as they are.

use std::fmt::{self, Write as _};

/// Text whose `Display` cannot leave its line, nor look like something else in it.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a> {
    text: &'a str,
    quotes: Quotes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    IfNeeded,
    Json,
}

impl<'a> Escaped<'a> {
    /// A sentence: spaces and quotes are its own.
    pub fn words(text: &'a str) -> Self {
        Self {
            text,
            quotes: Quotes::None,
        }
    }

    /// The value in `key=value`: quoted when it could be taken for more than one value.
    pub fn value(text: &'a str) -> Self {
        Self {
            text,
            quotes: Quotes::IfNeeded,
        }
    }

    /// A JSON string, quotes included (RFC 8259 §7).
    pub fn json(text: &'a str) -> Self {
        Self {
            text,
            quotes: Quotes::Json,
        }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = match self.quotes {
            Quotes::None => false,
            Quotes::IfNeeded => self.text.is_empty() || !self.text.chars().all(is_bare),
            Quotes::Json => true,
        };
        if quoted {
            f.write_char('"')?;
        }
        for c in self.text.chars() {
            match c {
                '"' if quoted => f.write_str("\\\"")?,
                // Else a typed `\n` could not be told from an escaped one.
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if !is_treacherous(c) => f.write_char(c)?,
                c if self.quotes == Quotes::Json => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(f, "\\u{unit:04x}")?;
                    }
                }
                c => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            }
        }
        if quoted {
            f.write_char('"')?;
        }
        Ok(())
    }
}

/// May stand in a value without quotes.
fn is_bare(c: char) -> bool {
    !c.is_whitespace() && !is_treacherous(c) && !matches!(c, '"' | '\'' | '=' | '\\')
}

/// Ends lines, drives terminals, turns or hides text. The joiners U+200C and U+200D are not here:
/// emoji and some scripts are written with them, and they move nothing.
fn is_treacherous(c: char) -> bool {
    c.is_control() // C0 with ESC, DEL, C1 with NEL and the one-byte CSI
        || matches!(c,
            '\u{2028}' | '\u{2029}' // line and paragraph separators
            | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' // direction
            | '\u{00ad}' | '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'
            | '\u{2060}'..='\u{2065}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' // seen as nothing
            | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' // annotations and tags
        )
        || (c.is_whitespace() && !matches!(c, ' ' | '\u{3000}')) // spaces that only look like one
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_moves_the_cursor_or_ends_the_line_is_written_out() {
        let hostile =
            "a\nb\r\x1b[2J\u{9b}31m\u{85}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\u{e0041}\0\x7f";
        let expected = "a\\nb\\r\\u{1b}[2J\\u{9b}31m\\u{85}\\u{2028}\\u{2029}\\u{202e}\\u{2066}\\u{feff}\\u{e0041}\\u{0}\\u{7f}";
        assert_eq!(Escaped::words(hostile).to_string(), expected);
        assert_eq!(
            Escaped::value(hostile).to_string(),
            format!("\"{expected}\"")
        );
    }

    #[test]
    fn a_value_cannot_become_two() {
        let value = |text| Escaped::value(text).to_string();
        assert_eq!(value("ada level=ERROR"), "\"ada level=ERROR\"");
        assert_eq!(value("ada\" level=\"ERROR"), "\"ada\\\" level=\\\"ERROR\"");
        assert_eq!(value("ada\\"), "\"ada\\\\\"");
        assert_eq!(value(""), "\"\"");
        assert_eq!(value("a=b"), "\"a=b\"");
    }

    #[test]
    fn people_can_read_what_people_write() {
        for text in ["가나다@example.org", "👩‍💻✅📧❤️", "naïve-日本語"] {
            assert_eq!(Escaped::value(text).to_string(), text);
            assert_eq!(Escaped::words(text).to_string(), text);
            assert_eq!(Escaped::json(text).to_string(), format!("\"{text}\""));
        }
    }

    proptest! {
        #[test]
        fn json_reads_back_as_it_was(text in any::<String>()) {
            let json = Escaped::json(&text).to_string();
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn nothing_treacherous_comes_through(text in any::<String>()) {
            for escaped in [Escaped::json(&text), Escaped::value(&text), Escaped::words(&text)] {
                prop_assert!(!escaped.to_string().contains(is_treacherous));
            }
        }
    }
}
