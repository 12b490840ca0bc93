"""What a pair is judged by: named rules, each with its number and its threshold.

A rule either decides whether a pair is kept, or is looked at only; both are in the record, so that a data set
can be judged again without fitting anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

Finding = dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """Thresholds. Those of a fit's measures are `apu_losses.fitting.result.findings.Limits`; not tuned.

    Args:
        paper_pixels: mean keypoint distance at 512 scale, of the worse person (the paper's filter).
        paper_loss: the weighted keypoint term of the last stage (the filter's other reading); looked at only,
            as its scale is the preset's.
        shape: largest shape coefficient, in standard deviations.
        age: how far an age may lie outside of 0 to 1.
        nearest: metres that a person is at least in front of the camera.
        apart: metres between the two people at most, in depth.
        pixels: of a person's keypoints in the image at least, along the longer side.
    """

    paper_pixels: float = 20.0
    paper_loss: float = 20.0
    shape: float = 5.0
    age: float = 0.05
    nearest: float = 0.2
    apart: float = 2.0
    pixels: float = 48.0

    @classmethod
    def changed(cls, values: Mapping[str, float]) -> Rules:
        """Return the rules with other thresholds.

        Raises:
            ValueError: an unknown rule, or a threshold that is no number.
        """
        known = {entry.name for entry in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"unknown rule {name!r}; known are {', '.join(sorted(known))}")
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(f"{name} must be a number, got {value!r}")
        return cls(**{name: float(value) for name, value in values.items()})


def finding(rule: str, value: float | None, limit: float, right: bool, decides: bool = True) -> Finding:
    """Return one look at a pair; a value that is not finite could not be measured."""
    number = None if value is None or not math.isfinite(value) else float(value)
    return {"rule": rule, "value": number, "limit": float(limit), "right": bool(right), "decides": decides}


def body_findings(record: Mapping[str, Any], rules: Rules | None = None) -> list[Finding]:
    """Look at what parameters and keypoints alone say; of any record with ``person_a`` and ``person_b``.

    Rules that need what is not there (no shape, no keypoints) are left out.

    Returns:
        findings of ``shape``, ``age``, ``depth``, ``apart`` and ``pixels``.
    """
    rules = rules or Rules()
    people = [record["person_a"], record["person_b"]]
    given = [person.get("parameters") or {} for person in people]
    found = []
    shapes = [np.abs(p["betas"]).max() for p in given if len(p.get("betas", ()))]
    if shapes:
        found.append(finding("shape", max(shapes), rules.shape, max(shapes) <= rules.shape))
    ages = [p["age"][0] for p in given if len(p.get("age", ()))]
    if ages:
        outside = max(max(-age, age - 1, 0.0) for age in ages)
        found.append(finding("age", outside, rules.age, outside <= rules.age))
    depths = [p["transl"][2] for p in given if len(p.get("transl", ())) == 3]
    if depths:
        found.append(finding("depth", min(depths), rules.nearest, min(depths) >= rules.nearest))
    if len(depths) == 2:
        apart = abs(depths[0] - depths[1])
        found.append(finding("apart", apart, rules.apart, apart <= rules.apart))
    boxes = [person["box"] for person in people if person.get("box")]
    if boxes:
        smallest = min(max(box[2] - box[0], box[3] - box[1]) for box in boxes)
        found.append(finding("pixels", smallest, rules.pixels, smallest >= rules.pixels))
    return found


def verdict(findings: Iterable[Finding], paper: str) -> dict[str, Any]:
    """Return what a record says: kept or not, and the names of the rules that spoke against it."""
    found = list(findings)
    reasons = sorted(f["rule"] for f in found if f["decides"] and not f["right"])
    return {"kept": not reasons, "reasons": reasons, "findings": found, "paper": paper}
