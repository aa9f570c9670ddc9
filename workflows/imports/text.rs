//! Makes characters of a file's bytes, whatever the encoding.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::ImportError;

/// Bytes or characters at the start that tell what a file is.
const SAMPLE: usize = 4_096;

/// How files begin that users take for exports.
const OTHER_KINDS: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"bplist", "a binary property list"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a compressed file"),
    (b"SQLite format 3", "a database"),
];

/// A file as text.
pub(super) struct Text {
    /// The characters, without a byte order mark, each line ended by `\n` alone.
    pub(super) text: String,
    /// Whether a byte order mark stood before them.
    pub(super) has_mark: bool,
    /// Whether there were bytes that mean nothing. Each left a U+FFFD.
    pub(super) is_damaged: bool,
}

impl Text {
    /// Decodes by the byte order mark, else by what the bytes look like.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ImportError> {
        if let Some((_, kind)) = OTHER_KINDS
            .iter()
            .find(|(magic, _)| bytes.starts_with(magic))
        {
            return Err(ImportError::NotText { kind });
        }
        let mark = Encoding::for_bom(bytes);
        let (encoding, length) = mark.unwrap_or_else(|| (likely_encoding(bytes), 0));
        let (text, is_damaged) = encoding.decode_without_bom_handling(&bytes[length..]);
        if is_binary(&text) {
            return Err(ImportError::NotText {
                kind: "the data of some program",
            });
        }
        Ok(Self {
            text: plain_lines(text.into_owned()),
            has_mark: mark.is_some(),
            is_damaged,
        })
    }
}

/// The encoding of a file that does not tell it.
fn likely_encoding(bytes: &[u8]) -> &'static Encoding {
    if let Some(encoding) = utf16_by_zeros(bytes) {
        return encoding;
    }
    // A few broken bytes do not make it another encoding; in a text of another one, next to nothing
    // beyond ASCII happens to be right.
    let (mut right, mut wrong) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        right += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        wrong += usize::from(!chunk.invalid().is_empty());
    }
    if wrong == 0 || right > wrong {
        UTF_8
    } else {
        WINDOWS_1252
    }
}

/// UTF-16 is told by its zeros, which stand in the same half of each pair: at least those of tabs,
/// digits and line ends.
fn utf16_by_zeros(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let zeros = |half: usize| {
        sample
            .iter()
            .skip(half)
            .step_by(2)
            .filter(|b| **b == 0)
            .count()
    };
    let (first, second) = (zeros(0), zeros(1));
    let enough = |many: usize, few: usize| many > 4 * few && many * 20 >= sample.len();
    if enough(second, first) {
        Some(UTF_16LE)
    } else if enough(first, second) {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Whether one character in ten is a control character, as in data of any kind.
fn is_binary(text: &str) -> bool {
    let (mut all, mut controls) = (0_usize, 0_usize);
    for c in text.chars().take(SAMPLE) {
        all += 1;
        controls += usize::from(c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    }
    controls * 10 > all
}

/// The text with `\n` for each `\r\n` and each lone `\r`, which Apple's exports still have.
fn plain_lines(text: String) -> String {
    if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> (String, bool, bool) {
        let file = Text::decode(bytes).expect("it is text");
        (file.text, file.has_mark, file.is_damaged)
    }

    fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes_of).collect()
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "Títol\tArtist\nDéjà Vu\tBeyoncé\n";
        assert_eq!(decoded(text.as_bytes()), (text.to_owned(), false, false));
        let marked = format!("\u{feff}{text}");
        assert_eq!(decoded(marked.as_bytes()), (text.to_owned(), true, false));
        for bytes_of in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(
                decoded(&utf16(&marked, bytes_of)),
                (text.to_owned(), true, false)
            );
            assert_eq!(
                decoded(&utf16(text, bytes_of)),
                (text.to_owned(), false, false)
            );
        }
        let (latin1, _, _) = WINDOWS_1252.encode(text);
        assert_eq!(decoded(&latin1), (text.to_owned(), false, false));
    }

    #[test]
    fn text_without_latin_letters_is_known_as_utf16_by_its_tabs_and_digits() {
        let text = "名前\tアーティスト\t時間\n夜に駆ける\tヨアソビ\t261\n";
        assert_eq!(decoded(&utf16(text, u16::to_le_bytes)).0, text);
        assert_eq!(decoded(&utf16(text, u16::to_be_bytes)).0, text);
    }

    #[test]
    fn a_few_broken_bytes_leave_the_rest_as_it_was() {
        let mut bytes = "Beyoncé – Déjà Vu\nSigur Rós – ".as_bytes().to_vec();
        bytes.extend(b"Gl\xf3s\xf3li\n");
        let (text, _, is_damaged) = decoded(&bytes);
        assert_eq!(
            text,
            "Beyoncé – Déjà Vu\nSigur Rós – Gl\u{fffd}s\u{fffd}li\n"
        );
        assert!(is_damaged);
    }

    #[test]
    fn lines_end_in_one_way() {
        assert_eq!(decoded(b"a\r\nb\rc\nd\r\r\ne").0, "a\nb\nc\nd\n\ne");
    }

    #[test]
    fn what_is_no_text_is_told_by_its_kind() {
        for (bytes, expected) in [
            (
                &b"PK\x03\x04\x14\0\x06\0"[..],
                "an Excel workbook or a ZIP archive",
            ),
            (b"bplist00\xd1\x01\x02", "a binary property list"),
            (b"\x01\x02\x03\x04song\x05\x06", "the data of some program"),
        ] {
            let error = Text::decode(bytes).err();
            assert_eq!(error, Some(ImportError::NotText { kind: expected }));
        }
        assert_eq!(decoded(b"").0, "");
    }
}
