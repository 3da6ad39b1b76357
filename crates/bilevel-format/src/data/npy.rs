//! NumPy arrays [numpy.lib.format, versions 1.0 to 3.0]: `f4`, `f8`, `i4`, `i8` in either byte order, C or Fortran
//! order, one or two dimensions (and single numbers).

use super::{DataError, ENTRY_LIMIT};

/// An array with its entries row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The lengths of its dimensions: none, one or two.
    pub shape: Vec<usize>,
    /// The entries, the last index running fastest.
    pub data: Vec<f64>,
}

/// What the header says.
#[derive(Debug, PartialEq)]
struct Header {
    kind: Kind,
    big_endian: bool,
    fortran: bool,
    shape: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    F4,
    F8,
    I4,
    I8,
}

impl Kind {
    fn size(self) -> usize {
        match self {
            Kind::F4 | Kind::I4 => 4,
            Kind::F8 | Kind::I8 => 8,
        }
    }
}

/// Reads an array.
///
/// # Errors
/// Anything that is not such an array, with the reason; a file that is shorter or longer than its header says.
pub fn read(bytes: &[u8]) -> Result<Array, DataError> {
    let (header, data) = split(bytes)?;
    let entries = header.shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
    let entries = match entries {
        Some(entries) if entries <= ENTRY_LIMIT => entries,
        _ => {
            return Err(DataError::new(
                format!("an array of shape {:?} is too large", header.shape),
                "use a part of it",
            ));
        }
    };
    if data.len() != entries * header.kind.size() {
        let message = format!(
            "the header promises {entries} entries of {} bytes, the file has {} bytes for them",
            header.kind.size(),
            data.len()
        );
        return Err(DataError::new(message, "write the array again with `numpy.save`"));
    }
    let values: Vec<f64> = data.chunks_exact(header.kind.size()).map(|chunk| number(chunk, &header)).collect();
    let data = match header.shape.as_slice() {
        &[rows, cols] if header.fortran => {
            (0..rows).flat_map(|i| (0..cols).map(move |j| i + j * rows)).map(|k| values[k]).collect()
        }
        _ => values,
    };
    Ok(Array { shape: header.shape, data })
}

fn number(chunk: &[u8], header: &Header) -> f64 {
    let mut raw = [0_u8; 8];
    let size = chunk.len().min(8);
    // As little-endian, in the low bytes.
    for (i, &byte) in chunk.iter().enumerate().take(size) {
        raw[if header.big_endian { size - 1 - i } else { i }] = byte;
    }
    let low = [raw[0], raw[1], raw[2], raw[3]];
    match header.kind {
        Kind::F4 => f64::from(f32::from_le_bytes(low)),
        Kind::F8 => f64::from_le_bytes(raw),
        Kind::I4 => f64::from(i32::from_le_bytes(low)),
        Kind::I8 => i64::from_le_bytes(raw) as f64,
    }
}

/// The header and the bytes behind it.
fn split(bytes: &[u8]) -> Result<(Header, &[u8]), DataError> {
    let wrong = |message: &str| DataError::new(message, "write the array with `numpy.save`");
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(|| wrong("this is not a `.npy` file"))?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        [1..=3, ..] => return Err(wrong("the file ends within its header")),
        _ => return Err(wrong("this version of the `.npy` format is not known")),
    };
    let (header, data) = rest.split_at_checked(length).ok_or_else(|| wrong("the file ends within its header"))?;
    let header = std::str::from_utf8(header).map_err(|_| wrong("the header is not text"))?;
    Ok((parse_header(header)?, data))
}

/// Reads `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse_header(text: &str) -> Result<Header, DataError> {
    let wrong =
        |what: &str| DataError::new(format!("the header has no valid {what}"), "write the array with `numpy.save`");
    let descr = value(text, "descr").ok_or_else(|| wrong("`descr`"))?;
    let descr = descr.strip_prefix(['\'', '"']).ok_or_else(|| wrong("`descr`"))?;
    let descr = descr.split(['\'', '"']).next().unwrap_or_default();
    let (order, kind) = match descr.as_bytes().first() {
        Some(b'<' | b'=' | b'|') => (false, &descr[1..]),
        Some(b'>') => (true, &descr[1..]),
        _ => (false, descr),
    };
    let kind = match kind {
        "f4" => Kind::F4,
        "f8" => Kind::F8,
        "i4" => Kind::I4,
        "i8" => Kind::I8,
        _ => {
            let message = format!("entries of type {} cannot be read", super::quoted(descr));
            return Err(DataError::new(message, "convert with `array.astype(numpy.float64)`"));
        }
    };
    let fortran = match value(text, "fortran_order") {
        Some(rest) if rest.starts_with("True") => true,
        Some(rest) if rest.starts_with("False") => false,
        _ => return Err(wrong("`fortran_order`")),
    };
    let shape = value(text, "shape").and_then(|rest| rest.strip_prefix('(')).and_then(|rest| rest.split_once(')'));
    let (shape, _) = shape.ok_or_else(|| wrong("`shape`"))?;
    let shape: Option<Vec<usize>> =
        shape.split(',').map(str::trim).filter(|n| !n.is_empty()).map(|n| n.parse().ok()).collect();
    let shape = shape.ok_or_else(|| wrong("`shape`"))?;
    if shape.len() > 2 {
        let message = format!("the array has {} dimensions", shape.len());
        return Err(DataError::new(message, "use a vector or a matrix: `array.reshape(len(array), -1)`"));
    }
    Ok(Header { kind, big_endian: order, fortran, shape })
}

/// What follows `'key':` in the header.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let quoted = [format!("'{key}'"), format!("\"{key}\"")];
    let at = quoted.iter().find_map(|q| text.find(q.as_str()).map(|at| at + q.len()))?;
    text[at..].trim_start().strip_prefix(':').map(str::trim_start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn header(descr: &str, fortran: bool, shape: &str) -> String {
        let fortran = if fortran { "True" } else { "False" };
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    #[test]
    fn types_orders_and_shapes() {
        let values = [1.0, -2.0, 3.0, 4.0, 5.0, 6.0];
        let f8: Vec<u8> = values.iter().flat_map(|v: &f64| v.to_le_bytes()).collect();
        let f8_big: Vec<u8> = values.iter().flat_map(|v: &f64| v.to_be_bytes()).collect();
        let f4: Vec<u8> = values.iter().flat_map(|&v| (v as f32).to_le_bytes()).collect();
        let i4: Vec<u8> = values.iter().flat_map(|&v| (v as i32).to_le_bytes()).collect();
        let i8: Vec<u8> = values.iter().flat_map(|&v| (v as i64).to_le_bytes()).collect();
        let i8_big: Vec<u8> = values.iter().flat_map(|&v| (v as i64).to_be_bytes()).collect();
        for (descr, data) in
            [("<f8", &f8), (">f8", &f8_big), ("<f4", &f4), ("<i4", &i4), ("<i8", &i8), (">i8", &i8_big)]
        {
            let c = read(&file(&header(descr, false, "(2, 3)"), data)).unwrap();
            assert_eq!((c.shape, c.data), (vec![2, 3], values.to_vec()), "{descr}");
            let f = read(&file(&header(descr, true, "(2, 3)"), data)).unwrap();
            assert_eq!(f.data, [1.0, 3.0, 5.0, -2.0, 4.0, 6.0], "{descr}");
        }
        assert_eq!(read(&file(&header("<f8", true, "(6,)"), &f8)).unwrap().shape, [6]);
        assert_eq!(read(&file(&header("<f8", false, "()"), &f8[..8])).unwrap().data, [1.0]);
        assert_eq!(read(&file(&header("<f8", false, "(0, 3)"), &[])).unwrap().data, [0.0; 0]);
        let mut version_2 = b"\x93NUMPY\x02\x00".to_vec();
        let text = header("<f8", false, "(6,)");
        version_2.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        version_2.extend(text.as_bytes());
        version_2.extend(&f8);
        assert_eq!(read(&version_2).unwrap().data, values);
    }

    #[test]
    fn bad_files_are_refused() {
        let eight = [0; 8];
        for (bytes, message) in [
            (b"hello".to_vec(), "not a `.npy` file"),
            (b"\x93NUMPY\x01".to_vec(), "within its header"),
            (b"\x93NUMPY\x09\x00\x00\x00".to_vec(), "version"),
            (b"\x93NUMPY\x01\x00\xff\x00{}".to_vec(), "within its header"),
            (file("{}", &[]), "`descr`"),
            (file(&header("<c16", false, "(1,)"), &eight), "`<c16` cannot be read"),
            (file(&header("<f8", false, "(1, 1, 1)"), &eight), "3 dimensions"),
            (file(&header("<f8", false, "(2,)"), &eight), "promises 2 entries"),
            (file(&header("<f8", false, "(-1,)"), &eight), "`shape`"),
            (file(&header("<f8", false, "(99999999999, 99999999999)"), &eight), "too large"),
            (file(&header("<f8", false, "(999999999,)"), &eight), "too large"),
            (file("{'descr': '<f8', 'fortran_order': 3, 'shape': (1,)}", &eight), "`fortran_order`"),
        ] {
            let error = read(&bytes).unwrap_err();
            assert!(error.message.contains(message) && !error.help.is_empty(), "{error}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_headers_never_panic(text in "[{}'a-z_:<>0-9(), TF]{0,80}", data in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&file(&text, &data));
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&data);
            let _ = read(&[b"\x93NUMPY".as_slice(), &data].concat());
        }

        #[test]
        fn damaged_files_never_panic(at in 0_usize..90, byte in any::<u8>(), cut in 0_usize..90) {
            let mut bytes = file(&header("<f8", true, "(2, 2)"), &[1; 32]);
            let end = bytes.len() - 1;
            bytes[at.min(end)] = byte;
            bytes.truncate(bytes.len() - cut.min(end));
            let _ = read(&bytes);
        }
    }
}
