"""Tests of import_hyper.py, make_hyper.py and npy.py: python3 -m unittest discover -s tools"""

import array
import json
import math
import random
import re
import tempfile
import tomllib
import unittest
from pathlib import Path

import import_hyper as tool
import make_hyper
import npy


class Vector(list):
    """A vector with the operations of formulas, entry by entry; scalars go with everything."""

    def join(self, other, operation):
        others = other if isinstance(other, list) else [other] * len(self)
        assert len(others) == len(self), "shapes do not fit"
        return Vector(operation(a, b) for a, b in zip(self, others))

    def __add__(self, other):
        return self.join(other, lambda a, b: a + b)

    def __sub__(self, other):
        return self.join(other, lambda a, b: a - b)

    def __mul__(self, other):
        return self.join(other, lambda a, b: a * b)

    def __getitem__(self, index):
        return Vector(self[int(i)] for i in index) if isinstance(index, list) else super().__getitem__(index)

    __radd__, __rmul__ = __add__, __mul__


class Matrix:
    """A constant matrix, to be multiplied with vectors."""

    def __init__(self, rows):
        self.rows = rows

    def __mul__(self, vector):
        assert all(len(row) == len(vector) for row in self.rows), "shapes do not fit"
        return Vector(sum(a * b for a, b in zip(row, vector)) for row in self.rows)


def each(function):
    """A function of every entry."""
    return lambda value: Vector(map(function, value)) if isinstance(value, list) else function(value)


FUNCTIONS = {
    "plus": each(lambda t: max(t, 0.0)), "abs": each(abs), "square": each(lambda t: t * t), "cos": each(math.cos),
    "exp": each(math.exp), "sigmoid": each(lambda t: 1 / (1 + math.exp(-t))), "sum": sum,
    "mean": lambda v: sum(v) / len(v), "dot": lambda a, b: sum(p * q for p, q in zip(a, b)),
    "norm2sq": lambda v: sum(t * t for t in v), "rows": lambda m: len(m.rows),
    "transposed": lambda m: Matrix([list(c) for c in zip(*m.rows)])}


def load_constant(value, folder):
    """A constant of a problem file as an operand."""
    if isinstance(value, str):
        flat, shape = npy.read(folder / value)
        width = shape[-1]
        value = [list(flat[i:i + width]) for i in range(0, len(flat), width)] if len(shape) == 2 else list(flat)
    return Matrix(value) if isinstance(value[0], list) else Vector(value)


def objectives(text, folder, x, y):
    """F(x, y) and f(x, y) of a problem file, by Python's own parser."""
    data = tomllib.loads(text)
    names = {key: load_constant(value, folder) for key, value in data["constants"].items()}
    names |= FUNCTIONS | {"x": Vector(x) if len(x) > 1 else x[0], "y": Vector(y)}

    def value(formula):
        formula = re.sub(r"\b(\w+)'", r"transposed(\1)", formula).replace("^", "**")
        formula = re.sub(r"\[x\]", "Vector([x])", formula)
        return eval(formula, {"__builtins__": {}}, names | {"Vector": Vector})

    return value(data["upper"]["minimize"]), value(data["lower"]["minimize"])


def instance(kind, n, seed):
    """An instance in the JSON form, with phi and an attaining answer at x0 from the closed forms."""
    rng = random.Random(seed)
    p, k = n + 2, n if kind in ("H1", "H2") else 3 * n
    basis = make_hyper.orthonormal(rng, p + k, p + k)
    V, Z = make_hyper.transposed(basis[:p]), make_hyper.transposed(basis[p:])
    s = [0.5 + 0.5 * rng.random() for _ in range(p)]
    B, x0 = make_hyper.gaussian(rng, p, n), [rng.gauss(0, 1) for _ in range(n)]
    data = {"kind": kind, "n": n, "m": p + k, "V": V, "Z": Z, "s": s, "B": B, "x0": x0, "rho": 4.0, "phi_best": 1.5}
    a = [t / u for t, u in zip(make_hyper.times(B, x0), s)]
    r, base, sign = x0, 0.0, 1.0
    if kind != "H1":
        data["Q"] = make_hyper.gaussian(rng, k, n)
        r = make_hyper.times(data["Q"], x0)
    if kind == "H3":
        data["b"] = [rng.random() for _ in range(k)]
        r = [t * t - u for t, u in zip(r, data["b"])]
    else:
        data["d"] = [rng.gauss(0, 1) for _ in range(p)]
        base = sum((t - u) ** 2 for t, u in zip(a, data["d"])) / 2
    if kind == "H1":
        base, sign = base + 0.75 * sum(t * t for t in x0), -1.0
    elif kind == "H2":
        base += sum(math.cos(2 * t) for t in x0)
    best = sum(abs(t) + t * t / 4 for t in r) * (1 / k if kind == "H3" else 1)
    z = [sign * (math.copysign(1, t) + t / 2) for t in r]
    y = [u + v for u, v in zip(make_hyper.times(V, a), make_hyper.times(Z, z))]
    data["phi_x0"] = base + sign * best
    return data, y


class Instances(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_at_the_attaining_answer_the_formulas_have_the_values_of_the_closed_forms(self):
        for kind in ("H1", "H2", "H3"):
            for n in (1, 2, 5):
                data, y = instance(kind, n, seed=n)
                F, f = objectives(tool.convert(data, "name", self.folder), self.folder, data["x0"], y)
                self.assertAlmostEqual(F, data["phi_x0"], delta=1e-9 * (1 + abs(F)), msg=f"{kind}, n = {n}")
                self.assertLess(f, 1e-20)
                # No other answer is better for the attitude; other points have a larger f.
                turn = -1 if kind == "H1" else 1
                rng = random.Random(7)
                shift = make_hyper.times(data["Z"], [rng.gauss(0, 0.3) for _ in data["Z"][0]])
                F2, f2 = objectives(tool.convert(data, "n", self.folder), self.folder, data["x0"],
                                    [u + v for u, v in zip(y, shift)])
                self.assertLess(turn * (F2 - F), 1e-12)
                self.assertLess(f2, 1e-20)
                off = [u + data["V"][j][0] for j, u in enumerate(y)]
                self.assertGreater(objectives(tool.convert(data, "n", self.folder), self.folder, data["x0"], off)[1], 0.1)

    def test_attitude_and_known_value(self):
        for kind, key in (("H1", "F"), ("H2", "pessimistic_F"), ("H3", "pessimistic_F")):
            read = tomllib.loads(tool.convert(instance(kind, 2, 3)[0], "some \"name\"", self.folder))
            self.assertEqual(read["name"], 'some "name"')
            self.assertEqual(read["options"]["attitude"], "optimistic" if kind == "H1" else "pessimistic")
            self.assertEqual(read["known"][key], 1.5)

    def test_large_matrices_are_written_beside_the_file(self):
        data, y = instance("H1", 3, 5)
        limit, tool.MOST_ENTRIES = tool.MOST_ENTRIES, 10
        self.addCleanup(setattr, tool, "MOST_ENTRIES", limit)
        text = tool.convert(data, "big", self.folder)
        self.assertEqual(tomllib.loads(text)["constants"]["V"], "big_V.npy")
        F, _ = objectives(text, self.folder, data["x0"], y)
        self.assertAlmostEqual(F, data["phi_x0"], delta=1e-9 * (1 + abs(F)))

    def test_a_folder(self):
        source = self.folder / "source"
        source.mkdir()
        (source / "good.json").write_text(json.dumps(instance("H2", 2, 1)[0]))
        (source / "kind.json").write_text(json.dumps(instance("H2", 2, 1)[0] | {"kind": "H9"}))
        bad = instance("H3", 2, 1)[0]
        bad["V"][1][0] = float("nan")
        (source / "nan.json").write_text(json.dumps(bad))
        short = instance("H1", 2, 1)[0]
        short["B"].pop()
        (source / "short.json").write_text(json.dumps(short))
        (source / "other.json").write_text('{"n": 1}')
        (source / "text.json").write_text("no JSON")
        written, failed = tool.import_folder(source, self.folder / "out")
        self.assertEqual(written, ["good"])
        self.assertEqual([message.split(":")[0] for message in failed], ["kind.json", "nan.json", "short.json"])
        self.assertEqual([p.name for p in (self.folder / "out").iterdir()], ["good.toml"])

    def test_the_large_problems(self):
        rng = random.Random(3)
        sizes = {"L1": lambda: make_hyper.feature_relevance(4, rng, m=12, p=5, pv=3),
                 "L2": lambda: make_hyper.hyper_cleaning(4, rng, m=9, p=14, rank=3, pv=5)}
        for kind, make in sizes.items():
            arrays = make()
            for key, value in arrays.items():
                rows = value if isinstance(value[0], list) else [value]
                shape = (len(value), len(value[0])) if isinstance(value[0], list) else (len(value),)
                (self.folder / "in" / kind).mkdir(parents=True, exist_ok=True)
                flat = array.array("q" if key == "group" else "d", (v for row in rows for v in row))
                npy.write(self.folder / "in" / kind / f"{key}.npy", flat, shape)
            m, rows, checks = len(arrays["A"][0]), len(arrays["A"]), len(arrays["Av"])
            x, y = [rng.gauss(0, 1) for _ in range(4)], [rng.gauss(0, 1) for _ in range(m)]
            self.assertEqual(tool.import_folder(self.folder / "in", self.folder)[1], [])
            F, f = objectives((self.folder / f"{kind}.toml").read_text(), self.folder, x, y)
            scale = [math.exp(x[g]) for g in arrays["group"]] if kind == "L1" else [1.0] * m
            weight = [1 / (1 + math.exp(-x[g])) for g in arrays["group"]] if kind == "L2" else [1.0] * rows
            residual = lambda A, b: [sum(p * q * t for p, q, t in zip(row, scale, y)) - v for row, v in zip(A, b)]
            ridge_y, ridge_x = (1e-2, 1e-3) if kind == "L1" else (1e-1, 1e-4)
            expected = sum(t * t for t in residual(arrays["Av"], arrays["bv"])) / (2 * checks)
            expected += ridge_y / 2 * sum(t * t for t in y) + ridge_x / 2 * sum(t * t for t in x)
            self.assertAlmostEqual(F, expected, delta=1e-10 * (1 + expected))
            expected = sum(w * t * t for w, t in zip(weight, residual(arrays["A"], arrays["b"]))) / 2
            self.assertAlmostEqual(f, expected, delta=1e-10 * (1 + expected))


class Making(unittest.TestCase):
    def test_no_point_nearby_is_better_than_the_known_answer_of_least_squares(self):
        constants, x, y, value = make_hyper.least_squares(3, 2)
        A, B, b, c, e = (constants[k] for k in ("A", "B", "b", "c", "e"))
        follower = lambda x, y: [p - q - r for p, q, r in
                                 zip(make_hyper.times(A, y), make_hyper.times(B, x), b)]
        leader = lambda x, y: sum((p - q) ** 2 for p, q in zip(y, c)) / 2 + sum((p - q) ** 2 for p, q in zip(x, e)) / 2
        self.assertLess(max(map(abs, follower(x, y))), 1e-12)
        self.assertAlmostEqual(leader(x, y), value, delta=1e-12)
        # Other feasible points: move x, and y by the least squares answer to it, plus anything from the kernel.
        rng = random.Random(4)
        columns = make_hyper.transposed(A)
        gram = make_hyper.times_matrix(A, columns)
        for _ in range(50):
            x2 = [t + 0.1 * rng.gauss(0, 1) for t in x]
            y2 = [t + 0.1 * rng.gauss(0, 1) for t in y]
            back = make_hyper.times(columns, make_hyper.solve(gram, follower(x2, y2)))
            y2 = [p - q for p, q in zip(y2, back)]
            self.assertLess(max(map(abs, follower(x2, y2))), 1e-11)
            self.assertGreater(leader(x2, y2), value - 1e-12)

    def test_orthonormal_vectors(self):
        basis = make_hyper.orthonormal(random.Random(1), 5, 8)
        for i, u in enumerate(basis):
            for j, v in enumerate(basis):
                self.assertAlmostEqual(make_hyper.dot(u, v), float(i == j), delta=1e-13)

    def test_arrays_read_back(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.npy"
            for kind, values, shape in (("d", [1.5, -2.0, 0.0, 1e300, 3.0, 4.0], (2, 3)), ("q", [0, 7, -1], (3,))):
                npy.write(path, array.array(kind, values), shape)
                self.assertEqual(npy.read(path), (array.array(kind, values), shape))
                self.assertEqual(path.read_bytes().index(b"\n") % 64, 63)
            path.write_bytes(b"no array")
            self.assertRaises(npy.NpyError, npy.read, path)


if __name__ == "__main__":
    unittest.main()
