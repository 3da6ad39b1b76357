//! Tables of numbers separated by commas, semicolons or tabs.
//!
//! The first line holds names if one of its cells is not a number. Only the columns that are used must be numeric. Empty
//! lines are skipped; a cell may stand in double quotes.

use std::ops::Range;

use bilevel_linalg::Dense;
use csv::{ByteRecord, ReaderBuilder};

use super::{DataError, ENTRY_LIMIT, quoted};

/// A table whose first line has been read.
#[derive(Debug)]
pub struct CsvTable<'a> {
    bytes: &'a [u8],
    separator: u8,
    header: bool,
    names: Vec<String>,
}

impl<'a> CsvTable<'a> {
    /// Looks at the first line. `header` says whether it holds names; without it, one cell that is no number says so.
    ///
    /// # Errors
    /// An empty file, or one that is not UTF-8.
    pub fn open(bytes: &'a [u8], header: Option<bool>) -> Result<Self, DataError> {
        let text = super::text(bytes)?;
        let separator = separator(text);
        let mut first = ByteRecord::new();
        let found = reader(text.as_bytes(), separator).read_byte_record(&mut first);
        if !matches!(found, Ok(true)) {
            return Err(DataError::new("the file is empty", "a table has one line for each row"));
        }
        let cells: Vec<String> = first.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_string()).collect();
        let header = header.unwrap_or_else(|| cells.iter().any(|cell| cell.parse::<f64>().is_err()));
        let names = if header { cells } else { vec![String::new(); cells.len()] };
        Ok(Self { bytes: text.as_bytes(), separator, header, names })
    }

    /// The columns' names; empty strings if the file has none.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads the given columns (indices from 0) of all rows.
    ///
    /// # Errors
    /// A row with another number of cells than the first line, or a cell that is not a finite number.
    pub fn read(&self, columns: &[usize]) -> Result<Dense, DataError> {
        let mut reader = reader(self.bytes, self.separator);
        let (mut record, mut data, mut rows) = (ByteRecord::new(), Vec::new(), 0);
        let mut skip = self.header;
        loop {
            let start = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(DataError::new(format!("cannot read the table: {error}"), "check the file")),
            }
            if std::mem::take(&mut skip) {
                continue;
            }
            let row = Row { bytes: self.bytes, start, separator: self.separator };
            if record.len() != self.names.len() {
                return Err(self.ragged(&row, record.len()));
            }
            for &column in columns {
                data.push(self.number(&record, column, &row)?);
            }
            rows += 1;
            if data.len() > ENTRY_LIMIT {
                return Err(DataError::new("the table is too large", "select columns, or use a `.libsvm` file"));
            }
        }
        Dense::from_row_major(rows, columns.len(), data)
            .ok_or_else(|| DataError::new("the table has no rows", "add rows below the names"))
    }

    fn number(&self, record: &ByteRecord, column: usize, row: &Row<'_>) -> Result<f64, DataError> {
        let cell = record.get(column).map(String::from_utf8_lossy).unwrap_or_default();
        match cell.trim().parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => {
                let place = match self.names.get(column) {
                    Some(name) if !name.is_empty() => format!("column {}", quoted(name)),
                    _ => format!("column {column}"),
                };
                let (message, help) = if cell.trim().is_empty() {
                    (format!("an empty cell in {place}"), "fill the cell, or leave the row or the column out")
                } else {
                    (
                        format!("{} in {place} is not a finite number", quoted(cell.trim())),
                        "correct the cell, or select other columns with `columns`",
                    )
                };
                Err(DataError::new(message, help).at(row.cell(column)))
            }
        }
    }

    fn ragged(&self, row: &Row<'_>, cells: usize) -> DataError {
        let message = format!("this row has {cells} cells, the first line has {}", self.names.len());
        let last = cells.min(self.names.len()).saturating_sub(1);
        DataError::new(message, "every row needs the same number of cells").at(row.cell(if cells > self.names.len() {
            self.names.len()
        } else {
            last
        }))
    }
}

fn reader(bytes: &[u8], separator: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(bytes)
}

/// The separator that is most frequent in the first line.
fn separator(text: &str) -> u8 {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |separator: u8| line.bytes().filter(|&b| b == separator).count();
    // On a tie the first one counts.
    [b'\t', b';', b','].into_iter().max_by_key(|&s| count(s)).unwrap_or(b',')
}

/// Finds cells of a row in the file's bytes.
struct Row<'a> {
    bytes: &'a [u8],
    start: usize,
    separator: u8,
}

impl Row<'_> {
    /// The bytes of a cell, quotes included.
    fn cell(&self, column: usize) -> Range<usize> {
        let mut at = self.start.min(self.bytes.len());
        while matches!(self.bytes.get(at), Some(b'\n' | b'\r')) {
            at += 1;
        }
        let (mut cell, mut start, mut quotes) = (0, at, false);
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'"' => quotes = !quotes,
                b'\n' | b'\r' if !quotes => break,
                _ if byte == self.separator && !quotes => {
                    if cell == column {
                        break;
                    }
                    cell += 1;
                    start = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        start..at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Result<Dense, DataError> {
        let table = CsvTable::open(text.as_bytes(), None)?;
        table.read(&(0..table.names().len()).collect::<Vec<_>>())
    }

    #[test]
    fn numbers_with_and_without_names() {
        let table = CsvTable::open(b"a,b\n1,2\n3,4.5\n", None).unwrap();
        assert_eq!(table.names(), ["a", "b"]);
        assert_eq!(table.read(&[1, 0]).unwrap().data(), [2.0, 1.0, 4.5, 3.0]);
        assert_eq!(all("1,2\n3,4").unwrap().data(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(all("1;2\r\n\r\n3;4\r\n").unwrap().data(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(all("1\t2\n").unwrap().data(), [1.0, 2.0]);
        assert_eq!(all("\u{feff}\"a, b\",c\n\"1\", 2 \n").unwrap().data(), [1.0, 2.0]);
        assert_eq!(all("a\n").unwrap().rows(), 0);
        let forced = CsvTable::open(b"1,2\n3,4\n", Some(true)).unwrap();
        assert_eq!(forced.read(&[0]).unwrap().data(), [3.0]);
    }

    #[test]
    fn text_columns_that_are_not_used_do_no_harm() {
        let table = CsvTable::open(b"a,name\n1,x\n2,y\n", None).unwrap();
        assert_eq!(table.read(&[0]).unwrap().data(), [1.0, 2.0]);
        assert!(table.read(&[1]).is_err());
    }

    #[test]
    fn bad_cells_are_found() {
        for (text, cell, message) in [
            ("a,b\n1,2\n3,x4\n", "x4", "`x4` in column `b` is not a finite number"),
            ("a,b\n1,2\n\n\n\"3\",\"x,4\"\n", "\"x,4\"", "`x,4` in column `b`"),
            ("1,2\n3,nan\n", "nan", "`nan` in column 1"),
            ("1,2\n3,inf\n", "inf", "`inf` in column 1"),
            ("a,b\n,2\n", "", "an empty cell in column `a`"),
            ("a,b\n1,2\n3\n", "3", "this row has 1 cells, the first line has 2"),
            ("a,b\n1,2\n3,4,55,6\n", "55", "this row has 4 cells, the first line has 2"),
        ] {
            let error = all(text).unwrap_err();
            assert_eq!(&text[error.span.clone().unwrap()], cell, "{text:?}");
            assert!(error.message.contains(message), "{error}");
            assert!(!error.help.is_empty());
        }
        assert!(all("").unwrap_err().message.contains("empty"));
        assert!(CsvTable::open(b"\xff\n", None).unwrap_err().message.contains("UTF-8"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(table) = CsvTable::open(&bytes, None) {
                let _ = table.read(&(0..table.names().len()).collect::<Vec<_>>());
                let _ = table.read(&[7]);
            }
        }

        #[test]
        fn arbitrary_tables_never_panic(text in "[0-9.,;\"\n\r\ta-]{0,80}") {
            if let Err(DataError { span: Some(span), .. }) = all(&text) {
                prop_assert!(span.start <= span.end && span.end <= text.len());
            }
        }

        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(prop::array::uniform3(-1e9..1e9), 1..20)) {
            let text: String = rows.iter().map(|r| format!("{},{},{}\n", r[0], r[1], r[2])).collect();
            let table = all(&text).unwrap();
            prop_assert_eq!(table.data(), rows.concat());
        }
    }
}
