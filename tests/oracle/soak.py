"""Cases by the thousand: ``python -m oracle.soak --cases 1000000 --seed 1 --log soak.log``.

Writes counts by operator, geometry and kind, the largest error of each operator in units of what
rounding allows, and each case that is wrong with the command that replays it. The exit code is 1
if there is one. With a log, counts are added to those of earlier runs, and a seed goes on after
the last case that it had; they are kept in a JSON file beside it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from oracle import of_arrays, of_cells, of_fields, of_labels, of_refusals
from oracle.compare import judge
from oracle.drawn import Case

SOURCES = [(14, of_arrays.draw), (14, of_labels.draw), (10, of_fields.draw), (6, of_cells.draw)]
SOURCES += [(1, of_refusals.draw)]
BATCH = 500  # cases that a process is given at a time
EVERY = 20_000  # cases between two tables
LIVES = 200  # batches, after which a process and all that it compiled make way for a new one


def draw(seed: int, number: int) -> Case:
    """Case ``number`` of ``seed``, the same whenever it is asked for."""
    rng = Random(f"{seed}/{number}")
    weights, sources = zip(*SOURCES, strict=True)
    (source,) = rng.choices(sources, weights)
    return source(rng)


@dataclass
class Tally:
    """What came out, how large errors were, how long it took, and how far each seed is."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    next: dict[str, int] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return sum(number for key, number in self.counts.items() if key[3] == "WRONG")

    def add(self, case: Case, found: str, ratio: float) -> None:
        outcome = "WRONG" if found.startswith("WRONG") else found
        self.counts[case.operator, case.geometry, case.kind, outcome] += 1
        if outcome == "right":
            self.worst[case.operator] = max(ratio, self.worst.get(case.operator, 0.0))

    def merge(self, other: Tally) -> None:
        self.counts.update(other.counts)
        for operator, ratio in other.worst.items():
            self.worst[operator] = max(ratio, self.worst.get(operator, 0.0))

    def table(self) -> str:
        """Counts by operator, geometry and kind."""
        total = self.counts.total()
        lines = [f"{total} cases, {self.wrong} wrong, {self.seconds:.0f} s"]
        for title, at in (("operator", 0), ("geometry", 1), ("kind", 2)):
            lines.append(f"  by {title}:")
            for name in sorted({key[at] for key in self.counts}):
                each: Counter[str] = Counter()
                for key, number in self.counts.items():
                    if key[at] == name:
                        each[key[3]] += number
                worst = f", largest error {self.worst[name]:.2f}" if name in self.worst else ""
                words = ", ".join(f"{number} {what}" for what, number in sorted(each.items()))
                lines.append(f"    {name}: {words}{worst}")
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        counts = [[*key, number] for key, number in self.counts.items()]
        known = {"counts": counts, "worst": self.worst, "seconds": self.seconds, "next": self.next}
        path.write_text(json.dumps(known))

    @staticmethod
    def load(path: Path) -> Tally:
        if not path.exists():
            return Tally()
        known = json.loads(path.read_text())
        counts = Counter({tuple(key): number for *key, number in known["counts"]})
        return Tally(counts, known["worst"], known["seconds"], known["next"])


def try_case(seed: int, number: int) -> tuple[Case, str, float]:
    try:
        case = draw(seed, number)
        return case, *judge(case)
    except Exception as error:
        raise AssertionError(f"the oracle fails in case {number} of seed {seed}") from error


def try_batch(seed: int, first: int, count: int) -> Tally:
    """``count`` cases, and what is to be said of those that are wrong."""
    tally = Tally()
    for number in range(first, first + count):
        try:
            case, found, ratio = try_case(seed, number)
        except AssertionError:
            tally.messages.append(traceback.format_exc())
            tally.counts["the oracle", "fails", "numpy", "WRONG"] += 1
            continue
        tally.add(case, found, ratio)
        if found.startswith("WRONG"):
            tally.messages.append(
                f"{found}\n  {case.operator}, {case.geometry}, {case.kind}\n  {case.words()}\n"
                f"  python -m oracle.soak --seed {seed} --case {number}"
            )
    return tally


def run(
    seed: int, first: int, cases: int, processes: int, hours: float | None
) -> Iterator[tuple[int, Tally]]:
    """Tallies of batches, in their order, each with the number of the case after it."""
    end = time.monotonic() + 3600 * hours if hours is not None else float("inf")
    starts = iter(range(first, first + cases, BATCH))
    with ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), max_tasks_per_child=LIVES
    ) as pool:
        running: dict[Future[Tally], int] = {}
        while True:
            while len(running) < processes and time.monotonic() < end:
                start = next(starts, None)
                if start is None:
                    break
                count = min(BATCH, first + cases - start)
                running[pool.submit(try_batch, seed, start, count)] = start + count
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--hours", type=float, default=None, help="end after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=None, help="number of the first case")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--log", type=Path, default=None, help="counts are added to its own")
    parser.add_argument("--case", type=int, default=None, help="one case, in words")
    given = parser.parse_args()
    if given.case is not None:
        case, found, ratio = try_case(given.seed, given.case)
        print(case.operator, case.geometry, case.kind, case.words(), found, ratio, sep="\n")
        return int(found.startswith("WRONG"))

    def say(text: str) -> None:
        print(text, flush=True)
        if given.log:
            with given.log.open("a") as log:
                print(text, file=log)

    kept = given.log.with_suffix(".json") if given.log else None
    total = Tally.load(kept) if kept else Tally()
    before, own = total.seconds, Tally()
    first = total.next.get(str(given.seed), 0) if given.first is None else given.first
    begin, shown = time.monotonic(), Counter[str]()
    for number, batch in run(given.seed, first, given.cases, given.processes, given.hours):
        tables = own.counts.total() // EVERY
        total.merge(batch)
        own.merge(batch)
        total.seconds = before + time.monotonic() - begin
        total.next[str(given.seed)] = max(number, total.next.get(str(given.seed), 0))
        for message in batch.messages:
            alike = " ".join(message.split()[:5])
            shown[alike] += 1
            if shown[alike] <= 3:
                say(message)
        if own.counts.total() // EVERY > tables:
            say(total.table())
        if kept:
            total.save(kept)
    say(total.table())
    return int(own.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
