//! Formulas that use every operation, with every pattern of scalars, vectors, x and y.

use bilevel_linalg::{Csr, Dense};

use crate::expr::{Expr, Graph, Level, Matrix, Shape, Tape, concat};

/// Whether a formula is smooth everywhere, or only when smoothed.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Smooth,
    Kinked,
}

/// Variables: x of length n, y of length m.
pub struct Zoo {
    pub n: usize,
    pub m: usize,
    x: Expr,
    y: Expr,
    entries: Vec<f64>,
}

impl Zoo {
    /// Matrices are filled from `entries`.
    pub fn new(n: usize, m: usize, entries: &[f64]) -> Self {
        let graph = Graph::new();
        let x = graph.variable(Level::Leader, 0, Shape::Vector(n));
        let y = graph.variable(Level::Follower, 0, Shape::Vector(m));
        Self { n, m, x, y, entries: entries.to_vec() }
    }

    pub fn tape(&self, formulas: &[Expr]) -> Tape {
        Tape::compile(formulas, self.n, self.m).unwrap()
    }

    fn dense(&self, rows: usize, cols: usize) -> Matrix {
        let entry = |k: usize| self.entries[k % self.entries.len()];
        let data = (0..rows * cols).map(|k| entry(k) + 0.1 * k as f64).collect();
        Dense::from_row_major(rows, cols, data).unwrap().into()
    }

    fn sparse(&self, rows: usize, cols: usize) -> Matrix {
        let all = (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j)));
        let triplets: Vec<_> =
            all.filter(|(i, j)| (i + 2 * j) % 3 != 1).map(|(i, j)| (i, j, self.entries[(3 * i + j) % 7])).collect();
        Csr::from_triplets(rows, cols, &triplets).unwrap().into()
    }

    /// All formulas by name.
    pub fn formulas(&self) -> Vec<(&'static str, Kind, Expr)> {
        let mut all = self.elementwise();
        all.extend(self.pairs());
        all.extend(self.whole_vectors());
        all.extend(self.kinked());
        all.extend(self.composed());
        all
    }

    fn joint(&self) -> Expr {
        concat(&[self.x.clone(), self.y.clone()])
    }

    fn elementwise(&self) -> Vec<(&'static str, Kind, Expr)> {
        let z = self.joint() * 0.7 + self.x.index(0) * 0.2;
        let positive = z.square() + 0.4;
        let smooth = |name, formula| (name, Kind::Smooth, formula);
        vec![
            smooth("exp", z.exp()),
            smooth("log", positive.log()),
            smooth("log1p", (&positive - 0.8).log1p()),
            smooth("expm1", z.expm1()),
            smooth("sqrt", positive.sqrt()),
            smooth("square", z.square()),
            smooth("sin", z.sin()),
            smooth("cos", z.cos()),
            smooth("tan", (&z * 0.5).tan()),
            smooth("tanh", z.tanh()),
            smooth("sigmoid", z.sigmoid()),
            smooth("softplus", z.softplus()),
            smooth("power 3", z.pow(3.0)),
            smooth("power -2", positive.pow(-2.0)),
            smooth("power 11", z.pow(11.0)),
            smooth("power 1.7", positive.pow(1.7)),
            smooth("neg", -z.sin()),
        ]
    }

    fn pairs(&self) -> Vec<(&'static str, Kind, Expr)> {
        let (s, v, k) = (self.x.index(0), &self.y, self.m);
        let w = &self.sparse(k, self.n) * &self.x + 0.3;
        let positive = w.square() + 0.5;
        let mut all = Vec::new();
        let mut add = |name, kind, formula| all.push((name, kind, formula));
        for (a, b) in [(v, &w), (&s, &w), (v, &s), (v, v), (&s, &v.index(k - 1)), (&s, &s)] {
            add("add", Kind::Smooth, a + b);
            add("sub", Kind::Smooth, a - b);
            add("mul", Kind::Smooth, a * b);
            add("max", Kind::Kinked, a.max(&(b * 0.7)));
            add("min", Kind::Kinked, a.min(&(b * 0.7)));
        }
        for (a, b) in [(v, &positive), (&s, &positive), (v, &(s.square() + 0.5))] {
            add("div", Kind::Smooth, a / b);
            add("power of", Kind::Smooth, b.pow_expr(a));
        }
        add("power of itself", Kind::Smooth, positive.pow_expr(&positive));
        add("constant base", Kind::Smooth, v.graph().constant(1.7).pow_expr(&w));
        add("constant over", Kind::Smooth, 2.0 / &positive);
        add("times constant vector", Kind::Smooth, v.graph().constant_vector(&vec![0.3; k]) * v);
        all
    }

    fn whole_vectors(&self) -> Vec<(&'static str, Kind, Expr)> {
        let z = self.joint();
        let n = z.shape().len();
        let turned = self.dense(n, n);
        let triangle = self.sparse(n, n);
        let data = (0..n * n).map(|k| self.entries[(k / n + k % n) % self.entries.len()]).collect();
        let symmetric = Matrix::from(Dense::from_row_major(n, n, data).unwrap());
        let repeated: Vec<usize> = (0..2 * n).map(|i| (i * i + 1) % n).collect();
        let smooth = |name, formula| (name, Kind::Smooth, formula);
        vec![
            smooth("sum", (&z * &z).sin().sum()),
            smooth("mean", z.exp().mean()),
            smooth("dot", z.sin().dot(&(&turned * &z))),
            smooth("dot of one", z.dot(&z)),
            smooth("norm2sq", (&turned * z.cos()).norm2sq()),
            smooth("dense", &turned * z.sin()),
            smooth("dense transposed", turned.transpose_times(&z.sin())),
            smooth("sparse", &triangle * z.sin()),
            smooth("sparse transposed", triangle.transpose_times(&z.sin())),
            smooth("quadratic", z.sin().quadratic(&turned)),
            smooth("sparse quadratic", z.sin().quadratic(&triangle)),
            smooth("symmetric quadratic", z.sin().quadratic(&symmetric)),
            smooth("gather", z.square().gather(&repeated)),
            smooth("slices", z.slice(1..n).dot(&z.slice(0..n - 1))),
            smooth("concat", concat(&[z.sin(), z.index(0), z.slice(n - 1..n).exp(), self.y.clone(), self.x.clone()])),
        ]
    }

    fn kinked(&self) -> Vec<(&'static str, Kind, Expr)> {
        let z = self.joint();
        let n = z.shape().len();
        let v = &self.dense(n, n) * z.sin() * 0.3;
        let kinked = |name, formula| (name, Kind::Kinked, formula);
        let mut all = vec![
            kinked("abs", v.abs()),
            kinked("plus", v.plus()),
            kinked("hinge", v.hinge()),
            kinked("huber", v.huber(0.4)),
            kinked("abs_power 0.5", v.abs_power(0.5)),
            kinked("abs_power 1.5", v.abs_power(1.5)),
            kinked("abs_power 3", v.abs_power(3.0)),
            kinked("max_of", v.max_of()),
            kinked("min_of", v.min_of()),
            kinked("norm1", v.norm1()),
            kinked("norm2", v.norm2()),
            kinked("norm_inf", v.norm_inf()),
            kinked("norm of scalar", v.index(0).norm2() + v.index(1).norm_inf()),
            kinked("group_norms", v.group_norms_sized(&[1, n - 1])),
            kinked("group_norm", concat(&[v.clone(), z.clone()]).group_norm(2)),
        ];
        for (name, p) in [("norm_p 0.5", 0.5), ("norm_p 1.3", 1.3), ("norm_p 3", 3.0)] {
            all.push(kinked(name, (&v + 0.1).norm_p(p)));
        }
        all
    }

    fn composed(&self) -> Vec<(&'static str, Kind, Expr)> {
        let (x, y) = (&self.x, &self.y);
        let residual = &self.dense(3, self.m) * y - x.index(0);
        let lasso = residual.norm2sq() / 6.0 + x.index(self.n - 1).exp() * y.norm1();
        let mirrlees = -(x.index(0) * (-(y + 1.0).square()).exp()).sum() - (-(y - 1.0).square()).exp().sum();
        vec![
            ("lasso", Kind::Kinked, lasso),
            ("mirrlees", Kind::Smooth, mirrlees),
            ("nested", Kind::Kinked, (y.abs() - x.norm2()).plus().max(&residual.max_of()).sum().square()),
            ("only x", Kind::Smooth, (x.exp() + 1.0).log().sum()),
            ("only y", Kind::Smooth, y.sin().norm2sq()),
            ("variable", Kind::Smooth, y.clone()),
            ("constant", Kind::Smooth, y.graph().constant(2.0).exp()),
        ]
    }
}
