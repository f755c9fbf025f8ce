//! What a terminal says, taken apart: keys, the mouse, pasted text, focus, answers.
//!
//! A sequence that stops short is over after [`SEQUENCE_WAIT`] of silence: whatever arrives, the next key is heard.
//! A decoder without that rule goes deaf on a stray `ESC [ <` until somebody happens to type an `M`.

use std::time::Duration;

use crossterm::event::{
    Event as Input, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use vte::{Params, Parser, Perform};

/// How long the rest of a sequence may take; a lone escape is the escape key after that.
pub const SEQUENCE_WAIT: Duration = Duration::from_millis(50);

/// How long the rest of pasted text may take. Longer than [`SEQUENCE_WAIT`], because what comes late would be taken for
/// keys.
pub const PASTE_WAIT: Duration = Duration::from_secs(2);

/// Pasted text beyond this many bytes is dropped.
const LONGEST_PASTE: usize = 256 * 1024;

/// Synchronized output, as terminals number it.
const SYNCHRONIZED: u16 = 2026;

const ESCAPE: u8 = 0x1b;

/// One thing heard from a terminal.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A key, the mouse, a paste, a new size, focus.
    Input(Input),
    /// Whether the terminal knows synchronized output: its answer to the question.
    Synchronizes(bool),
}

impl From<Input> for Heard {
    fn from(input: Input) -> Self {
        Self::Input(input)
    }
}

/// Makes sense of bytes as they come, however they are cut.
pub struct Decoder {
    parser: Parser,
    /// The bytes of a sequence that is not complete.
    held: Vec<u8>,
    heard: Performer,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { parser: Parser::new(), held: Vec::new(), heard: Performer::default() }
    }
}

impl Decoder {
    /// Takes bytes; what they complete comes out of [`Decoder::take`].
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    /// Everything heard since the last call.
    pub fn take(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.all)
    }

    /// How long silence has to last until [`Decoder::silence`] is due; `None` when nothing is incomplete.
    pub fn patience(&self) -> Option<Duration> {
        if self.heard.paste.is_some() {
            return Some(PASTE_WAIT);
        }
        (!self.held.is_empty() || self.heard.prefix != Prefix::None).then_some(SEQUENCE_WAIT)
    }

    /// Nothing came for a while: what is incomplete is over.
    pub fn silence(&mut self) {
        self.heard.end_paste();
        match (self.held.as_slice(), self.heard.prefix) {
            ([ESCAPE], _) => self.heard.code(KeyCode::Esc, KeyModifiers::NONE),
            // Alt with a letter that also begins a sequence.
            ([ESCAPE, byte], _) if byte.is_ascii_graphic() => {
                self.heard.character(char::from(*byte), KeyModifiers::ALT);
            }
            (_, Prefix::Function) => self.heard.character('O', KeyModifiers::ALT),
            _ => {}
        }
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        self.parser = Parser::new();
        self.held.clear();
        self.heard.prefix = Prefix::None;
    }

    fn byte(&mut self, byte: u8) {
        if self.held == [ESCAPE] && self.heard.paste.is_none() && self.after_escape(byte) {
            return;
        }
        (self.heard.dispatched, self.heard.executed) = (false, false);
        self.parser.advance(&mut self.heard, &[byte]);
        if byte == ESCAPE {
            // It ends whatever was begun, and begins anew.
            self.held.clear();
            self.held.push(byte);
        } else if self.heard.dispatched {
            self.held.clear();
        } else if !(self.heard.executed && self.held.is_empty()) && self.held.len() < 4 {
            // A control character within a sequence does not end it. Four bytes tell an escape key, and alt with a key,
            // from the rest.
            self.held.push(byte);
        }
    }

    /// Alt with a key that is no part of a longer sequence. True when that was it.
    fn after_escape(&mut self, byte: u8) -> bool {
        match byte {
            ESCAPE => {
                self.heard.code(KeyCode::Esc, KeyModifiers::NONE);
                self.held.clear();
                self.parser = Parser::new();
                false
            }
            0..0x20 | 0x7f => {
                self.begin_anew();
                self.heard.control(byte, KeyModifiers::ALT);
                true
            }
            0x20..=0x2f => {
                self.begin_anew();
                self.heard.character(char::from(byte), KeyModifiers::ALT);
                true
            }
            0x80.. => {
                self.begin_anew();
                self.heard.prefix = Prefix::Alt;
                false
            }
            _ => false,
        }
    }
}

/// What the next character belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Prefix {
    #[default]
    None,
    /// Alt was held.
    Alt,
    /// `ESC O`: a key of the keypad or a function key.
    Function,
    /// `ESC [ [`: a function key of the Linux console.
    LinuxFunction,
    /// So many bytes of the mouse in its oldest form, which says nothing to us.
    OldMouse(u8),
}

#[derive(Default)]
struct Performer {
    all: Vec<Heard>,
    paste: Option<String>,
    prefix: Prefix,
    /// Whether the last byte completed something.
    dispatched: bool,
    /// Whether the last byte was a control character.
    executed: bool,
}

impl Performer {
    fn code(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        self.all.push(Input::Key(KeyEvent::new(code, modifiers)).into());
    }

    fn character(&mut self, character: char, modifiers: KeyModifiers) {
        let shift = if character.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
        self.code(KeyCode::Char(character), modifiers | shift);
    }

    fn control(&mut self, byte: u8, modifiers: KeyModifiers) {
        let held = |character: u8| (KeyCode::Char(char::from(character)), KeyModifiers::CONTROL);
        let (code, control) = match byte {
            b'\r' => (KeyCode::Enter, KeyModifiers::NONE),
            b'\t' => (KeyCode::Tab, KeyModifiers::NONE),
            0x7f => (KeyCode::Backspace, KeyModifiers::NONE),
            0 => held(b' '),
            1..=0x1a => held(byte - 1 + b'a'),
            0x1c..=0x1f => held(byte - 0x1c + b'4'),
            _ => return,
        };
        self.code(code, control | modifiers);
    }

    fn pasted(&mut self, character: char) -> bool {
        let Some(paste) = &mut self.paste else { return false };
        if paste.len() < LONGEST_PASTE {
            paste.push(character);
        }
        true
    }

    fn end_paste(&mut self) {
        if let Some(text) = self.paste.take() {
            self.all.push(Input::Paste(text).into());
        }
    }

    fn mouse(&mut self, [buttons, column, row]: [u16; 3], pressed: bool) {
        let kind = match (buttons & !0b1_1100, pressed) {
            (0, true) => MouseEventKind::Down(MouseButton::Left),
            (0, false) => MouseEventKind::Up(MouseButton::Left),
            (32, _) => MouseEventKind::Drag(MouseButton::Left),
            (64, true) => MouseEventKind::ScrollUp,
            (65, true) => MouseEventKind::ScrollDown,
            _ => return,
        };
        let (column, row) = (column.saturating_sub(1), row.saturating_sub(1));
        let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
        self.all.push(Input::Mouse(event).into());
    }
}

impl Perform for Performer {
    fn print(&mut self, character: char) {
        self.dispatched = true;
        // The delete character is no control to the parser.
        let code = match (std::mem::take(&mut self.prefix), character) {
            (Prefix::OldMouse(more), _) => {
                self.prefix = if more > 1 { Prefix::OldMouse(more - 1) } else { Prefix::None };
                return;
            }
            (Prefix::Function, _) => function(character),
            (Prefix::LinuxFunction, 'A'..='E') => linux_function(character),
            _ if self.pasted(character) => return,
            (_, '\u{7f}') => return self.control(0x7f, KeyModifiers::NONE),
            (_, char::REPLACEMENT_CHARACTER) => return,
            (Prefix::Alt, _) => return self.character(character, KeyModifiers::ALT),
            _ => return self.character(character, KeyModifiers::NONE),
        };
        if let Some(code) = code {
            self.code(code, KeyModifiers::NONE);
        }
    }

    fn execute(&mut self, byte: u8) {
        self.executed = true;
        self.prefix = Prefix::None;
        if self.paste.is_none() {
            return self.control(byte, KeyModifiers::NONE);
        }
        match byte {
            b'\r' | b'\n' => self.pasted('\n'),
            b'\t' => self.pasted('\t'),
            _ => false,
        };
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        self.dispatched = true;
        self.prefix = Prefix::None;
        let mut numbers = params.iter().map(|parts| parts.first().copied().unwrap_or(0));
        let first = numbers.next().unwrap_or(0);
        let rest = [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)];
        if ignore {
            return;
        }
        if self.paste.is_some() {
            // Sequences within pasted text are dropped; only its end counts.
            if (first, action) == (201, '~') {
                self.end_paste();
            }
            return;
        }
        match (intermediates, action) {
            (b"?$", 'y') if first == SYNCHRONIZED => {
                // 0 is "never heard of it" and 4 "off for ever".
                self.all.push(Heard::Synchronizes(matches!(rest[0], 1..=3)));
            }
            (b"<", 'M' | 'm') => self.mouse([first, rest[0], rest[1]], action == 'M'),
            (b"", 'M') if first == 0 => self.prefix = Prefix::OldMouse(3),
            (b"", '[') => self.prefix = Prefix::LinuxFunction,
            (b"", 'I') => self.all.push(Input::FocusGained.into()),
            (b"", 'O') => self.all.push(Input::FocusLost.into()),
            (b"", '~') if first == 200 => self.paste = Some(String::new()),
            // A key with its modifiers, as some terminals send every one of them.
            (b"", '~') if first == 27 => self.typed(rest[1], rest[0]),
            (b"", 'u') => self.typed(first, rest[0]),
            (b"", '~') => {
                if let Some(code) = numbered(first) {
                    self.code(code, held(rest[0]));
                }
            }
            (b"", 'Z') => self.code(KeyCode::BackTab, KeyModifiers::SHIFT),
            (b"", _) => {
                if let Some(code) = function(action) {
                    self.code(code, held(rest[0]));
                }
            }
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], ignore: bool, byte: u8) {
        self.dispatched = true;
        self.prefix = Prefix::None;
        if self.paste.is_some() || ignore || !intermediates.is_empty() {
            return;
        }
        match byte {
            b'O' => self.prefix = Prefix::Function,
            // The end of a string that somebody else began.
            b'\\' => {}
            _ => self.character(char::from(byte), KeyModifiers::ALT),
        }
    }

    fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
        self.dispatched = true;
    }

    fn unhook(&mut self) {
        self.dispatched = true;
    }
}

impl Performer {
    /// A key told by its character's number.
    fn typed(&mut self, number: u16, modifiers: u16) {
        let modifiers = held(modifiers);
        match u8::try_from(number) {
            Ok(ESCAPE) => self.code(KeyCode::Esc, modifiers),
            Ok(byte) if byte < 0x20 || byte == 0x7f => self.control(byte, modifiers),
            _ => {
                if let Some(character) = char::from_u32(u32::from(number)) {
                    self.character(character, modifiers);
                }
            }
        }
    }
}

/// Modifiers as terminals number them: one more than a sum of bits; 0 when none are told.
fn held(number: u16) -> KeyModifiers {
    let bits = number.saturating_sub(1);
    let mut held = KeyModifiers::NONE;
    for (bit, modifier) in [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)] {
        if bits & bit != 0 {
            held |= modifier;
        }
    }
    held
}

fn function(final_character: char) -> Option<KeyCode> {
    Some(match final_character {
        'A' => KeyCode::Up,
        'B' => KeyCode::Down,
        'C' => KeyCode::Right,
        'D' => KeyCode::Left,
        'H' => KeyCode::Home,
        'F' => KeyCode::End,
        'M' => KeyCode::Enter,
        'P' => KeyCode::F(1),
        'Q' => KeyCode::F(2),
        'R' => KeyCode::F(3),
        'S' => KeyCode::F(4),
        _ => return None,
    })
}

fn linux_function(letter: char) -> Option<KeyCode> {
    let number = u32::from(letter).checked_sub(u32::from('A'))? + 1;
    u8::try_from(number).ok().map(KeyCode::F)
}

fn numbered(number: u16) -> Option<KeyCode> {
    let function = |below: u16| u8::try_from(number - below).ok().map(KeyCode::F);
    match number {
        1 | 7 => Some(KeyCode::Home),
        2 => Some(KeyCode::Insert),
        3 => Some(KeyCode::Delete),
        4 | 8 => Some(KeyCode::End),
        5 => Some(KeyCode::PageUp),
        6 => Some(KeyCode::PageDown),
        11..=15 => function(10),
        17..=21 => function(11),
        23..=24 => function(12),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heard(bytes: &[u8]) -> Vec<Heard> {
        let mut decoder = Decoder::default();
        decoder.feed(bytes);
        decoder.take()
    }

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Heard {
        Input::Key(KeyEvent::new(code, modifiers)).into()
    }

    fn plain(character: char) -> Heard {
        key(KeyCode::Char(character), KeyModifiers::NONE)
    }

    #[test]
    fn keys_are_known_by_their_sequences() {
        let (none, control, alt) = (KeyModifiers::NONE, KeyModifiers::CONTROL, KeyModifiers::ALT);
        for (bytes, code, modifiers) in [
            ("j", KeyCode::Char('j'), none),
            ("X", KeyCode::Char('X'), KeyModifiers::SHIFT),
            ("ş", KeyCode::Char('ş'), none),
            ("\r", KeyCode::Enter, none),
            ("\t", KeyCode::Tab, none),
            ("\u{7f}", KeyCode::Backspace, none),
            ("\u{3}", KeyCode::Char('c'), control),
            ("\u{1a}", KeyCode::Char('z'), control),
            ("\u{1b}[A", KeyCode::Up, none),
            ("\u{1b}OB", KeyCode::Down, none),
            ("\u{1b}[1;5C", KeyCode::Right, control),
            ("\u{1b}[H", KeyCode::Home, none),
            ("\u{1b}[4~", KeyCode::End, none),
            ("\u{1b}[5~", KeyCode::PageUp, none),
            ("\u{1b}[6;2~", KeyCode::PageDown, KeyModifiers::SHIFT),
            ("\u{1b}[Z", KeyCode::BackTab, KeyModifiers::SHIFT),
            ("\u{1b}OP", KeyCode::F(1), none),
            ("\u{1b}[[B", KeyCode::F(2), none),
            ("\u{1b}[15~", KeyCode::F(5), none),
            ("\u{1b}[21~", KeyCode::F(10), none),
            ("\u{1b}[24~", KeyCode::F(12), none),
            ("\u{1b}[112;5u", KeyCode::Char('p'), control),
            ("\u{1b}[27;5;112~", KeyCode::Char('p'), control),
            ("\u{1b}j", KeyCode::Char('j'), alt),
            ("\u{1b}ö", KeyCode::Char('ö'), alt),
            ("\u{1b}/", KeyCode::Char('/'), alt),
            ("\u{1b}\r", KeyCode::Enter, alt),
        ] {
            assert_eq!(heard(bytes.as_bytes()), [key(code, modifiers)], "{bytes:?}");
            // However it is cut.
            let mut decoder = Decoder::default();
            for byte in bytes.as_bytes() {
                decoder.feed(&[*byte]);
            }
            assert_eq!(decoder.take(), [key(code, modifiers)], "{bytes:?} in pieces");
        }
    }

    #[test]
    fn a_lone_escape_is_the_key_after_a_silence() {
        let mut decoder = Decoder::default();
        decoder.feed(b"\x1b");
        assert_eq!((decoder.take(), decoder.patience()), (Vec::new(), Some(SEQUENCE_WAIT)));
        decoder.silence();
        assert_eq!(decoder.take(), [key(KeyCode::Esc, KeyModifiers::NONE)]);
        assert_eq!(decoder.patience(), None);
        assert_eq!(heard(b"\x1b\x1b[A").len(), 2, "escape, then an arrow");
    }

    #[test]
    fn the_mouse_the_focus_and_the_answer_are_told_apart() {
        let mouse = |kind, column, row| {
            Heard::from(Input::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
        };
        let left = MouseButton::Left;
        assert_eq!(heard(b"\x1b[<0;10;5M"), [mouse(MouseEventKind::Down(left), 9, 4)]);
        assert_eq!(heard(b"\x1b[<32;11;5M"), [mouse(MouseEventKind::Drag(left), 10, 4)]);
        assert_eq!(heard(b"\x1b[<0;11;5m"), [mouse(MouseEventKind::Up(left), 10, 4)]);
        assert_eq!(heard(b"\x1b[<65;1;1M"), [mouse(MouseEventKind::ScrollDown, 0, 0)]);
        assert_eq!(heard(b"\x1b[M qqj"), [plain('j')], "the oldest form is skipped, not typed");
        assert_eq!(heard(b"\x1b[I\x1b[O"), [Input::FocusGained.into(), Input::FocusLost.into()]);
        assert_eq!(heard(b"\x1b[?2026;2$y"), [Heard::Synchronizes(true)]);
        assert_eq!(heard(b"\x1b[?2026;0$y"), [Heard::Synchronizes(false)]);
        assert_eq!(heard(b"\x1b[?2026;4$y"), [Heard::Synchronizes(false)]);
        assert_eq!(heard(b"\x1b[?62;22c\x1b]11;rgb:1/1/1\x1b\\j"), [plain('j')], "what nobody asked");
    }

    #[test]
    fn pasted_text_is_one_piece_and_never_keys() {
        let text = |text: &str| Heard::from(Input::Paste(text.to_owned()));
        assert_eq!(heard(b"\x1b[200~x\ry\x1b[A\x1b[31mz\x03\x1b[201~q"), [text("x\nyz"), plain('q')]);
        let mut decoder = Decoder::default();
        decoder.feed(b"\x1b[200~flatten");
        assert_eq!((decoder.take(), decoder.patience()), (Vec::new(), Some(PASTE_WAIT)));
        decoder.silence();
        decoder.feed(b"j");
        assert_eq!(decoder.take(), [text("flatten"), plain('j')], "a paste that never ends, ends");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_deaf(
            bytes in proptest::collection::vec(
                prop_oneof![
                    3 => any::<u8>(),
                    1 => proptest::sample::select(b"\x1b[]?<O;PM~0".to_vec()),
                ],
                0..40,
            ),
        ) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes);
            if decoder.patience().is_some() {
                decoder.silence();
            }
            prop_assert_eq!(decoder.patience(), None);
            decoder.take();
            decoder.feed(b"j");
            // The oldest form of the mouse holds three bytes; they came or are forgotten by now.
            prop_assert_eq!(decoder.take(), [plain('j')]);
        }
    }
}
