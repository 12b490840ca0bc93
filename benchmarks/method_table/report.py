"""The method table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from apu_losses.fitting.result.verdict import HELD
from method_table.methods import Method
from method_table.scores import SceneScores
from method_table.statistics import Interval, column, difference, mean_of, reduction

Scores = Mapping[str, Sequence[SceneScores]]

HELD_LIMIT = 0.5
"""Share of the weight of its contacts that a scene must hold; chosen on the development types."""

COLUMNS: tuple[tuple[str, str, float, int], ...] = (
    ("joint PA-MPJPE, mm", "joint_pa", 1000.0, 1),
    ("people exchanged, mm", "joint_pa_exchanged", 1000.0, 0),
    ("PA-MPJPE, mm", "pa", 1000.0, 1),
    ("true contacts apart, cm", "true_contact", 100.0, 1),
    ("within 2 cm, %", "within_2cm", 100.0, 0),
    ("PCC, %", "pcc", 100.0, 0),
    ("part F1, %", "f1", 100.0, 0),
    ("p95 depth, cm", "depth_p95", 100.0, 1),
)
"""Heading, score, factor, decimals."""


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def number(value: float, decimals: int) -> str:
    """Return fixed decimals; a dash for what could not be measured."""
    return "-" if np.isnan(value) else f"{value:.{decimals}f}"


def with_interval(value: Interval, factor: float, decimals: int) -> str:
    """``mean [low, high]``."""
    low, high = number(factor * value.low, decimals), number(factor * value.high, decimals)
    return f"{number(factor * value.mean, decimals)} [{low}, {high}]"


def mean_table(
    methods: Sequence[Method],
    scores: Scores,
    keep: Sequence[bool] | None = None,
    *,
    compared: str | None = None,
) -> str:
    """One row a method: means over scenes, the first column with its interval.

    Args:
        keep: the scenes to average over; all if None.
        compared: key of a method; a last column then has the paired difference to it.
    """
    head = ["method", *(title for title, *_ in COLUMNS)]
    shown = [m for m in methods if m.key in scores]
    name = next((m.label for m in methods if m.key == compared), "")
    if compared in scores:
        head.append(f"difference to: {name}, mm")
    rows = []
    for method in shown:
        own = scores[method.key]
        row = [method.label]
        for i, (_, score, factor, decimals) in enumerate(COLUMNS):
            mean = mean_of(own, score, keep)
            row.append(
                with_interval(mean, factor, decimals) if i == 0 else number(factor * mean.mean, decimals)
            )
        if compared is not None and compared in scores:
            apart = difference(own, scores[compared], "joint_pa", keep)
            row.append("" if method.key == compared else with_interval(apart, 1000, 1))
        rows.append(row)
    return markdown(head, rows)


def type_table(methods: Sequence[Method], scores: Scores) -> str:
    """Joint PA-MPJPE by interaction type, and the mean over types."""
    shown = [m for m in methods if m.key in scores]
    first = scores[shown[0].key]
    types = sorted({s.interaction for s in first})
    rows, means = [], []
    for interaction in types:
        of_type = [s.interaction == interaction for s in first]
        values = [1000 * float(np.nanmean(column(scores[m.key], "joint_pa", of_type))) for m in shown]
        means.append(values)
        rows.append([interaction, str(sum(of_type)), *(number(v, 0) for v in values)])
    rows.append(["**mean over types**", str(len(first)), *(number(v, 1) for v in np.mean(means, 0))])
    return markdown(["interaction", "scenes", *(m.label for m in shown)], rows)


def margins(scores: Scores, keep: Sequence[bool] | None = None, of: str | None = None) -> str:
    """By what share automatic maps lie under the rows above them, with intervals.

    Args:
        keep: the scenes that count; all if None.
        of: the key of a row, where only its own margins are wanted.
    """
    rows = []
    for one, other in (
        ("automatic", "initial"),
        ("automatic", "no_contact"),
        ("automatic", "heuristic"),
        ("fused", "initial"),
        ("fused", "no_contact"),
        ("fused", "automatic"),
        ("truth", "automatic"),
        ("truth", "fused"),
        ("no_contact", "initial"),
        ("heuristic", "no_contact"),
    ):
        if one in scores and other in scores and of in (None, one):
            less, types = (
                reduction(scores[one], scores[other], "joint_pa", keep, by_type=by_type)
                for by_type in (False, True)
            )
            apart = difference(scores[one], scores[other], "joint_pa", keep)
            order = "yes" if apart.high < 0 else "reversed" if apart.low > 0 else "not separated"
            low, high = number(100 * types.low, 1), number(100 * types.high, 1)
            rows.append(
                [
                    f"{one} under {other}",
                    with_interval(less, 100, 1),
                    f"[{low}, {high}]",
                    with_interval(apart, 1000, 1),
                    order,
                ]
            )
    return markdown(["rows", "less, %", "by type, %", "difference, mm", "in this order?"], rows)


def kept_by(scores: Sequence[SceneScores]) -> list[bool]:
    """Return the scenes that the filter keeps after this method."""
    return [s.kept for s in scores]


def held_by(scores: Sequence[SceneScores]) -> list[bool]:
    """Those among them whose contacts held: half of their weight and more; not those without contacts."""
    return [s.kept and s.held >= HELD_LIMIT for s in scores]


def _held_part(shown: Sequence[Method], scores: Scores) -> list[str]:
    """Return what is left where contacts have to hold, for each of the automatic rows by its own fits."""
    text = [
        "## Where contacts held, too",
        f"A second filter beside the paper's: at least {HELD_LIMIT:.0%} of the weight of the answer's "
        f"contacts end within {100 * HELD:g} cm. It keeps no scene whose answer names no contact. Every "
        "row is averaged over the scenes that the named one keeps.",
    ]
    for method in shown:
        if method.key in ("automatic", "fused") and method.key in scores:
            keep = held_by(scores[method.key])
            text += [
                f"**{method.label}** keeps {sum(keep)} of {len(keep)} scenes ({100 * np.mean(keep):.0f} %).",
                mean_table(shown, scores, keep, compared="no_contact"),
                margins(scores, keep, of=method.key),
            ]
    return text


def stopping_table(methods: Sequence[Method], scores: Scores) -> str:
    """How the fits of each method ended."""
    rows = []
    for method in methods:
        if method.key in scores and method.preset is not None:
            own = scores[method.key]
            iterations = np.array([s.iterations for s in own])
            rows.append(
                [
                    method.label,
                    number(float(iterations.mean()), 0),
                    number(100 * float(np.mean([s.limited > 0 for s in own])), 0),
                    str(sum(s.failed for s in own)),
                    number(100 * float(np.mean([s.kept for s in own])), 0),
                    number(float(np.mean([s.seconds for s in own])), 2),
                ]
            )
    head = ["method", "iterations", "at a limit, %", "failed", "kept by the filter, %", "seconds a pair"]
    return markdown(head, rows)


ORDER = ("initial", "no_contact", "heuristic", "automatic", "fused", "truth")
"""Of the main rows, by what they are told."""


def main_report(methods: Sequence[Method], scores: Scores, filter_pixels: float) -> str:
    """Return the main table in all its parts: all scenes, the kept ones, by type, how the fits ended.

    Args:
        methods: those of `main_rows`.
        filter_pixels: the limit of the filter.
    """
    shown = sorted((m for m in methods if m.key in ORDER), key=lambda m: ORDER.index(m.key))
    kept = kept_by(scores["automatic"])
    share = 100 * float(np.mean(kept))
    return "\n\n".join(
        [
            "## All scenes",
            mean_table(shown, scores, compared="no_contact"),
            margins(scores),
            "## The same kept scenes",
            f"The filter (keypoint error under {filter_pixels:g} px for both people) keeps {sum(kept)} of "
            f"{len(kept)} scenes ({share:.0f} %) after the fit to automatic maps. Every row is averaged over "
            "these scenes, whatever the filter says of its own fits.",
            mean_table(shown, scores, kept, compared="no_contact"),
            margins(scores, kept),
            *_held_part(shown, scores),
            "## By interaction type",
            "Joint PA-MPJPE, mm.",
            type_table(shown, scores),
            "## How the fits ended",
            stopping_table(shown, scores),
        ]
    )
