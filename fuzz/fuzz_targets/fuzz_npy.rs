//! NumPy arrays from arbitrary bytes.
#![no_main]

use bilevel_format::data::npy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = npy::read(bytes);
});
