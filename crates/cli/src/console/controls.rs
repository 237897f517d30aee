//! What others wrote must not move the cursor of a terminal, set its title or clear its screen: names, messages, logs and
//! answers of models are shown as they are but for control characters, of which a line break, a tab and colours are left.

/// A filter of bytes that come in pieces.
#[derive(Debug, Default)]
pub(super) struct Controls {
    /// The beginning of what may become a colour or a character.
    held: Vec<u8>,
}

const ESCAPE: u8 = 0x1b;
/// First byte of the controls beyond ASCII, and of some letters.
const C1: u8 = 0xc2;

impl Controls {
    /// What of `text` is to be shown; the end of it may be held until the next call.
    pub(super) fn filter(&mut self, text: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(text.len());
        for byte in text {
            self.take(*byte, &mut shown);
        }
        shown
    }

    /// What was held, which no more bytes complete.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let mut shown = Vec::new();
        self.give_up(&mut shown);
        shown
    }

    fn take(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match (self.held.as_slice(), byte) {
            ([], ESCAPE | C1) | ([ESCAPE], b'[') | ([ESCAPE, b'[', ..], b'0'..=b'9' | b';' | b':') => {
                self.held.push(byte);
            }
            ([ESCAPE, b'[', ..], b'm') => {
                shown.append(&mut self.held);
                shown.push(byte);
            }
            ([C1], 0x80..=0x9f) => {
                self.held.clear();
                shown.extend_from_slice("\u{fffd}".as_bytes());
            }
            ([C1], _) => {
                shown.append(&mut self.held);
                self.take(byte, shown);
            }
            ([], _) => show(byte, shown),
            _ => {
                self.give_up(shown);
                self.take(byte, shown);
            }
        }
    }

    fn give_up(&mut self, shown: &mut Vec<u8>) {
        for byte in std::mem::take(&mut self.held) {
            show(byte, shown);
        }
    }
}

/// As terminals show controls that they do not obey: `^[` for an escape.
fn show(byte: u8, shown: &mut Vec<u8>) {
    match byte {
        b'\n' | b'\t' => shown.push(byte),
        // Progress bars write one line again and again.
        b'\r' => shown.push(b' '),
        0..=0x1f | 0x7f => shown.extend([b'^', byte ^ 0x40]),
        _ => shown.push(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one piece, and byte by byte.
    fn filtered(text: &str) -> String {
        let mut whole = Controls::default();
        let mut once = whole.filter(text.as_bytes());
        once.extend(whole.rest());
        let mut pieces = Controls::default();
        let mut slowly: Vec<u8> = text.bytes().flat_map(|byte| pieces.filter(&[byte])).collect();
        slowly.extend(pieces.rest());
        assert_eq!(once, slowly);
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn colours_and_letters_stay_and_every_other_control_is_shown() {
        for (text, expected) in [
            ("plain\n\ttext é ½ 模型", "plain\n\ttext é ½ 模型"),
            ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
            ("\x1b]0;title\x07", "^[]0;title^G"),
            ("\x1b[2J\x1b[H", "^[[2J^[[H"),
            ("\u{9b}2J", "\u{fffd}2J"),
            ("10%\r20%", "10% 20%"),
            ("\x1b[3\x1b[32mok", "^[[3\x1b[32mok"),
            ("end\x1b[1", "end^[[1"),
            ("\x08\x7f\0", "^H^?^@"),
        ] {
            assert_eq!(filtered(text), expected, "{text:?}");
        }
    }
}
