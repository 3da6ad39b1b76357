"""Tests of check_layers.py: python3 -m unittest discover -s tools"""

import tempfile
import unittest
from pathlib import Path

import check_layers


def violations(files):
    """What the check says about some files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return [problem.split(": ", 1)[1] for problem in check_layers.check(Path(folder))[0]]


class Layers(unittest.TestCase):
    def test_downward_use_is_allowed(self):
        self.assertEqual(violations({
            "lower/newton.rs": "use crate::{set::{Set, Bounds}, expr::Expr};\nuse super::LowerSolver;",
            "proof/mod.rs": "use crate::problem::Problem;",
            "solve.rs": "use crate::proof::bound; use crate::upper::sqp;",
        }), [])

    def test_upward_use_is_found_however_it_is_written(self):
        for text in ("use crate::upper::Sqp;", "use crate::{\n set::Set,\n upper::{Sqp, Options}\n};",
                     "fn f() { crate::upper::run(); }", "use super::super::upper::Sqp;", "use crate :: upper;"):
            self.assertEqual(violations({"lower/newton.rs": text}), ["'lower' must not use 'upper'"], text)
        self.assertEqual(violations({"set/mod.rs": "use super::expr::Expr;"}), ["'set' must not use 'expr'"])

    def test_proof_uses_no_solver_and_names_from_the_face_are_refused(self):
        self.assertEqual(violations({"proof/a/b.rs": "use crate::nlp;"}), ["'proof' must not use 'nlp'"])
        self.assertEqual(violations({"lower/mod.rs": "use crate::proof::x;"}), ["'lower' must not use 'proof'"])
        self.assertEqual(violations({"lower/mod.rs": "use crate::prelude::*;"}), ["'lower' must not use 'prelude'"])
        self.assertEqual(len(violations({"misc.rs": ""})), 1)

    def test_comments_strings_and_tests_do_not_count(self):
        self.assertEqual(violations({
            "set/mod.rs": '//! [crate::solve]\nconst A: &str = "crate::solve::x"; // crate::solve\nfn f() -> char { \'"\' }\n'
                          "#[cfg(test)]\nmod tests {\n fn g() { crate::solve::x(); }\n}\nuse crate::set::Set;",
            "set/tests.rs": "use crate::solve;",
        }), [])
        self.assertEqual(violations({
            "set/mod.rs": "#[cfg(test)]\nmod tests { fn g() { if true {} } }\nuse crate::solve;"}),
            ["'set' must not use 'solve'"])


if __name__ == "__main__":
    unittest.main()
