//! The sparse format of LIBSVM and SVMlight: a row is `label index:value index:value …`, indices from 1 and increasing.
//! Text behind `#` is a comment; `qid:` entries are refused.

use bilevel_linalg::Csr;

use super::{DataError, quoted};

/// Labels and features.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// One label for each row.
    pub labels: Vec<f64>,
    /// The features; as many columns as the largest index.
    pub features: Csr,
}

/// The largest feature index.
const LARGEST_INDEX: usize = 100_000_000;

/// Reads samples; `columns` is the least number of columns of the result.
///
/// # Errors
/// A row that does not follow the format, with its place.
pub fn read(bytes: &[u8], columns: usize) -> Result<Samples, DataError> {
    let text = super::text(bytes)?;
    let (mut labels, mut triplets, mut cols) = (Vec::new(), Vec::new(), columns);
    let mut start = 0;
    for line in text.split('\n') {
        let content = line.split('#').next().unwrap_or_default();
        let mut words = words(content);
        if let Some((at, label)) = words.next() {
            let place = start + at..start + at + label.len();
            let value = finite(label).ok_or_else(|| {
                let message = format!("the label {} is not a finite number", quoted(label));
                DataError::new(message, "a row is `label index:value index:value …`").at(place)
            })?;
            let row = labels.len();
            labels.push(value);
            let mut last = 0;
            for (at, word) in words {
                let place = start + at..start + at + word.len();
                let (index, value) = feature(word, last).map_err(|error| error.at(place))?;
                last = index;
                cols = cols.max(index);
                if value != 0.0 {
                    triplets.push((row, index - 1, value));
                }
            }
        }
        start += line.len() + 1;
    }
    if labels.is_empty() {
        return Err(DataError::new("the file has no rows", "a row is `label index:value index:value …`"));
    }
    let features = Csr::from_triplets(labels.len(), cols, &triplets)
        .ok_or_else(|| DataError::new("the rows do not form a matrix", "check the file"))?;
    Ok(Samples { labels, features })
}

/// The words of a line with their places in it.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let origin = line.as_ptr() as usize;
    line.split_ascii_whitespace().map(move |word| (word.as_ptr() as usize - origin, word))
}

fn finite(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

fn feature(word: &str, last: usize) -> Result<(usize, f64), DataError> {
    let form = "features are written `index:value`, with indices from 1 that increase";
    let Some((index, value)) = word.split_once(':') else {
        return Err(DataError::new(format!("{} is not `index:value`", quoted(word)), form));
    };
    let index = match index.parse::<usize>() {
        Ok(index) if index > last && index <= LARGEST_INDEX => index,
        Ok(0) => return Err(DataError::new("the index 0: indices start at 1", form)),
        Ok(index) if index > LARGEST_INDEX => {
            return Err(DataError::new(format!("the index {index} is too large"), form));
        }
        Ok(index) => return Err(DataError::new(format!("the index {index} after {last}"), form)),
        Err(_) => return Err(DataError::new(format!("{} is not an index", quoted(index)), form)),
    };
    match finite(value) {
        Some(value) => Ok((index, value)),
        None => Err(DataError::new(format!("{} is not a finite number", quoted(value)), form)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn samples_are_read() {
        let samples = read(b"+1 1:0.5 3:2 # note\r\n\n-1 2:1\n0\n", 0).unwrap();
        assert_eq!(samples.labels, [1.0, -1.0, 0.0]);
        assert_eq!((samples.features.rows(), samples.features.cols()), (3, 3));
        assert_eq!(samples.features.row(0).collect::<Vec<_>>(), [(0, 0.5), (2, 2.0)]);
        assert_eq!(samples.features.row(1).collect::<Vec<_>>(), [(1, 1.0)]);
        assert_eq!(read(b"1 1:1\n", 7).unwrap().features.cols(), 7);
    }

    #[test]
    fn bad_rows_are_placed() {
        for (text, place, message) in [
            ("1 1:2\nx 1:2\n", "x", "the label `x`"),
            ("1 1:2 2:y\n", "2:y", "`y` is not a finite number"),
            ("1 0:2\n", "0:2", "start at 1"),
            ("1 2:1 2:1\n", "2:1", "the index 2 after 2"),
            ("1 foo\n", "foo", "not `index:value`"),
            ("1 qid:3 1:1\n", "qid:3", "`qid` is not an index"),
            ("1 999999999999:1\n", "999999999999:1", "too large"),
            ("1 1:inf\n", "1:inf", "`inf`"),
        ] {
            let error = read(text.as_bytes(), 0).unwrap_err();
            assert_eq!(&text[error.span.clone().unwrap()], place, "{error}");
            assert!(error.message.contains(message), "{error}");
        }
        assert!(read(b"\n# nothing\n", 0).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[0-9:. #\n\r+a-]{0,60}") {
            if let Err(DataError { span: Some(span), .. }) = read(text.as_bytes(), 0) {
                prop_assert!(span.end <= text.len());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, 0);
        }
    }
}
