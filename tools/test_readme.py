"""Tests of readme.py: python3 -m unittest discover -s tools"""

import unittest

import readme

TEXT = """
```sh
cargo run -- solve a.toml   # solves
tools/test
```
words
```text
F   1.0018059   solved
gap 3.1e-12     0.12 s
```
"""


class Readme(unittest.TestCase):
    def test_commands_and_answer(self):
        commands, answer = readme.blocks(TEXT)
        self.assertEqual(commands, ["cargo run -- solve a.toml", "tools/test"])
        self.assertEqual(answer.splitlines()[0], "F   1.0018059   solved")

    def test_times_and_rounding_may_differ(self):
        shown = readme.blocks(TEXT)[1]
        self.assertEqual(readme.differences(shown, "F   1.00180591   solved\ngap 8e-13     0.5 s\n"), [])

    def test_other_differences_are_found(self):
        shown = readme.blocks(TEXT)[1]
        self.assertEqual(len(readme.differences(shown, "F 1.0017 solved\ngap 3.1e-12 1 s\n")), 1)
        self.assertEqual(len(readme.differences(shown, "F 1.0018059 stuck\ngap 3.1e-3 1 s\n")), 2)
        self.assertEqual(len(readme.differences(shown, "F 1.0018059 solved\n")), 1)


if __name__ == "__main__":
    unittest.main()
