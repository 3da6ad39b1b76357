"""Tests of badly_scaled.py: python3 -m unittest discover -s tools"""

import json
import math
import re
import tempfile
import tomllib
import unittest
from pathlib import Path

import badly_scaled as tool

NAMES = {name: getattr(math, name) for name in ("exp", "log", "sqrt", "sin", "cos")} | {
    "abs": abs, "max": max, "min": min}

CASE = {"name": "a case", "n": 2, "m": 1, "F": "x1^2 + 3*y1", "f": "(y1 - x1*x2)^2", "G": ["x1 + y1 - 1", "5 - x2"],
        "g": ["y1", "2 - x1 - y1"], "x0": [1.0, 2.0], "y0": [0.5], "target_F": 7.0, "opt_x": [3.0, 4.0]}

FILE = """
name = "a file"
[leader]
toll = "vector(2) in [[0, -inf], [10, .5]]"
t = "in [-1, inf]"
[follower]
share = "simplex(2)"
y = "vector(2)"
[upper]
maximize = 'dot(toll, y) - exp(t)*share[1]'
subject_to = ['0 <= toll[0] + t <= 3', 'sum(y) == 1']
[lower]
minimize = 'norm2sq(y - toll) + share[0]'
[start]
toll = [1, 0.25]
t = 2
[known]
F = 5
t = 4
"""


def value(text, names):
    """A formula by Python's own parser."""
    return eval(text.replace("^", "**"), {"__builtins__": {}}, NAMES | names)


class Vector(list):
    """A list that multiplies entry by entry."""

    def __mul__(self, other):
        return Vector(a * b for a, b in zip(self, other))


class Cases(unittest.TestCase):
    def setUp(self):
        self.scaled = tool.scale_case(CASE, tool.Factors(3, "case", 4.0), False)

    def point(self, x, y):
        """The names of a case at a point."""
        return {f"x{i + 1}": v for i, v in enumerate(x)} | {"y1": y}

    def test_values_are_those_of_the_original_at_the_same_point(self):
        units = [a / b for a, b in zip(CASE["x0"] + CASE["y0"], self.scaled["x0"] + self.scaled["y0"])]
        old = [0.7, -1.3, 2.1]
        new = [v / u for v, u in zip(old, units)]
        old, new = self.point(old[:2], old[2]), self.point(new[:2], new[2])
        for key in "Ff":
            self.assertAlmostEqual(value(self.scaled[key], new), value(CASE[key], old), places=9)
        for rows in "Gg":
            ratios = [value(a, new) / value(b, old) for a, b in zip(self.scaled[rows], CASE[rows])]
            self.assertTrue(all(ratio > 0 for ratio in ratios))
            self.assertGreater(max(ratios) / min(ratios), 1.01)
        self.assertAlmostEqual(self.scaled["opt_x"][1] * units[1], 4.0)

    def test_factors_depend_on_seed_and_name_and_stay_within_the_spread(self):
        same = tool.scale_case(CASE, tool.Factors(3, "case", 4.0), False)
        other = tool.scale_case(CASE, tool.Factors(4, "case", 4.0), False)
        self.assertEqual(self.scaled, same)
        self.assertNotEqual(self.scaled["x0"], other["x0"])
        factors = tool.Factors(1, "many", 4.0).some(2000)
        self.assertTrue(1e-4 <= min(factors) < 2e-4 and 5e3 < max(factors) <= 1e4)

    def test_objectives_are_multiplied_only_when_asked(self):
        scaled = tool.scale_case(CASE, tool.Factors(3, "case", 4.0), True)
        self.assertEqual(self.scaled["target_F"], 7.0)
        factor = scaled["target_F"] / 7.0
        self.assertTrue(scaled["F"].startswith(f"{factor:.4g}"[:3]) and factor != 1.0)


class Files(unittest.TestCase):
    def setUp(self):
        self.old = tomllib.loads(FILE)
        text = tool.toml_text(tool.scale_file(self.old, tool.Factors(5, "file", 4.0), False))
        self.new = tomllib.loads(text)

    def test_formulas_bounds_and_starts_speak_of_the_same_points(self):
        new = self.new
        units = [a / b for a, b in zip(self.old["start"]["toll"], new["start"]["toll"])]
        unit = 2 / new["start"]["t"]
        low, high = json.loads(re.sub("inf", "Infinity", new["leader"]["toll"].split(" in ")[1]))
        self.assertAlmostEqual(high[0] * units[0], 10.0)
        self.assertAlmostEqual(high[1] * units[1], 0.5)
        self.assertEqual((low[0], low[1]), (0.0, -math.inf))
        self.assertEqual(new["follower"]["share"], "simplex(2)")
        self.assertAlmostEqual(new["known"]["t"] * unit, 4.0)
        self.assertEqual(new["known"]["F"], 5)
        names = {"toll": Vector([1.0 / units[0], 0.25 / units[1]]), "t": 2 / unit, "share": [0.25, 0.75],
                 "y": Vector([1.0, 1.0]), "sum": sum, "dot": lambda a, b: sum(u * v for u, v in zip(a, b))}
        names |= {f"unit_{key}": Vector(value) for key, value in
                  ((key[5:], value) for key, value in new["constants"].items())}
        y = names["unit_y"]
        self.assertAlmostEqual(value(new["upper"]["maximize"], names), y[0] + 0.25 * y[1] - math.exp(2) * 0.75)
        first = new["upper"]["subject_to"][0].split("<=")
        low, middle, high = (value(side.strip(), names) for side in first)
        self.assertAlmostEqual(middle / high, 1.0)
        self.assertEqual(low, 0.0)

    def test_a_folder_is_copied_and_other_files_are_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "a.json").write_text(json.dumps(CASE))
            (folder / "b.toml").write_text(FILE)
            (folder / "c.json").write_text("[1, 2]")
            (folder / "d.txt").write_text("no")
            self.assertEqual(tool.main([str(folder), str(folder / "out"), "--seeds", "2"]), 0)
            names = sorted(path.name for path in (folder / "out").iterdir())
            self.assertEqual(names, ["a-1.toml", "a-2.toml", "b-1.toml", "b-2.toml"])
            for name in names:
                tomllib.loads((folder / "out" / name).read_text())


if __name__ == "__main__":
    unittest.main()
