"""What `apu generate` costs at any size, and where its bottleneck is: a cost model and a discrete simulation.

    python benchmarks/line_simulation.py                       # the tables of docs/scaling.md
    python benchmarks/line_simulation.py --pairs 1e6 --fitters 64 --servers 4

Seconds are simulated. What one thing costs stands in `Costs`, each with where it was measured; the simulation
moves shards through asking and fitting as the line does: a worker takes a shard, asks with so many questions
at a time, fits, writes, and takes the next. Servers answer so many questions at once; questions fail and are
asked again; workers die and their shard is begun again, without asking anew.
"""

from __future__ import annotations

import argparse
import heapq
import random
from dataclasses import dataclass, replace

from short_form import add_check


@dataclass(frozen=True)
class Costs:
    """One pair's costs.

    Args:
        answer: seconds of a server for one answer, alone; assumed, a 7 B model on one GPU.
        tokens_in, tokens_out: of a question with its crop and of an answer; the dry run's estimate.
        fit: CPU seconds of a pair with `best` (docs/measurements/fitting.md: 142 pairs a minute a thread).
        overhead: CPU seconds of proposing, reading, judging and writing a pair (docs/scaling.md).
        record, picture: bytes of a record in Parquet, and of a photograph in a tar.
    """

    answer: float = 4.0
    tokens_in: int = 1500
    tokens_out: int = 200
    fit: float = 0.42
    overhead: float = 0.04
    record: int = 9_500
    picture: int = 150_000


@dataclass(frozen=True)
class Line:
    """A line.

    Args:
        pairs: how many.
        workers: processes that ask and fit, one core each.
        parallel: questions of a worker at a time.
        servers, slots: servers, and answers that each works on at once.
        per_shard: pairs.
        failing: share of questions that fail once more.
        dying: deaths of a worker an hour.
    """

    pairs: int = 4_000
    workers: int = 16
    parallel: int = 4
    servers: int = 1
    slots: int = 16
    per_shard: int = 64
    failing: float = 0.0
    dying: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What a simulation gave: seconds, and how busy servers and workers were, 0 to 1."""

    seconds: float
    servers_busy: float
    workers_busy: float
    asked: int
    begun_again: int

    @property
    def bottleneck(self) -> str:
        if max(self.servers_busy, self.workers_busy) < 0.7:
            return "waiting"  # a worker fits when its shard is answered: more workers than cores help
        return "asking" if self.servers_busy > self.workers_busy else "fitting"


def simulate(line: Line, costs: Costs, seed: int = 0) -> Outcome:
    """Move every shard through the line; questions queue for the slots of the servers."""
    rng = random.Random(seed)
    slots = [0.0] * (line.servers * line.slots)  # when each is free
    heapq.heapify(slots)
    shards = [min(line.per_shard, line.pairs - i) for i in range(0, line.pairs, line.per_shard)]
    free = [(0.0, worker) for worker in range(line.workers)]
    heapq.heapify(free)
    # a question is one event, so that workers take turns at the servers
    events: list[tuple[float, int, int, int, int]] = []  # time, worker, questions left, pairs, attempts
    served = worked = end = 0.0
    asked = again = 0
    waiting = iter(shards)

    def take(now: float, worker: int) -> None:
        pairs = next(waiting, None)
        if pairs is not None:
            heapq.heappush(events, (now, worker, pairs, pairs, 0))

    while free:
        take(*heapq.heappop(free))
    lanes: dict[int, list[float]] = {}  # of a worker: when each of its questions at a time is answered
    while events:
        now, worker, left, pairs, deaths = heapq.heappop(events)
        if left:
            mine = lanes.setdefault(worker, [now] * line.parallel)
            begin, tries = max(now, heapq.heappop(mine)), 1
            while rng.random() < line.failing and tries < 6:
                tries += 1
            for _ in range(tries):
                begin = max(begin, heapq.heappop(slots))
                spent = costs.answer * rng.uniform(0.7, 1.3)
                begin += spent
                heapq.heappush(slots, begin)
                served, asked = served + spent, asked + 1
            heapq.heappush(mine, begin)
            until = max(now, mine[0]) if left > 1 else max(lanes.pop(worker))
            heapq.heappush(events, (until, worker, left - 1, pairs, deaths))
            continue
        spent = pairs * (costs.fit + costs.overhead)
        died = rng.expovariate(line.dying / 3600) if line.dying else float("inf")
        if died < spent and deaths < 3:
            # answers are kept; what had been fitted of the shard is, batch by batch, too
            rest = max(1, round(pairs * (1 - died / spent)))
            worked, again = worked + died, again + 1
            heapq.heappush(events, (now + died + 20.0, worker, 0, rest, deaths + 1))
            continue
        worked, end = worked + spent, max(end, now + spent)
        take(now + spent, worker)
    return Outcome(end, served / (end * len(slots)), worked / (end * line.workers), asked, again)


def cost_rows(costs: Costs, sizes: tuple[int, ...]) -> list[tuple[str, ...]]:
    """Return the table of the cost model: what is added up and hangs on no schedule."""
    rows = []
    for pairs in sizes:
        rows.append(
            (
                f"{pairs:,}",
                f"{pairs * costs.tokens_in / 1e6:,.0f} M",
                f"{pairs * costs.tokens_out / 1e6:,.0f} M",
                f"{pairs * costs.answer / 3600 / 16:,.0f}",
                f"{pairs * (costs.fit + costs.overhead) / 3600:,.0f}",
                f"{pairs * costs.record / 1e9:,.1f}",
                f"{pairs * costs.picture / 1e9:,.0f}",
            )
        )
    return rows


def show(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + "---:|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=float, default=4_000)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--servers", type=int, default=1)
    add_check(parser)
    given = parser.parse_args()
    pairs = 500 if given.check else int(given.pairs)
    costs = Costs()
    header = (
        "pairs",
        "tokens in",
        "tokens out",
        "GPU hours asking",
        "CPU hours",
        "GB records",
        "GB pictures",
    )
    show(header, cost_rows(costs, (10_000, 1_000_000, 100_000_000)))
    base = Line(pairs=pairs, servers=given.servers)
    rows = []
    for workers in (given.workers,) if given.workers else (1, 4, 16, 64):
        for more in ({}, {"failing": 0.1}, {"dying": 6.0}, {"servers": 4 * given.servers}):
            line = replace(base, workers=workers, **more)
            found = simulate(line, costs)
            what = ", ".join(f"{k} {v}" for k, v in more.items()) or "undisturbed"
            rows.append(
                (
                    str(workers),
                    what,
                    f"{60 * pairs / found.seconds:.0f}",
                    f"{found.servers_busy:.2f}",
                    f"{found.workers_busy:.2f}",
                    found.bottleneck,
                    f"{found.asked / pairs:.2f}",
                    str(found.begun_again),
                )
            )
    header = (
        "workers",
        "line",
        "pairs a minute",
        "servers busy",
        "workers busy",
        "bottleneck",
        "asked a pair",
    )
    show((*header, "begun again"), rows)


if __name__ == "__main__":
    main()
