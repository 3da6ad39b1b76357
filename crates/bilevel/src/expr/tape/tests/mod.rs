//! Every operation against a naive twin, finite differences and itself.

mod derivatives;
mod edges;
mod structure;
mod twin;
mod zoo;
