#!/usr/bin/env python3
"""Make market-clearing problems of any size: problem files with sparse data beside them, without any package.

    python3 tools/make_market.py price HOURS NODES SEED OUT       offers of prices, paid as bid
    python3 tools/make_market.py quantity HOURS NODES SEED OUT    offers of quantities, paid at the price of the node

A network of NODES nodes has lines with limits, and the power that a line carries follows from the angles at its ends
(direct-current approximation). A quarter of the plants belong to the leader. In every hour the operator, the follower,
serves demand at least cost; plants may change by a part of their size from hour to hour, which couples the hours.

With `price` costs are linear and demand is fixed, with a dear reserve at every node; the leader names a price for each of
its plants and hours, and is paid it. With `quantity` costs are quadratic and demand falls with the price, which is what
the last unit is worth to the consumers, a - s d: it is a function of the operator's answer, so that no multiplier has to
stand in the leader's objective. The leader names how much each plant may produce.
"""

import random
import sys
from pathlib import Path


def sparse(path, rows, width):
    """Writes a matrix of sparse rows, dictionaries from column to value; the last column is there whatever it holds."""
    with open(path, "w") as out:
        for k, row in enumerate(rows):
            entries = dict(row)
            if k == 0:
                entries.setdefault(width - 1, 0.0)
            out.write("0 " + " ".join(f"{j + 1}:{entries[j]!r}" for j in sorted(entries)) + "\n")


def vector(values):
    """A vector in TOML."""
    return "[" + ", ".join(repr(round(v, 6)) for v in values) + "]"


class Market:
    """Nodes on a ring with chords, three plants at two of three nodes, demand everywhere."""

    def __init__(self, hours, nodes, seed):
        rng = random.Random(seed)
        self.hours, self.nodes = hours, nodes
        self.lines = [(i, (i + 1) % nodes) for i in range(nodes)] if nodes > 2 else [(0, 1)][: nodes - 1]
        self.lines += [(i, (i + nodes // 2) % nodes) for i in range(0, nodes // 2, 3) if nodes > 4]
        self.stiffness = [rng.uniform(5, 15) for _ in self.lines]
        self.limit = [rng.uniform(15, 40) for _ in self.lines]
        self.place = [i for i in range(nodes) for _ in range(3) if i % 3 != 2 or nodes < 3]
        self.cost = [rng.uniform(10, 40) for _ in self.place]
        self.bend = [rng.uniform(0.02, 0.2) for _ in self.place]
        self.size = [rng.uniform(10, 40) for _ in self.place]
        self.own = [g for g in range(len(self.place)) if g % 4 == 0]
        base = 0.6 * sum(self.size) / nodes
        wave = [0.75, 0.7, 0.7, 0.75, 0.9, 1.0, 1.1, 1.2, 1.25, 1.2, 1.1, 0.95]
        part = [rng.uniform(0.4, 1.6) for _ in range(nodes)]
        self.demand = [base * p * wave[h % 12] * rng.uniform(0.95, 1.05) for h in range(hours) for p in part]

    def write(self, kind, name, out):
        """Writes the problem and its matrices."""
        H, N, G, L = self.hours, self.nodes, len(self.place), len(self.lines)
        quantity = kind == "quantity"
        generation = [{h * G + g: 1.0 for g in range(G) if self.place[g] == i} for h in range(H) for i in range(N)]
        angles, flows = [{} for _ in range(H * N)], []
        for h in range(H):
            for (i, j), b in zip(self.lines, self.stiffness):
                for a, c in ((i, j), (j, i)):
                    row = angles[h * N + a]
                    row[h * N + a] = row.get(h * N + a, 0.0) + b
                    row[h * N + c] = row.get(h * N + c, 0.0) - b
                flows.append({h * N + i: b, h * N + j: -b})
        ramps = [{h * G + g: 1.0, (h - 1) * G + g: -1.0} for h in range(1, H) for g in range(G)]
        own = [{h * G + g: 1.0} for h in range(H) for g in self.own]
        for letter, rows, width in (
            ("G", generation, H * G),
            ("B", angles, H * N),
            ("S", flows, H * N),
            ("R", ramps, H * G),
            ("K", own, H * G),
        ):
            if rows:
                sparse(out / f"{name}_{letter}.libsvm", rows, width)
        own_cost = [self.cost[g] for _ in range(H) for g in self.own]
        cost = [self.cost[g] for _ in range(H) for g in range(G)]
        offered = [0.0 if g in self.own and not quantity else self.cost[g] for _ in range(H) for g in range(G)]
        constants = {
            "c": offered,
            "own_cost": own_cost,
            "limit": [self.limit[line] for _ in range(H) for line in range(L)],
            "ramp": [0.3 * self.size[g] for _ in range(1, H) for g in range(G)],
            "demand": self.demand,
        }
        owned = len(own)
        size = [self.size[g] for _ in range(H) for g in range(G)]
        owned_size = [self.size[g] for _ in range(H) for g in self.own]
        balance = "G*y + served - B*angle == demand"
        served = f'served = "vector({H * N}) in [0, inf]"      # by a dear reserve'
        if quantity:
            constants["q"] = [self.bend[g] for _ in range(H) for g in range(G)]
            constants["worth"] = [100.0 for _ in self.demand]
            constants["fall"] = [60.0 / d for d in self.demand]
            constants["at"] = [h * N + self.place[g] for h in range(H) for g in self.own]
            balance = "G*y - served - B*angle == 0"
            served = f'served = "vector({H * N}) in [0, inf]"      # demand served, by hour and node'
            sparse(out / f"{name}_P.libsvm", [{int(k): 1.0} for k in constants.pop("at")], H * N)
        lines = [
            f'name = "market clearing by {kind}, {H} hours and {N} nodes"',
            "",
            "[leader]",
            f'offer = "vector({owned}) in [{vector([0.0] * owned)}, {vector(owned_size)}]"'
            if quantity
            else f'offer = "vector({owned}) in [{vector(own_cost)}, 60]"',
            "",
            "[follower]",
            f'y = "vector({H * G}) in [0, {vector(size)}]"',
            served,
            f'angle = "vector({H * N})"',
            "",
            "[constants]",
        ]
        letters = ["G", "B", "S", "K"] + (["R"] if ramps else []) + (["P"] if quantity else [])
        lines += [f'{letter} = "{name}_{letter}.libsvm"' for letter in letters]
        lines += [f"{key} = {vector(values)}" for key, values in constants.items() if values]
        fixed = [f"angle[{h * N}] == 0" for h in range(H)]
        rows = [balance, "S*angle <= limit", "S*angle >= -limit"]
        rows += ["R*y <= ramp", "R*y >= -ramp"] if ramps else []
        if quantity:
            rows.append("K*y <= offer")
            gain = "dot(P*(worth - fall*served) - own_cost, K*y)"
            loss = "dot(c, y) + 0.5*dot(q, y*y) - dot(worth, served) + 0.5*dot(fall, served*served)"
        else:
            gain = "dot(offer - own_cost, K*y)"
            loss = "dot(c, y) + dot(offer, K*y) + 100*sum(served)"
        quoted = ", ".join(f"'{row}'" for row in rows + fixed)
        lines += ["", "[upper]", f"maximize = '{gain}'", "", "[lower]", f"minimize = '{loss}'", f"subject_to = [{quoted}]", ""]
        (out / f"{name}.toml").write_text("\n".join(lines))
        return H * (G + 2 * N), owned


def main(arguments):
    """Reads the command line."""
    if len(arguments) != 5 or arguments[0] not in ("price", "quantity"):
        sys.exit(__doc__)
    kind, out = arguments[0], Path(arguments[4])
    hours, nodes, seed = map(int, arguments[1:4])
    if hours < 1 or nodes < 2:
        sys.exit("at least one hour and two nodes")
    out.mkdir(parents=True, exist_ok=True)
    name = f"market_{kind}_{hours}x{nodes}"
    m, n = Market(hours, nodes, seed).write(kind, name, out)
    print(f"{out / name}.toml: {n} variables of the leader, {m} of the follower")


if __name__ == "__main__":
    main(sys.argv[1:])
