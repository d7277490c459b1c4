"""Cases by the thousand: ``python -m oracle.soak --cases 1000000 --seed 1``.

Writes counts by operator, geometry and kind, the largest error of each operator in units of what
rounding allows, and each case that is wrong with the command that replays it. The exit code is 1
if there is one.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random

from oracle import of_arrays, of_fields, of_labels
from oracle.compare import judge
from oracle.drawn import Case

SOURCES = [(2, of_arrays.draw), (3, of_labels.draw), (4, of_fields.draw)]


def draw(seed: int, number: int) -> Case:
    """Case ``number`` of ``seed``, the same whenever it is asked for."""
    rng = Random(f"{seed}/{number}")
    weights, sources = zip(*SOURCES, strict=True)
    (source,) = rng.choices(sources, weights)
    return source(rng)


class Tally:
    """What came out, and how long it took."""

    def __init__(self, path: Path | None) -> None:
        self.counts: Counter[tuple[str, str, str, str]] = Counter()
        self.worst: dict[str, float] = {}
        self.wrong = 0
        self.path = path
        self.begin = time.monotonic()

    def add(self, case: Case, found: str, ratio: float) -> None:
        outcome = "WRONG" if found.startswith("WRONG") else found
        self.counts[case.operator, case.geometry, case.kind, outcome] += 1
        if outcome == "right":
            self.worst[case.operator] = max(ratio, self.worst.get(case.operator, 0.0))
        self.wrong += outcome == "WRONG"

    def say(self, text: str) -> None:
        print(text, flush=True)
        if self.path:
            with self.path.open("a") as log:
                print(text, file=log)

    def table(self) -> str:
        """Counts by operator, geometry and kind."""
        total = sum(self.counts.values())
        lines = [f"{total} cases, {self.wrong} wrong, {time.monotonic() - self.begin:.0f} s"]
        for title, at in (("operator", 0), ("geometry", 1), ("kind", 2)):
            lines.append(f"  by {title}:")
            names = sorted({key[at] for key in self.counts})
            for name in names:
                each: Counter[str] = Counter()
                for key, number in self.counts.items():
                    if key[at] == name:
                        each[key[3]] += number
                worst = f", largest error {self.worst[name]:.2f}" if name in self.worst else ""
                words = ", ".join(f"{number} {what}" for what, number in each.items())
                lines.append(f"    {name}: {words}{worst}")
        return "\n".join(lines)


def try_case(seed: int, number: int) -> tuple[Case, str, float]:
    try:
        case = draw(seed, number)
        return case, *judge(case)
    except Exception as error:
        raise AssertionError(f"the oracle fails in case {number} of seed {seed}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--hours", type=float, default=None, help="end after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--log", type=Path, default=None)
    parser.add_argument("--case", type=int, default=None, help="one case, in words")
    given = parser.parse_args()
    if given.case is not None:
        case, found, ratio = try_case(given.seed, given.case)
        print(case.operator, case.geometry, case.kind, case.words, found, ratio, sep="\n")
        return int(found.startswith("WRONG"))
    tally = Tally(given.log)
    shown: Counter[tuple[str, ...]] = Counter()
    for number in range(given.first, given.first + given.cases):
        try:
            case, found, ratio = try_case(given.seed, number)
        except AssertionError:
            tally.say(traceback.format_exc())
            return 2
        tally.add(case, found, ratio)
        alike = case.operator, case.geometry, case.kind, " ".join(found.split()[:5])
        shown[alike] += 1
        if found.startswith("WRONG") and shown[alike] <= 3:
            replay = f"python -m oracle.soak --seed {given.seed} --case {number}"
            tally.say(
                f"{found}\n  {case.operator}, {case.geometry}, {case.kind}\n"
                f"  {case.words}\n  {replay}"
            )
        late = given.hours is not None and time.monotonic() - tally.begin > 3600 * given.hours
        if late:
            break
        if number % 20_000 == 19_999:
            tally.say(tally.table())
    tally.say(tally.table())
    return int(tally.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
