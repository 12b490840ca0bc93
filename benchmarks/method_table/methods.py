"""The rows of the method table: a preset of the fit, and where its contacts come from.

All rows of a preset share its priors, iterations and stopping rules: `without contact` and the heuristic are
the same preset with the contact term taken out or exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from apu_losses.fitting import Preset, load_preset
from apu_losses.synthetic.annotator import AnnotatorNoise
from apu_losses.synthetic.observation_noise import ObservationNoise
from method_table.contacts import ContactSource

Start = Literal["estimate", "keypoints", "contacts"]


@dataclass(frozen=True)
class Method:
    """One row.

    Args:
        key: short, for file names.
        label: for people.
        preset: of the fit; None: the initial estimate, not fitted.
        contacts: where the contacts come from.
        observed: the dials of the detections.
        start: where the bodies start: on the simulated ``"estimate"``, from the ``"keypoints"`` alone, or
            from the keypoints and what the method's contacts say of depth (``"contacts"``), as in `apu run`.
    """

    key: str
    label: str
    preset: Preset | None
    contacts: ContactSource = field(default_factory=lambda: ContactSource("none"))
    observed: ObservationNoise = field(default_factory=ObservationNoise)
    start: Start = "estimate"

    def settings(self) -> dict[str, object]:
        """All that its figures depend on, apart from the scenes and the seed; ready for JSON."""
        return {
            "preset": None
            if self.preset is None
            else {**self.preset.to_dict(), "name": "", "description": ""},
            # what is said of answers does not matter where there is none
            "contacts": asdict(self.contacts)
            if self.contacts.source in ("answer", "light truth")
            else self.contacts.source,
            "observed": asdict(self.observed),
            # what was kept before there was a choice stays known
            **({} if self.start == "estimate" else {"start": self.start}),
        }


def without_contact(preset: Preset) -> Preset:
    """Return a preset with its contact term taken out."""
    return preset.without("contact")


def with_heuristic(preset: Preset, weight: float = 1e4) -> Preset:
    """Return a preset with the minimum distance between the two people in place of its contact term.

    Args:
        weight: per square metre; BUDDI's.
    """
    plain = without_contact(preset).weighted(minimum_distance=weight)
    return Preset(
        f"{preset.name} heuristic",
        {**plain.terms, "minimum_distance": {"between": "people"}},
        plain.stages,
        plain.filter_pixels,
    )


def main_rows(preset: Preset, ours: ContactSource) -> list[Method]:
    """Return the paper's Tables 2 and 3, without the rows that need a prior of two people.

    Args:
        ours: how automatic maps are made of one answer; a further row fuses six.
    """
    return [
        Method("initial", "initial estimate", None),
        Method("no_contact", "optimised, without contact", without_contact(preset)),
        Method("automatic", "automatic contact maps (ours)", preset, ours),
        Method("fused", "automatic, six answers fused (ours)", preset, replace(ours, fused=True)),
        Method("truth", "true contact maps (ceiling)", preset, ContactSource("truth")),
        Method("heuristic", "minimum-distance heuristic", with_heuristic(preset)),
    ]


def keypoint_rows(preset: Preset, ours: ContactSource) -> list[Method]:
    """Return the start, and the fits without contact and to automatic maps, from keypoints alone and from the
    estimator beside them.
    """
    rows = []
    starts: tuple[tuple[Start, str], ...] = (
        ("estimate", "from the estimate"),
        ("keypoints", "keypoints alone"),
    )
    for start, said in starts:
        suffix = "" if start == "estimate" else "_keypoints"
        rows += [
            Method(f"initial{suffix}", f"start, {said}", None, start=start),
            Method(f"no_contact{suffix}", f"without contact, {said}", without_contact(preset), start=start),
            Method(f"automatic{suffix}", f"automatic contact maps, {said}", preset, ours, start=start),
        ]
    known = "keypoints and answers"
    return [
        *rows,
        Method("initial_contacts", f"start, {known}", None, ours, start="contacts"),
        Method("automatic_contacts", f"automatic contact maps, {known}", preset, ours, start="contacts"),
    ]


def estimator_rows(preset: Preset, ours: ContactSource, factors: Mapping[int, float]) -> list[Method]:
    """Return starts of several qualities, by their error in mm, and what contacts make of each."""
    keys = ("initial", "no_contact", "automatic", "truth")
    rows = [row for row in main_rows(preset, ours) if row.key in keys]
    return [
        replace(
            row,
            key=f"{row.key}_{error}",
            label=f"{error} mm: {row.label}",
            observed=ObservationNoise().estimated(factor),
        )
        for error, factor in factors.items()
        for row in rows
    ]


def ablation_rows(preset: Preset, ours: ContactSource) -> list[Method]:
    """One choice of the automatic maps changed at a time."""
    other_over = "pairs" if preset.terms["contact"].get("over") == "parts" else "parts"
    rows = [
        Method(f"sides_{sides.replace(' ', '_')}", f"sides {sides}", preset, replace(ours, sides=sides))
        for sides in ("as told", "paper", "posterior")
        if sides != ours.sides
    ]
    rows += [
        Method(
            f"order_{order.replace(' ', '_')}", f"person order {order}", preset, replace(ours, order=order)
        )
        for order in ("decided", "either", "as told", "wrong")
        if order != ours.order
    ]
    return [
        *rows,
        Method("fused", "six answers fused", preset, replace(ours, fused=True)),
        Method(
            "hard", "hard weights" if ours.soft else "soft weights", preset, replace(ours, soft=not ours.soft)
        ),
        Method(
            f"over_{other_over}",
            f"contact over {other_over}",
            preset.with_options("contact", over=other_over),
            ours,
        ),
        Method("trust_1", "answers trusted like annotations", preset, replace(ours, trust=1.0)),
        Method(
            "not_robust",
            "without the robust contact weight",
            preset.with_options("contact", robust=None),
            ours,
        ),
    ]


def sweep_rows(preset: Preset, ours: ContactSource, factors: Sequence[float]) -> list[Method]:
    """Return the annotator's rates of error times each factor."""
    return [
        Method(
            f"annotator_{factor:g}",
            f"annotator's errors x {factor:g}",
            preset,
            replace(ours, annotator=AnnotatorNoise().scaled(factor)),
        )
        for factor in factors
        if factor != 1
    ]


def preset_rows(ours: ContactSource, names: Sequence[str]) -> list[Method]:
    """Every preset on the same automatic maps."""
    return [
        Method(
            f"preset_{name}",
            f"preset {name}",
            load_preset(name),
            ours if "contact" in load_preset(name).terms else ContactSource("none"),
        )
        for name in names
    ]
