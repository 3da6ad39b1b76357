"""Writes the table of true values that the tests of the interval functions compare with.

Needs mpmath. Each line: function, argument, the largest double that is not above the true value, and 1 if the true
value is that double. Doubles are written as hexadecimal bit patterns.

    python3 tools/make_interval_table.py > crates/bilevel/src/proof/interval/table.txt
"""

import math
import random
import struct

from mpmath import mp, mpf

mp.prec = 400
random.seed(5)
POINTS = 160


def bits(value):
    return struct.pack(">d", value).hex()


def floor_double(true):
    """The largest double not above `true`."""
    if true > mpf(1.7976931348623157e308):
        return 1.7976931348623157e308
    if true < mpf(-1.7976931348623157e308):
        return -math.inf
    near = float(true)
    while mpf(near) > true:
        near = math.nextafter(near, -math.inf)
    while mpf(math.nextafter(near, math.inf)) <= true:
        near = math.nextafter(near, math.inf)
    return near


def signed(low, high):
    return random.choice([-1, 1]) * 10 ** random.uniform(low, high)


def positive(low, high):
    return 10 ** random.uniform(low, high)


FUNCTIONS = {
    "exp": (mp.exp, lambda: random.choice([signed(-8, 2.8), random.uniform(-30, 30), random.uniform(-745, 709)])),
    "log": (mp.log, lambda: random.choice([positive(-300, 300), positive(-3, 3), 1 + signed(-12, -1)])),
    "log1p": (mp.log1p, lambda: random.choice([positive(-300, 300), signed(-12, -0.1), positive(-3, 3)])),
    "expm1": (mp.expm1, lambda: random.choice([signed(-12, 1.5), random.uniform(-40, 700)])),
    "sqrt": (mp.sqrt, lambda: random.choice([positive(-320, 300), float(random.randint(0, 400))])),
    "sin": (mp.sin, lambda: random.choice([signed(-10, 1), signed(0, 11), random.randint(-40, 40) * math.pi / 2])),
    "cos": (mp.cos, lambda: random.choice([signed(-10, 1), signed(0, 11), random.randint(-40, 40) * math.pi / 2])),
    "tan": (mp.tan, lambda: random.choice([signed(-10, 1), signed(0, 11), random.randint(-40, 40) * math.pi / 2])),
    "tanh": (mp.tanh, lambda: random.choice([signed(-10, 1.4), signed(-3, 2)])),
    "sigmoid": (lambda z: 1 / (1 + mp.exp(-z)), lambda: random.choice([signed(-5, 2.8), random.uniform(-40, 40)])),
    "softplus": (lambda z: mp.log1p(mp.exp(z)), lambda: random.choice([signed(-5, 2.8), random.uniform(-40, 40)])),
    "square": (lambda z: z * z, lambda: random.choice([signed(-160, 150), float(random.randint(-99, 99))])),
    "cube": (lambda z: z**3, lambda: random.choice([signed(-107, 100), float(random.randint(-99, 99))])),
    "inverse_cube": (lambda z: 1 / z**3, lambda: random.choice([signed(-100, 100), 2.0 ** random.randint(-9, 9)])),
    "pow0.3": (lambda z: z ** mpf(0.3), lambda: random.choice([positive(-300, 300), positive(-3, 3)])),
    "pow-1.7": (lambda z: z ** mpf(-1.7), lambda: random.choice([positive(-180, 180), positive(-3, 3)])),
    "pow2.5": (lambda z: z ** mpf(2.5), lambda: random.choice([positive(-120, 120), positive(-3, 3)])),
}

for name, (function, draw) in FUNCTIONS.items():
    for _ in range(POINTS):
        x = draw()
        true = function(mpf(x))
        down = floor_double(true)
        print(name, bits(x), bits(down), int(mpf(down) == true) if math.isfinite(down) else 0)
