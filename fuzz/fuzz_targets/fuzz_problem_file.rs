//! Problem files from arbitrary bytes; mistakes are rendered as well.
#![no_main]

use std::path::Path;

use bilevel_format::from_bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(mistakes) = from_bytes("fuzz.toml", bytes, Path::new("/nonexistent"), &[]) {
        let _ = mistakes.render(false);
    }
});
