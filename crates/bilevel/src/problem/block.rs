//! Named groups of variables.

use crate::expr::Shape;

/// A named variable of one level: a scalar or a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The name.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// Position of its first component in the level's flat vector.
    pub offset: usize,
}

impl Block {
    /// The block's part of the level's flat vector.
    pub fn slice<'a>(&self, flat: &'a [f64]) -> &'a [f64] {
        &flat[self.offset..self.offset + self.shape.len()]
    }
}

/// Values of one level by variable name, in the order of declaration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedValues(pub Vec<(String, Vec<f64>)>);

impl NamedValues {
    /// Splits a level's flat vector by its blocks.
    pub fn new(blocks: &[Block], flat: &[f64]) -> Self {
        Self(blocks.iter().map(|block| (block.name.clone(), block.slice(flat).to_vec())).collect())
    }

    /// The values of the variable `name`.
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, values)| values.as_slice())
    }
}
