"""Tests of import_cases.py: python3 -m unittest discover -s tools"""

import json
import math
import random
import re
import tempfile
import tomllib
import unittest
from pathlib import Path

import import_cases as tool

NAMES = {name: getattr(math, name) for name in ("exp", "log", "sqrt", "sin", "cos")} | {
    "abs": abs, "max": max, "min": min, "inf": math.inf}


def case(**changes):
    """A small case with some entries replaced."""
    data = {"name": "a case", "n": 2, "m": 2, "F": "x1 + y1", "f": "y1^2", "G": [], "g": [],
            "x0": [0.0, 0.5], "y0": [1, 2], "tags": [], "notes": [], "source": "made up"}
    return data | changes


def converted(**changes):
    """The problem file of such a case, read back."""
    return tomllib.loads(tool.convert(case(**changes), "name"))


def value_of_old(text, x, y):
    """A formula of a case at a point, by Python's own parser."""
    text = re.sub(r"\b([xy])(\d+)\b", lambda m: f"{m[1]}[{int(m[2]) - 1}]", text)
    return eval(text.replace("^", "**"), {"__builtins__": {}}, NAMES | {"x": x, "y": y})


def value_of_new(text, x, y):
    """A formula of a problem file at a point: scalars stand for themselves."""
    point = {"x": x[0] if len(x) == 1 else x, "y": y[0] if len(y) == 1 else y}
    return eval(text.replace("^", "**"), {"__builtins__": {}}, NAMES | point)


def random_formula(rng, depth):
    """A random formula that is defined and moderate for variables in [0.5, 1.5]."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(["x1", "x2", "y1", "y2", str(rng.randint(0, 9)), "0.25", "1e-1", ".5", "2."])
    a, b = random_formula(rng, depth - 1), random_formula(rng, depth - 1)
    return rng.choice([
        f"{a} + {b}", f"{a} - {b}", f"{a}*{b}", f"({a} - {b})", f"-{a}", f"+{a}", f"({a})^2", f"-({a})^2",
        f"({a})/(2 + ({b})^2)", f"2*-{b}", f"abs({a})", f"max({a}, {b})", f"min({a},{b})",
        f"sin({a})", f"2^-sin({a})", f"exp(-({a})^2)", f"sqrt(abs({a}))", f"log(1 + abs({b}))", f"2^2^sin({a})",
        f"({a} + {b})*({a} - {b})", f"{a} - ({b} - {a})", f"({a})/3/2", f"({a})/(3/2)", f"-(-({a}))"])


class Formulas(unittest.TestCase):
    def test_printing_keeps_the_value_and_reads_back_as_the_same_tree(self):
        rng = random.Random(1)
        sizes = {"x": 2, "y": 2}
        for _ in range(2000):
            text = random_formula(rng, rng.randint(0, 4))
            x, y = ([rng.uniform(0.5, 1.5) for _ in range(2)] for _ in "xy")
            tree = tool.Parser(text, sizes).parse()
            shown = tool.show(tree, sizes)
            try:
                expected = value_of_old(text, x, y)
            except OverflowError:
                continue
            actual = value_of_new(shown, x, y)
            self.assertTrue(expected == actual or (expected != expected and actual != actual), (text, shown))
            again = re.sub(r"([xy])\[(\d)\]", lambda m: f"{m[1]}{int(m[2]) + 1}", shown)
            self.assertEqual(tool.show(tool.Parser(again, sizes).parse(), sizes), shown)

    def test_the_polynomial_has_the_value_of_the_formula(self):
        rng = random.Random(2)
        sizes = {"x": 2, "y": 2}
        for _ in range(300):
            factors = [f"({rng.randint(-3, 3)}*x1 - y{rng.randint(1, 2)}/4 + 0.5)" for _ in range(3)]
            text = f"{factors[0]}*{factors[1]} - {factors[2]}^3/2 + x2"
            polynomial = tool.polynomial_of(tool.Parser(text, sizes).parse())
            x, y = ([rng.uniform(-1, 1) for _ in range(2)] for _ in "xy")
            total = sum(float(c) * math.prod({"x": x, "y": y}[key[1]][key[2]] ** power for key, power in monomial)
                        for monomial, c in polynomial.items())
            self.assertAlmostEqual(total, value_of_old(text, x, y), places=9)

    def test_precedence_and_associativity(self):
        sizes = {"x": 1, "y": 2}
        for text, shown in [
            ("-x1^2", "-x^2"), ("(-x1)^2", "(-x)^2"), ("x1^2^3", "x^(2^3)"), ("(x1^2)^3", "(x^2)^3"),
            ("x1^-2", "x^(-2)"), ("x1-(y1-y2)", "x - (y[0] - y[1])"), ("x1/(y1*y2)", "x/(y[0]*y[1])"),
            ("x1/y1*y2", "x/y[0]*y[1]"), ("x1 - (-0.5)", "x - (-0.5)"), ("2*-x1", "2*(-x)"),
            ("max(x1,min(y1,1e-7))", "max(x, min(y[0], 1e-07))"), ("((x1))", "x"), ("007*x1", "7*x"),
            ("0.1000000000000000055*x1", "0.1*x"), ("12345678901234567890", "1.2345678901234567e+19"),
        ]:
            self.assertEqual(tool.show(tool.Parser(text, sizes).parse(), sizes), shown)

    def test_mistakes_are_named(self):
        for text in ("x3", "x0", "z1", "x1 +", "x1 x2", "(x1", "max(x1)", "exp(x1, x2)", "x1 # 2", "", "tan(x1)",
                     "1e999", "x1)", "x01", "2x1"):
            with self.assertRaises(tool.CaseError, msg=text):
                tool.Parser(text, {"x": 2, "y": 2}).parse()


class Bounds(unittest.TestCase):
    def test_affine_rows_in_one_variable_become_the_set(self):
        problem = converted(G=["50 - x1", "2*x1 - 3", "x2 + 5"], g=["y1 - (-0.5)", "-(y2 - 1)/4", "(y2+1)*3"])
        self.assertEqual(problem["leader"]["x"], "vector(2) in [[1.5, -5], [50, inf]]")
        self.assertEqual(problem["follower"]["y"], "vector(2) in [[-0.5, -1], [inf, 1]]")
        self.assertNotIn("subject_to", problem["upper"])
        self.assertNotIn("subject_to", problem["lower"])

    def test_bounds_in_disguise(self):
        problem = converted(n=1, x0=[0], G=["x1^2 - (x1 - 1)*(x1 + 1) + 3 - x1", "x1*abs(-3) - sqrt(4)*3/(1/2)"])
        self.assertEqual(problem["leader"]["x"], "in [4, 4]")

    def test_nothing_crosses_the_levels(self):
        problem = converted(G=["y1 - 1", "1 - x1"], g=["x2 - 3", "4 - y2"])
        self.assertEqual(problem["upper"]["subject_to"], ["y[0] - 1 >= 0"])
        self.assertEqual(problem["lower"]["subject_to"], ["x[1] - 3 >= 0"])
        self.assertEqual(problem["leader"]["x"], "vector(2) in [[-inf, -inf], [1, inf]]")
        self.assertEqual(problem["follower"]["y"], "vector(2) in [[-inf, -inf], [inf, 4]]")

    def test_rows_that_are_no_bounds_stay(self):
        rows = ["x1 + x2", "x1^2 - 1", "exp(x1)", "x1*y1 - 1", "1 - abs(x1)", "x1/(x2) - x1", "3 - 2^x1"]
        self.assertEqual(len(converted(G=rows)["upper"]["subject_to"]), len(rows))

    def test_several_bounds_are_intersected(self):
        problem = converted(n=1, x0=[0], G=["x1", "x1 - 1", "3 - x1", "x1 + 7", "10 - 2*x1"])
        self.assertEqual(problem["leader"]["x"], "in [1, 3]")

    def test_bounds_that_leave_nothing_stay_constraints(self):
        problem = converted(G=["x1 - 2", "1 - x1", "x2"])
        self.assertEqual(problem["leader"]["x"], "vector(2) in [[-inf, 0], [inf, inf]]")
        self.assertEqual(problem["upper"]["subject_to"], ["x[0] - 2 >= 0", "1 - x[0] >= 0"])

    def test_emptiness_is_decided_before_rounding(self):
        tiny = "1" + "0" * 30
        problem = converted(n=1, x0=[0], G=[f"x1 - 1 - 1/{tiny}", "1 - x1"])
        self.assertEqual(problem["leader"]["x"], "in [-inf, inf]")
        self.assertEqual(len(problem["upper"]["subject_to"]), 2)

    def test_uniform_bounds_are_written_once(self):
        self.assertEqual(converted(G=["x1", "x2"])["leader"]["x"], "vector(2) in [0, inf]")
        self.assertEqual(converted()["leader"]["x"], "vector(2)")

    def test_a_true_row_is_dropped_and_a_false_one_kept(self):
        problem = converted(G=["5 - 2", "x1 - x1"], g=["1 - 2"])
        self.assertNotIn("subject_to", problem["upper"])
        self.assertEqual(problem["lower"]["subject_to"], ["1 - 2 >= 0"])


class Equalities(unittest.TestCase):
    def test_opposite_rows_become_one_equality(self):
        problem = converted(g=["y1 + y2 - x1", "y1*y2", "x1 - (y2 + y1)", "x2 - y1"])
        self.assertEqual(problem["lower"]["subject_to"],
                         ["y[0] + y[1] - x[0] == 0", "y[0]*y[1] >= 0", "x[1] - y[0] >= 0"])

    def test_opposites_of_nonpolynomials_and_of_other_scale(self):
        problem = converted(g=["exp(x1 + y1)/y2 - 1", "2 - 2*exp(y1 + x1)/y2", "(y1-x1)^2 - 1", "1 - (x1-y1)^2"])
        self.assertEqual(problem["lower"]["subject_to"], ["exp(x[0] + y[0])/y[1] - 1 == 0", "(y[0] - x[0])^2 - 1 == 0"])

    def test_almost_opposite_rows_stay(self):
        rows = ["y1 - x1 + 0.1", "x1 - y1 - 0.1000000001", "exp(y1)", "-exp(y2)"]
        self.assertEqual(len(converted(g=rows)["lower"]["subject_to"]), 4)

    def test_levels_are_not_paired(self):
        problem = converted(G=["x1 - y1"], g=["y1 - x1"])
        self.assertEqual(problem["upper"]["subject_to"], ["x[0] - y[0] >= 0"])
        self.assertEqual(problem["lower"]["subject_to"], ["y[0] - x[0] >= 0"])


class Files(unittest.TestCase):
    def test_start_and_known_values_are_kept_to_the_last_digit(self):
        value = 0.1 + 0.2
        problem = converted(
            x0=[value, 1e-300], target_F=-value, pessimistic_F=1e22, pessimistic_attained=False, best_F=3,
            expect="not attained", opt_x=[1, 2], opt_y=[5e-324, -0.0], tags=["lower-convex"],
            notes=['a "quoted" note\\ with\ttab, \x01, \x7f and é\n'], pessimistic_note="unbounded above")
        self.assertEqual(problem["start"], {"x": [value, 1e-300], "y": [1.0, 2.0]})
        known = problem["known"]
        self.assertEqual((known["F"], known["pessimistic_F"], known["best_F"]), (-value, 1e22, 3.0))
        self.assertIs(known["pessimistic_attained"], False)
        self.assertEqual((known["expect"], known["source"], known["tags"]), ("not attained", "made up", ["lower-convex"]))
        self.assertEqual((known["x"], known["y"]), ([1.0, 2.0], [5e-324, 0.0]))
        self.assertEqual(known["notes"], ['a "quoted" note\\ with\ttab, \x01, \x7f and é\n', "pessimistic: unbounded above"])

    def test_sizes_zero_and_one(self):
        problem = converted(n=0, x0=[], F="y1", m=1, y0=[3], G=["y1"], g=["y1 - 1"])
        self.assertNotIn("leader", problem)
        self.assertEqual(problem["follower"], {"y": "in [1, inf]"})
        self.assertEqual(problem["start"], {"y": 3.0})
        self.assertEqual(problem["upper"], {"minimize": "y", "subject_to": ["y >= 0"]})
        problem = converted(m=0, y0=[], F="x1", f="0")
        self.assertNotIn("follower", problem)

    def test_a_start_is_written_only_if_it_is_whole(self):
        self.assertNotIn("start", converted(x0=[1.0]))
        self.assertNotIn("start", converted(y0=[1.0, math.inf]))
        self.assertNotIn("start", converted(y0=None))

    def test_a_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            source, out = Path(folder) / "cases", Path(folder) / "deep" / "out"
            (source / "sub.json").mkdir(parents=True)
            (source / "sub.json" / "inner.json").write_text(json.dumps(case()))
            (source / "good.json").write_text(json.dumps(case()))
            (source / "bad.json").write_text(json.dumps(case(F="x9")))
            (source / "deep.json").write_text(json.dumps(case(F="(" * 10000 + "x1" + ")" * 10000)))
            (source / "other.json").write_text('{"n": 1, "kind": "H1"}')
            (source / "list.json").write_text("[1, 2]")
            (source / "broken.json").write_text("{")
            (source / "binary.json").write_bytes(b"\xff\xfe\x00")
            (source / "notes.txt").write_text("x")
            self.assertEqual(tool.import_folder(source, out)[0], ["good"])
            failed = tool.import_folder(source, out)[1]
            self.assertEqual([message.split(":")[0] for message in failed], ["bad.json", "deep.json"])
            self.assertEqual([path.name for path in out.iterdir()], ["good.toml"])
            first = (out / "good.toml").read_bytes()
            tool.import_folder(source, out)
            self.assertEqual((out / "good.toml").read_bytes(), first)

    def test_a_sum_of_thousands_of_terms(self):
        with tempfile.TemporaryDirectory() as folder:
            terms = " + ".join(f"{k}*x1*y1^2" for k in range(3000))
            (Path(folder) / "long.json").write_text(json.dumps(case(F=terms, g=[terms, f"-({terms})"])))
            self.assertEqual(tool.import_folder(Path(folder), Path(folder)), (["long"], []))
            problem = tomllib.loads((Path(folder) / "long.toml").read_text())
            self.assertEqual(problem["upper"]["minimize"].count("y[0]^2"), 3000)
            self.assertEqual(len(problem["lower"]["subject_to"]), 1)

    def test_the_feasible_points_are_the_same(self):
        rng = random.Random(3)
        rows = ["x1", "2 - x1", "x1 - y2", "1 - x1^2 - y1^2", "x2 + 1", "1.5 - x2", "3 - 2*y1"]
        problem = converted(G=rows)
        low, high = eval(problem["leader"]["x"].split(" in ")[1], {"inf": math.inf})
        kept = problem["upper"]["subject_to"]
        self.assertEqual(len(kept), 3)
        for _ in range(500):
            x, y = ([rng.uniform(-2, 2.5) for _ in range(2)] for _ in "xy")
            old = all(value_of_old(row, x, y) >= 0 for row in rows)
            new = all(a <= v <= b for a, v, b in zip(low, x, high)) and all(value_of_new(row, x, y) for row in kept)
            self.assertEqual(old, new)


if __name__ == "__main__":
    unittest.main()
