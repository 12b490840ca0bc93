"""The numbers of a report: bars that hold every pair once, reasons, partners, and which pairs are shown."""

from __future__ import annotations

import math

import pytest
from pair_records import record

from apu_losses.report.choose import choose_pairs
from apu_losses.report.numbers import BINS, MEASURES, Numbers, effective_kinds, histogram


def test_every_value_is_in_one_bar() -> None:
    values = [0.0, 0.3, 0.999, 1.0, 1.001, 7.4, None, 1e9]
    found = histogram([], values)
    assert sum(found.after) == 7 == found.measured and found.missing == 1 and found.before == []
    width = found.edges[1]
    for place, count in enumerate(found.after[:-1]):
        low, high = place * width, (place + 1) * width
        assert count == sum(v is not None and low <= v < high for v in values)
    assert found.median_after == 1.0


def test_a_long_tail_does_not_flatten_the_bars() -> None:
    values = [float(i % 10) + 0.5 for i in range(990)] + [1e6] * 10
    found = histogram(values, values)
    assert found.edges[-1] < 20 and found.above and found.after[-1] >= 10 and found.before == found.after


@pytest.mark.parametrize("values", [[], [None, None], [0.0, 0.0]])
def test_nothing_and_zero_are_drawn_too(values: list[float | None]) -> None:
    found = histogram([], values)
    assert len(found.after) == BINS and sum(found.after) == sum(v is not None for v in values)
    assert all(low < high for low, high in zip(found.edges, found.edges[1:], strict=False))


def test_whole_numbers_have_bars_of_whole_numbers() -> None:
    found = histogram([], [float(n) for n in (0, 1, 1, 2, 3)])
    assert found.edges[:4] == [0, 1, 2, 3] and found.after[:4] == [1, 2, 1, 1]


def test_records_are_counted() -> None:
    rows = [record(n, kept=n != 4) for n in range(6)]
    numbers = Numbers()
    for row in rows:
        numbers.add(row)
    kept = [row for row in rows if row["verdict"]["kept"]]
    (partners,) = numbers.partners.items()
    assert set(partners[0]) == {"hand", "back"}
    assert partners[1] == sum(len(row["contacts"]) for row in kept) > 0
    assert numbers.answers == 6 and numbers.tokens_asked == 6 * 900
    assert numbers.alone["paper pixels"] == sum(r["verdict"]["reasons"] == ["paper pixels"] for r in rows)
    for row in rows:
        errors = row["after"]["keypoint_error"]
        assert MEASURES["keypoints"].of(row, "after") == max(errors)
        assert MEASURES["inside"].of(row, "after") is None  # nobody could measure it
    assert numbers.histograms()["inside"].missing == 6


def test_diversity_is_a_number_of_kinds() -> None:
    assert effective_kinds({}) == 0 and effective_kinds({"a": 3}) == 1
    assert effective_kinds(dict.fromkeys("abcd", 5)) == pytest.approx(4)
    skewed = effective_kinds({"a": 3, "b": 1})
    assert skewed == pytest.approx(math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))))


def test_every_reason_is_shown_and_half_were_kept() -> None:
    pairs = [(f"kept {n}", ()) for n in range(100)]
    pairs += [(f"often {n}", ("often",)) for n in range(50)]
    pairs += [("once", ("seldom", "often")), ("never so", ("other",))]
    chosen = choose_pairs(pairs, 20)
    assert len(chosen) == len(set(chosen)) == 20
    assert {"once", "never so"} <= set(chosen)
    assert 8 <= sum(name.startswith("kept") for name in chosen) <= 18
    assert choose_pairs(list(reversed(pairs)), 20) == chosen
    assert set(choose_pairs(pairs, 1000)) == {name for name, _ in pairs}
    assert choose_pairs(pairs, 0) == choose_pairs([], 5) == []
