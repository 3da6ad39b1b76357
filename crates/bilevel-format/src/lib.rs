//! Problem files (TOML, or MPS with .aux) and data files for the bilevel solver, with diagnostics that point into the file.
//!
//! ```text
//! file.rs         load, from_bytes: a problem file to a ProblemFile
//! tree.rs         TOML as a tree with places; overrides.rs: --set table.key=value
//! constants.rs    [constants]; tables.rs: [data.NAME]; data/: readers of .csv, .npy, .libsvm
//! declaration.rs  the text of a variable, "vector(3) in [0, 1]"
//! levels.rs       [leader], [follower], [upper], [lower]; points.rs: [start], [known]; options.rs: [options]
//! diagnostic.rs   mistakes as text with file, line, column, caret and advice; source.rs: the texts they point into
//! ```
//!
//! ```
//! use std::path::Path;
//!
//! let text = br#"
//! [leader]
//! x = "in [-5, 5]"
//! [follower]
//! y = "in [-2, 2]"
//! [upper]
//! minimize = '(x - 2)^2 + (y - 1)^2'
//! [lower]
//! minimize = '(y - x)^2'
//! "#;
//! let file = bilevel_format::from_bytes("example.toml", text, Path::new(""), &[]).unwrap();
//! assert_eq!((file.problem.n(), file.problem.m()), (1, 1));
//!
//! let error = bilevel_format::from_bytes("broken.toml", b"[upper]\nminimise = 'x'\n", Path::new(""), &[]).unwrap_err();
//! assert!(error.to_string().contains("did you mean `minimize`?") || error.to_string().contains("[follower]"));
//! ```

mod constants;
mod context;
pub mod data;
mod declaration;
mod diagnostic;
mod file;
mod levels;
pub mod mps;
mod options;
mod overrides;
mod points;
mod source;
mod tables;
mod text;
mod tree;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use file::{ProblemFile, from_bytes, load};
pub use options::{FileOptions, OptionValue};
pub use points::Known;
pub use source::{Place, Source};
