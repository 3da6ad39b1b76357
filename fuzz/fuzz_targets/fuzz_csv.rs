//! Tables from arbitrary bytes.
#![no_main]

use bilevel_format::data::csv::CsvTable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for header in [None, Some(true), Some(false)] {
        if let Ok(table) = CsvTable::open(bytes, header) {
            let columns: Vec<usize> = (0..table.names().len().min(50)).collect();
            let _ = table.read(&columns);
        }
    }
});
