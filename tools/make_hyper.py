#!/usr/bin/env python3
"""Make hyper-objective problems of any size: data and problem files, without any package.

    python3 tools/make_hyper.py L1 N SEED OUT       OUT/L1_nN.toml and OUT/L1_nN/*.npy: feature relevance, m = 1000
    python3 tools/make_hyper.py L2 N SEED OUT       the same for hyper-cleaning by groups, m = 1000
    python3 tools/make_hyper.py LS N SEED OUT       OUT/rank_deficient_nN.toml: rank-deficient least squares, m = 2 N + 2

L1 and L2 have the formulas that import_hyper.py names; benchmarks use N = 50 and 500. L2 takes about a minute.

LS has f = |A y - B x - b|^2/2 with a matrix A of rank N + 1, so that the follower's answers are the affine subspace
A+ (B x + b) + null A, and F = |y - c|^2/2 + |x - e|^2/2. The point of it nearest to c is c + A+ (B x + b - A c), so

    phi_o(x) = |C x - g|^2/2 + |x - e|^2/2   with C = A+ B, g = A+ (A c - b),

which is least where (C'C + I) x = C'g + e; phi_p is infinite. The known answer in the file is computed so.
"""

import array
import math
import random
import sys
from pathlib import Path

import npy
from import_cases import toml_string, toml_value
from import_hyper import convert_large


def dot(a, b):
    """The inner product."""
    return math.sumprod(a, b) if hasattr(math, "sumprod") else sum(map(float.__mul__, a, b))


def gaussian(rng, rows, columns):
    """A matrix of independent standard normal entries."""
    return [[rng.gauss(0, 1) for _ in range(columns)] for _ in range(rows)]


def orthonormal(rng, count, length):
    """`count` orthonormal vectors, by Gram-Schmidt run twice."""
    basis = []
    for _ in range(count):
        v = [rng.gauss(0, 1) for _ in range(length)]
        for _ in range(2):
            for u in basis:
                t = dot(u, v)
                v = [a - t * b for a, b in zip(v, u)]
        size = math.sqrt(dot(v, v))
        basis.append([a / size for a in v])
    return basis


def times(matrix, vector):
    """Matrix times vector."""
    return [dot(row, vector) for row in matrix]


def transposed(matrix):
    """The transposed matrix."""
    return [list(column) for column in zip(*matrix)]


def feature_relevance(n, rng, m=1000, p=300, pv=200):
    """The arrays of L1: n groups of features, a fifth of them relevant."""
    group = [j * n // m for j in range(m)]
    relevant = [1.0 if rng.random() < 0.2 else 0.05 for _ in range(n)]
    w = [3 * relevant[g] * rng.gauss(0, 1) / math.sqrt(m) for g in group]
    A, Av = gaussian(rng, p, m), gaussian(rng, pv, m)
    noisy = lambda matrix: [v + 0.1 * rng.gauss(0, 1) for v in times(matrix, w)]
    return {"A": A, "b": noisy(A), "Av": Av, "bv": noisy(Av), "group": group}


def hyper_cleaning(n, rng, m=1000, p=2000, rank=300, pv=400):
    """The arrays of L2: p rows of the given rank in n groups, about 40 % of the groups corrupted."""
    basis, factor = orthonormal(rng, rank, m), gaussian(rng, p, rank)
    columns = transposed(basis)
    A = [times(columns, row) for row in factor]
    w = [rng.gauss(0, 1) for _ in range(m)]
    group = [i * n // p for i in range(p)]
    bad = [rng.random() < 0.4 for _ in range(n)]
    true = times(A, w)
    b = [rng.gauss(0, 1) * math.sqrt(rank) if bad[g] else v + 0.1 * rng.gauss(0, 1) for g, v in zip(group, true)]
    Av = gaussian(rng, pv, m)
    return {"A": A, "b": b, "Av": Av, "bv": [v + 0.1 * rng.gauss(0, 1) for v in times(Av, w)], "group": group}


def large(kind, n, seed, out):
    """Writes the arrays and the problem file of L1 or L2; returns the problem's name."""
    make = feature_relevance if kind == "L1" else hyper_cleaning
    name = f"{kind}_n{n}"
    (out / name).mkdir(parents=True, exist_ok=True)
    for key, value in make(n, random.Random(seed)).items():
        rows = value if isinstance(value[0], list) else [value]
        shape = (len(value), len(value[0])) if isinstance(value[0], list) else (len(value),)
        flat = array.array("q" if key == "group" else "d", (v for row in rows for v in row))
        npy.write(out / name / f"{key}.npy", flat, shape)
    (out / f"{name}.toml").write_text(convert_large(out / name, name, out), encoding="utf-8", newline="\n")
    return name


def solve(matrix, right):
    """The solution of a square system, by elimination with pivoting."""
    n = len(matrix)
    rows = [row[:] + [r] for row, r in zip(matrix, right)]
    for j in range(n):
        best = max(range(j, n), key=lambda i: abs(rows[i][j]))
        rows[j], rows[best] = rows[best], rows[j]
        for i in range(j + 1, n):
            t = rows[i][j] / rows[j][j]
            rows[i] = [a - t * b for a, b in zip(rows[i], rows[j])]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (rows[i][n] - dot(rows[i][i + 1:n], x[i + 1:])) / rows[i][i]
    return x


def least_squares(n, seed):
    """The constants of LS, and the answer x, y with its value."""
    rng = random.Random(seed)
    m, r = 2 * n + 2, n + 1
    U, V = orthonormal(rng, r, r), orthonormal(rng, r, m)
    s = [2.0 ** (-i / max(1, r - 1)) for i in range(r)]
    # A = U' diag(s) V and A+ = V' diag(1/s) U, with the orthonormal vectors as rows.
    A = times_matrix(transposed(U), [[s[i] * v for v in V[i]] for i in range(r)])
    inverse = times_matrix(transposed(V), [[v / s[i] for v in U[i]] for i in range(r)])
    B = [[0.7 * v / math.sqrt(n) for v in row] for row in gaussian(rng, r, n)]
    b, c, e = ([rng.gauss(0, 1) for _ in range(k)] for k in (r, m, n))
    C = times_matrix(inverse, B)
    g = times(inverse, [u - v for u, v in zip(times(A, c), b)])
    gram = [[dot(p, q) + (i == j) for j, q in enumerate(transposed(C))] for i, p in enumerate(transposed(C))]
    x = solve(gram, [u + v for u, v in zip(times(transposed(C), g), e)])
    off = [u - v for u, v in zip(times(C, x), g)]
    y = [u + v for u, v in zip(c, off)]
    value = dot(off, off) / 2 + sum((u - v) ** 2 for u, v in zip(x, e)) / 2
    return {"A": A, "B": B, "b": b, "c": c, "e": e}, x, y, value


def times_matrix(a, b):
    """The product of two matrices."""
    columns = transposed(b)
    return [times(columns, row) for row in a]


def rank_deficient(n, seed, out):
    """Writes the problem file of LS; returns its name."""
    constants, x, y, value = least_squares(n, seed)
    name = f"rank_deficient_n{n}"
    lines = [
        "# Written by tools/make_hyper.py: the follower's answers are an affine subspace.",
        f"name = {toml_string(f'Rank-deficient least squares, n = {n}')}", "",
        "[constants]", *(f"{key} = {toml_value(v)}" for key, v in constants.items()), "",
        "[leader]", f'x = "vector({n})"', "", "[follower]", f'y = "vector({len(y)})"', "",
        "[upper]", "minimize = 'norm2sq(y - c)/2 + norm2sq(x - e)/2'", "",
        "[lower]", "minimize = 'norm2sq(A*y - B*x - b)/2'", "",
        "[start]", "x = 0", "",
        "[known]", f"F = {value!r}", f"x = {toml_value(x)}", f"y = {toml_value(y)}",
        'source = "derived by hand"',
        f"notes = {toml_value(['the pessimistic value is infinity'])}",
        f"tags = {toml_value(['hyper', 'LS', 'optimistic'])}",
    ]
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return name


def main(arguments):
    """The command line; returns the exit code."""
    kinds = {"L1": 1000, "L2": 2000, "LS": 200}
    fine = len(arguments) == 4 and arguments[0] in kinds and arguments[1].isdigit() and arguments[2].isdigit()
    if not fine or not 1 <= int(arguments[1]) <= kinds[arguments[0]]:
        print("usage: make_hyper.py L1|L2|LS N SEED OUT", file=sys.stderr)
        return 2
    kind, n, seed, out = arguments[0], int(arguments[1]), int(arguments[2]), Path(arguments[3])
    name = rank_deficient(n, seed, out) if kind == "LS" else large(kind, n, seed, out)
    print(f"{out / name}.toml written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
