//! Sparse samples from arbitrary bytes.
#![no_main]

use bilevel_format::data::libsvm;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = libsvm::read(bytes, 0);
});
