"""What the records of a data set come to: the numbers that a page shows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from apu_contacts.regions.table import PARTS

BINS = 12
"""Bars of a histogram; as many as stay apart on a telephone."""
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


class Measure(NamedTuple):
    """A number of a pair, before and after the fit.

    Attributes:
        name: as it is shown.
        unit: likewise; ``""`` for a count.
        of: ``of(record, "before")`` and ``"after"``; None where it was not measured.
        both: whether it is shown before and after; else after alone.
    """

    name: str
    unit: str
    of: Callable[[Mapping[str, Any], str], float | None]
    both: bool = True


def _largest(name: str, scale: float = 1.0) -> Callable[[Mapping[str, Any], str], float | None]:
    def value(record: Mapping[str, Any], when: str) -> float | None:
        measured = record[when]
        found = None if measured is None else measured[name]
        values = found if isinstance(found, list) else [found]
        known = [scale * abs(v) for v in values if v is not None and math.isfinite(v)]
        return max(known) if known and len(known) == len(values) else None

    return value


MEASURES: Mapping[str, Measure] = {
    "keypoints": Measure("keypoint error of the worse person", "px at 512", _largest("keypoint_error")),
    "contacts": Measure("farthest stated contact", "cm", _largest("part_distance", 100.0)),
    "inside": Measure("deepest point inside another", "cm", _largest("depth_max", 100.0)),
    "pose": Measure("largest turn of a joint", "degrees", _largest("pose_change_max"), both=False),
    "stature": Measure("change of stature", "cm", _largest("stature_change", 100.0), both=False),
    "stated": Measure("stated contacts", "", lambda record, when: float(len(record["contacts"])), both=False),
}
"""What histograms show and the gallery is sorted by."""


class Histogram(NamedTuple):
    """Bars of a measure.

    Attributes:
        edges: ``(BINS + 1,)`` of the bars.
        before, after: pairs a bar, the last with all that lie above; ``before`` is empty where only the end
            is shown.
        above: of ``after`` and ``before``, whether values lie above the last edge.
        median_before, median_after: None where nothing was measured.
        measured: pairs with a value after the fit.
        missing: pairs without.
    """

    edges: list[float]
    before: list[int]
    after: list[int]
    above: bool
    median_before: float | None
    median_after: float | None
    measured: int
    missing: int


def histogram(before: Sequence[float | None], after: Sequence[float | None]) -> Histogram:
    """Count values in bars of a round width, from 0 to the 97th percentile of all.

    Args:
        before: values; empty where only the end is shown.
        after: of as many pairs.

    Example:
        >>> found = histogram([], [1.0, 2.0, None, 2.0])
        >>> found.edges[:3], found.after[:3], found.missing
        ([0.0, 1.0, 2.0], [0, 1, 2], 1)
    """
    start, end = (np.array([v for v in values if v is not None]) for values in (before, after))
    together = np.concatenate([start, end])
    high = float(np.quantile(together, 0.97, method="lower")) if len(together) else 1.0
    whole = bool(len(together)) and bool((together == np.round(together)).all())
    width = _round_up(max(high, 1e-9) / BINS)
    width = max(1.0, math.ceil(width)) if whole else width
    edges = [round(i * width, 10) for i in range(BINS + 1)]
    top = edges[-1]

    def bars(values: Any) -> list[int]:
        places = np.minimum(np.floor(values / width + 1e-9), BINS - 1).astype(int)
        return [int(n) for n in np.bincount(places, minlength=BINS)]

    return Histogram(
        edges,
        bars(start) if len(before) else [],
        bars(end),
        bool((together > top).any()),
        float(np.median(start)) if len(start) else None,
        float(np.median(end)) if len(end) else None,
        len(end),
        len(after) - len(end),
    )


def _round_up(width: float) -> float:
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in _ROUND if step * power >= width * (1 - 1e-9))


@dataclass
class Numbers:
    """What `Numbers.add` was told of.

    Attributes:
        values: measure -> a pair of values, before and after, of each pair.
        alone: rule -> pairs that it alone rejected.
        partners: two parts, the first of them first in the list of parts -> contacts of kept pairs.
        repairs: kind -> answers in which it was needed.
        answers, tokens_asked, tokens_answered: of all answers; tokens where the server counted them.
        made_with: ``(version, preset, body)`` -> pairs.
        pairs: a line a pair, for `choose_pairs`.
    """

    values: dict[str, list[tuple[float | None, float | None]]] = field(default_factory=dict)
    alone: Counter[str] = field(default_factory=Counter)
    partners: Counter[tuple[str, str]] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    tokens_asked: int = 0
    tokens_answered: int = 0
    made_with: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    pairs: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def add(self, record: Mapping[str, Any]) -> None:
        """Take a record into account."""
        for name, measure in MEASURES.items():
            both = measure.of(record, "before"), measure.of(record, "after")
            self.values.setdefault(name, []).append(both)
        reasons = tuple(record["verdict"]["reasons"])
        self.pairs.append((record["id"], reasons))
        if len(reasons) == 1:
            self.alone[reasons[0]] += 1
        if record["verdict"]["kept"]:
            for contact in record["contacts"]:
                self.partners.update(_partners(contact["part_a"], contact["part_b"]))
        for answer in record["answers"]:
            self.answers += 1
            self.tokens_asked += answer["prompt_tokens"] or 0
            self.tokens_answered += answer["completion_tokens"] or 0
            self.repairs.update({repair["kind"] for repair in answer["repairs"]})
        made = record["provenance"]
        body = made["body_model"] or made["body"]
        self.made_with[(made["apu_losses"], made["preset"] or "not fitted", body or "-")] += 1

    def histograms(self) -> dict[str, Histogram]:
        """Return the histogram of each measure, by its name in `MEASURES`."""
        found = {}
        for name, measure in MEASURES.items():
            values = self.values.get(name, [])
            before = [b for b, _ in values] if measure.both else []
            found[name] = histogram(before, [a for _, a in values])
        return found


def _partners(first: str, second: str) -> Iterable[tuple[str, str]]:
    order = {part: place for place, part in enumerate(PARTS)}
    for one in first.split("/"):
        for other in second.split("/"):
            low, high = sorted((one, other), key=lambda part: (order.get(part, len(order)), part))
            yield low, high


def effective_kinds(counts: Mapping[str, int]) -> float:
    """Return how many equally frequent kinds would be as diverse: exp of the entropy; 0 where there are none.

    Example:
        >>> effective_kinds({"hug": 5, "handshake": 5})
        2.0
    """
    numbers = np.array([n for n in counts.values() if n > 0], dtype=float)
    if not len(numbers):
        return 0.0
    shares = numbers / numbers.sum()
    return round(float(np.exp(-(shares * np.log(shares)).sum())), 10)
