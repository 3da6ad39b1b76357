#!/usr/bin/env python3
"""Make large sparse problems of common structures: problem files with sparse data beside them, without any package.

    python3 tools/make_large.py KIND N M SEED OUT

with N variables of the leader and about M of the follower. KIND is one of

    allocation   separable squares over a box, with one budget
    blocks       many followers of ten variables side by side, each with a budget
    linear       linear objectives of both levels, with M/2 rows that join x and y and N/6 rows of the leader, all of
                 small whole numbers: several answers, and corners in which many rows meet
    sparse       a strictly convex objective with some five entries in a row of the Hessian, over a box
    squares      the least squares of a sparse system with twice as many rows as variables, over a box
    transport    suppliers and customers, the leader setting tariffs for N of the suppliers, linear costs

Market clearing is made by make_market.py, networks with tolls by the benchmark `pieces`.
"""

import math
import random
import sys
from pathlib import Path

from make_market import sparse, vector


class Maker:
    """Writes one problem."""

    def __init__(self, name, n, m, rng, out):
        self.name, self.n, self.m, self.rng, self.out = name, n, m, rng, out
        self.constants = []

    def matrix(self, letter, rows, width):
        """A sparse constant."""
        sparse(self.out / f"{self.name}_{letter}.libsvm", rows, width)
        self.constants.append(f'{letter} = "{self.name}_{letter}.libsvm"')

    def vectors(self, **values):
        """Dense constants."""
        self.constants += [f"{key} = {vector(value)}" for key, value in values.items()]

    def normal(self, count):
        """Standard normal numbers."""
        return [self.rng.gauss(0, 1) for _ in range(count)]

    def uniform(self, count, low, high):
        """Uniform numbers."""
        return [self.rng.uniform(low, high) for _ in range(count)]

    def selection(self, letter, rows):
        """Which variable of the leader each row sees, and how."""
        self.matrix(letter, [{self.rng.randrange(self.n): self.rng.gauss(0, 1)} for _ in range(rows)], self.n)

    def write(self, leader, follower, upper, lower, rows=()):
        """The problem file."""
        constraints = ", ".join(f"'{row}'" for row in rows)
        lines = [f'name = "{self.name}"', "", "[leader]", f'x = "vector({self.n}) {leader}"', "", "[follower]"]
        lines += [f'y = "vector({self.m}) {follower}"', "", "[constants]", *self.constants, ""]
        lines += ["[upper]", upper, "", "[lower]", f"minimize = '{lower}'", f"subject_to = [{constraints}]", ""]
        (self.out / f"{self.name}.toml").write_text("\n".join(lines))


NEAR = "minimize = '0.5*norm2sq(y - t) + 0.1*norm2sq(x)'"


def allocation(maker):
    """Separable squares with one budget."""
    m = maker.m
    maker.selection("P", m)
    maker.vectors(q=maker.uniform(m, 0.5, 2), c=maker.normal(m), t=maker.uniform(m, 0, 1))
    lower = "0.5*dot(q, y*y) + dot(c + P*x, y)"
    maker.write("in [0, 10]", "in [0, 1]", NEAR, lower, [f"sum(y) <= {m / 5}"])


def blocks(maker):
    """Followers of ten variables side by side."""
    count, size = max(1, maker.m // 10), 10
    maker.m = count * size
    hessian = [{} for _ in range(maker.m)]
    for block in range(count):
        factor = [maker.normal(size) for _ in range(size)]
        for i in range(size):
            for j in range(size):
                value = sum(a * b for a, b in zip(factor[i], factor[j])) / size
                hessian[block * size + i][block * size + j] = value + (0.1 if i == j else 0.0)
    symmetric = [{j: 0.5 * (v + hessian[j][i]) for j, v in row.items()} for i, row in enumerate(hessian)]
    maker.matrix("H", symmetric, maker.m)
    maker.matrix("E", [{block * size + i: 1.0 for i in range(size)} for block in range(count)], maker.m)
    maker.selection("P", maker.m)
    maker.vectors(c=maker.normal(maker.m), t=maker.uniform(maker.m, 0, 1))
    lower = "0.5*dot(y, H*y) + dot(c + P*x, y)"
    maker.write("in [-1, 1]", "in [0, 1]", NEAR, lower, [f"E*y <= {size / 4}"])


def linear(maker):
    """Linear objectives and rows of whole numbers."""
    n, m, rng = maker.n, maker.m, maker.rng
    some = lambda count: {j: float(rng.randrange(-5, 10)) for j in range(count) if rng.random() < 0.5}
    costs = lambda count: [float(rng.randrange(-10, 10)) for _ in range(count)]
    rows, own = m // 2, n // 6 + 1
    maker.matrix("A", [some(n) for _ in range(rows)], n)
    maker.matrix("B", [some(m) for _ in range(rows)], m)
    maker.matrix("C", [{j: float(rng.randrange(10)) for j in range(n)} for _ in range(own)], n)
    maker.vectors(a=[float(rng.randrange(5 * (n + m) // 4, 10 * (n + m))) for _ in range(rows)])
    maker.vectors(b=[10.0 * n for _ in range(own)], p=costs(n), q=costs(m), d=costs(m))
    upper = "minimize = 'dot(p, x) + dot(q, y)'\nsubject_to = ['C*x <= b']"
    maker.write("in [0, 10]", "in [0, 10]", upper, "dot(d, y)", ["A*x + B*y <= a"])


def sparse_hessian(maker):
    """H = A'A + 0.1 I with two or three entries in a row of A."""
    m = maker.m
    hessian = [{i: 0.1} for i in range(m)]
    for i in range(m):
        row = {i: 1.0, **{maker.rng.randrange(m): maker.rng.gauss(0, 0.7) for _ in range(1)}}
        for a, v in row.items():
            for b, w in row.items():
                hessian[a][b] = hessian[a].get(b, 0.0) + v * w
    maker.matrix("H", hessian, m)
    maker.selection("P", m)
    maker.vectors(c=maker.normal(m), t=maker.uniform(m, 0, 1))
    maker.write("in [-1, 1]", "in [0, 1]", NEAR, "0.5*dot(y, H*y) + dot(c + P*x, y)")


def squares(maker):
    """Least squares of a sparse system."""
    m = maker.m
    row = lambda: {maker.rng.randrange(m): maker.rng.gauss(0, 1) for _ in range(4)}
    maker.matrix("A", [row() for _ in range(2 * m)], m)
    maker.selection("B", 2 * m)
    maker.vectors(b=maker.normal(2 * m), t=maker.uniform(m, 0, 1))
    maker.write("in [-1, 1]", "in [-0.5, 0.5]", NEAR, "norm2sq(A*y - b - B*x)")


def transport(maker):
    """Suppliers and customers."""
    suppliers = max(maker.n + 1, math.isqrt(maker.m * 3 // 5))
    customers = max(2, maker.m // suppliers)
    maker.m = suppliers * customers
    place = lambda i, j: i * customers + j
    maker.matrix("S", [{place(i, j): 1.0 for j in range(customers)} for i in range(suppliers)], maker.m)
    maker.matrix("D", [{place(i, j): 1.0 for i in range(suppliers)} for j in range(customers)], maker.m)
    tariffs = [{i: 1.0} if i < maker.n else {} for i in range(suppliers) for _ in range(customers)]
    maker.matrix("P", tariffs, maker.n)
    maker.vectors(c=maker.uniform(maker.m, 1, 5), cap=[1.5 * customers / suppliers] * suppliers)
    upper = "maximize = 'dot(P*x, y)'"
    maker.write("in [0, 5]", "in [0, inf]", upper, "dot(c + P*x, y)", ["S*y <= cap", "D*y == 1"])


KINDS = {
    "allocation": allocation,
    "blocks": blocks,
    "linear": linear,
    "sparse": sparse_hessian,
    "squares": squares,
    "transport": transport,
}


def main(arguments):
    """Reads the command line."""
    if len(arguments) != 5 or arguments[0] not in KINDS:
        sys.exit(__doc__)
    kind, out = arguments[0], Path(arguments[4])
    n, m, seed = map(int, arguments[1:4])
    out.mkdir(parents=True, exist_ok=True)
    name = f"{kind}_{n}_{m}"
    KINDS[kind](Maker(name, n, m, random.Random(seed), out))
    print(out / f"{name}.toml")


if __name__ == "__main__":
    main(sys.argv[1:])
