//! Takes a table apart into records, line by line and within bounds.

use csv_core::{ReadFieldResult, Reader, ReaderBuilder, Terminator};

/// Bytes of a field that are kept: 500 characters of four bytes, twice.
const LONGEST_FIELD: usize = 4_000;
/// Fields of a record that are kept. The widest export has 31.
const MOST_FIELDS: usize = 200;
/// How often, taken all together, a text may be read again after a quotation mark without an end.
/// Without a bound, a text made for it would be read once from each of its lines.
const MOST_REREADING: usize = 4;

/// The records of a table.
pub(super) struct Records<'a> {
    text: &'a str,
    /// Where the next record begins.
    at: usize,
    /// The line on which it does, from 1.
    line: u32,
    delimiter: u8,
    parser: Reader,
    /// Bytes that were read more than once.
    reread: usize,
}

/// A row of a table.
pub(super) struct Record<'a> {
    /// The line on which it begins, from 1.
    pub(super) line: u32,
    /// How it is written, without the line's end.
    pub(super) text: &'a str,
    /// Its fields, without their quotation marks; at most [`MOST_FIELDS`].
    pub(super) fields: Vec<String>,
    /// How many fields it has.
    pub(super) count: usize,
    /// How many it has up to the last one that is not blank.
    pub(super) filled: usize,
    /// Whether the file ends with it, and without a line's end.
    pub(super) is_last: bool,
    start: usize,
    delimiter: u8,
}

impl<'a> Records<'a> {
    /// The records of a text whose lines end in `\n`.
    pub(super) fn new(text: &'a str, delimiter: u8) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            delimiter,
            parser: parser(delimiter, true),
            reread: 0,
        }
    }

    /// The rest of the records, with quotation marks as characters like any other.
    pub(super) fn unquoted(mut self) -> Self {
        self.parser = parser(self.delimiter, false);
        self
    }

    /// Goes back to the second line of a record that has taken in lines of others. Nothing happens
    /// once too much was read again.
    pub(super) fn resume_after_first_line(&mut self, record: &Record<'_>) {
        let Some(end) = record.text.find('\n') else {
            return;
        };
        self.reread += record.text.len();
        if self.reread <= MOST_REREADING * self.text.len() {
            self.at = record.start + end + 1;
            self.line = record.line.saturating_add(1);
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let rest = &self.text.as_bytes()[self.at..];
        // The parser passes over empty lines without a word, and the record has to know its line.
        let empty = rest.iter().take_while(|byte| **byte == b'\n').count();
        self.advance(empty);
        let (start, line) = (self.at, self.line);
        let mut input = &rest[empty..];
        if input.is_empty() {
            return None;
        }
        self.parser.reset();
        let mut fields = Vec::new();
        let (mut count, mut filled) = (0, 0);
        let mut field = Vec::new();
        loop {
            let mut buffer = [0; 256];
            let (result, read, written) = self.parser.read_field(input, &mut buffer);
            input = &input[read..];
            let room = LONGEST_FIELD.saturating_sub(field.len());
            field.extend(&buffer[..written.min(room)]);
            if let ReadFieldResult::Field { .. } = result {
                count += 1;
                let text = whole_characters(&field);
                if !text.trim().is_empty() {
                    filled = count;
                }
                if fields.len() < MOST_FIELDS {
                    fields.push(text.to_owned());
                }
                field.clear();
            }
            if let ReadFieldResult::Field { record_end: true } | ReadFieldResult::End = result {
                break;
            }
        }
        self.advance(rest.len() - empty - input.len());
        let text = &self.text[start..self.at];
        Some(Record {
            line,
            text: text.strip_suffix('\n').unwrap_or(text),
            fields,
            count,
            filled,
            is_last: self.at == self.text.len() && !text.ends_with('\n'),
            start,
            delimiter: self.delimiter,
        })
    }
}

impl Records<'_> {
    fn advance(&mut self, bytes: usize) {
        let passed = &self.text.as_bytes()[self.at..self.at + bytes];
        let lines = passed.iter().filter(|byte| **byte == b'\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.at += bytes;
    }
}

impl Record<'_> {
    /// The field at a place; empty if there is none.
    pub(super) fn field(&self, place: Option<usize>) -> &str {
        place
            .and_then(|place| self.fields.get(place))
            .map_or("", String::as_str)
    }

    /// Whether it goes over several lines.
    pub(super) fn spans_lines(&self) -> bool {
        self.text.contains('\n')
    }

    /// Whether each quotation mark that opens a field closes it, as in whatever a program writes. One that
    /// was lost makes the next one close what it should open, lines further down.
    pub(super) fn is_soundly_quoted(&self) -> bool {
        let mut rest = self.text.as_bytes();
        loop {
            let Some(quoted) = rest.strip_prefix(b"\"") else {
                match rest.iter().position(|byte| *byte == self.delimiter) {
                    Some(end) => rest = &rest[end + 1..],
                    None => return true,
                }
                continue;
            };
            let mut inside = quoted;
            rest = loop {
                let Some(mark) = inside.iter().position(|byte| *byte == b'"') else {
                    return false;
                };
                match inside[mark + 1..].split_first() {
                    None => return true,
                    Some((b'"', after)) => inside = after,
                    Some((next, after)) if *next == self.delimiter => break after,
                    Some(_) => return false,
                }
            };
        }
    }
}

fn parser(delimiter: u8, quoting: bool) -> Reader {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .terminator(Terminator::Any(b'\n'))
        .quoting(quoting)
        .build()
}

/// The bytes as text. A field that was cut may end within a character.
fn whole_characters(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(u32, Vec<String>)> {
        Records::new(text, b',')
            .map(|r| (r.line, r.fields))
            .collect()
    }

    #[test]
    fn each_record_knows_the_line_on_which_it_begins() {
        let text = "\n\na,b\n\n\"c\n\nd\",\"e \"\"f\"\"\"\n,\ng";
        let expected: Vec<(u32, Vec<String>)> = vec![
            (3, vec!["a".into(), "b".into()]),
            (5, vec!["c\n\nd".into(), "e \"f\"".into()]),
            (8, vec!["".into(), "".into()]),
            (9, vec!["g".into()]),
        ];
        assert_eq!(read(text), expected);
        assert_eq!(read(""), []);
        assert_eq!(read("\n\n"), []);
    }

    #[test]
    fn a_record_knows_its_text_its_end_and_its_blanks() {
        let mut records = Records::new("a,b,,\n\"c\nd\",e", b',');
        let first = records.next().expect("a record");
        assert_eq!((first.text, first.count, first.filled), ("a,b,,", 4, 2));
        assert!(!first.is_last && !first.spans_lines());
        let second = records.next().expect("a record");
        assert_eq!(second.text, "\"c\nd\",e");
        assert!(second.is_last && second.spans_lines());
        assert_eq!(
            (
                second.field(Some(1)),
                second.field(Some(2)),
                second.field(None)
            ),
            ("e", "", "")
        );
    }

    #[test]
    fn a_lost_quotation_mark_is_noticed_where_the_next_one_opens() {
        for (text, expected) in [
            ("\"a\nb\",c", true),
            ("\"a\n\"\"b\"\"\",\"\"", true),
            ("a,\"b\n,c\"", true),
            ("\"a,b\nc,d\n\"e\",f", false),
            ("a,\"b\nc,d", false),
            ("\"a\n\"b,c", false),
        ] {
            let record = Records::new(text, b',').next().expect("a record");
            assert!(record.spans_lines(), "{text}");
            assert_eq!(record.is_soundly_quoted(), expected, "{text}");
        }
    }

    #[test]
    fn reading_goes_on_after_the_first_line_of_a_broken_record() {
        let mut records = Records::new("\"a,b\nc,d\ne,f\n", b',');
        let broken = records.next().expect("a record");
        assert!(broken.spans_lines());
        records.resume_after_first_line(&broken);
        let lines: Vec<u32> = records.map(|record| record.line).collect();
        assert_eq!(lines, [2, 3]);
    }

    #[test]
    fn no_text_is_read_again_without_end() {
        // Each line takes in all that follow it, from wherever one begins to read.
        let text = "x\",\"".to_owned() + &"\nx\",\"".repeat(20_000);
        let mut records = Records::new(&text, b',');
        let mut read = 0;
        while let Some(record) = records.next() {
            read += record.text.len();
            records.resume_after_first_line(&record);
        }
        assert!(read <= (MOST_REREADING + 2) * text.len());
    }

    #[test]
    fn fields_are_few_and_short_and_end_with_a_character() {
        let text = "ü".repeat(10_000) + &",a".repeat(10_000);
        let record = Records::new(&text, b',').next().expect("a record");
        assert_eq!((record.count, record.fields.len()), (10_001, MOST_FIELDS));
        assert_eq!(record.fields[0], "ü".repeat(LONGEST_FIELD / 2));
    }

    #[test]
    fn quotation_marks_can_be_characters_like_others() {
        let records = Records::new("\"Heroes\"\tDavid Bowie\n\"Open\ta\n", b'\t').unquoted();
        let titles: Vec<String> = records.map(|record| record.fields[0].clone()).collect();
        assert_eq!(titles, ["\"Heroes\"", "\"Open"]);
    }
}
