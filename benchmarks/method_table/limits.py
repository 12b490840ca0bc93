"""What keeps contacts of answers from being worth more: one thing at a time replaced by the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from apu_losses.fitting import Preset
from apu_losses.synthetic.annotator import AnnotatorNoise
from apu_losses.synthetic.observation_noise import ObservationNoise
from method_table.contacts import ContactSource
from method_table.methods import Method, without_contact
from method_table.report import markdown, number, with_interval
from method_table.scores import SceneScores
from method_table.statistics import difference, mean_of, reduction

_SEEN = ObservationNoise()


@dataclass(frozen=True)
class Limit:
    """One row: what is told of contacts, and what is seen of the scene."""

    key: str
    label: str
    contacts: ContactSource
    observed: ObservationNoise = _SEEN


def limits(ours: ContactSource) -> list[Limit]:
    """Return the rows; the first is the table as it is."""
    never_wrong = AnnotatorNoise().scaled(0)
    return [
        Limit("as_is", "as it is: one answer", ours),
        Limit("fused", "six answers fused", replace(ours, fused=True)),
        Limit("no_errors", "an annotator without errors", replace(ours, annotator=never_wrong)),
        Limit("light_truth", "true region pairs, at an answer's weight", replace(ours, source="light truth")),
        Limit("truth", "true region pairs, at full weight", ContactSource("truth")),
        Limit("depth", "true depth of the start", ours, replace(_SEEN, shared_depth=0.0, own_depth=0.0)),
        Limit("view", "true field of view", ours, replace(_SEEN, fov_low=60.0, fov_high=60.0)),
        Limit(
            "pose", "true poses and orientations of the start", ours,
            replace(_SEEN, pose=0.0, pose_shrink=0.0, orientation=0.0),
        ),
        Limit(
            "keypoints", "keypoints without errors", ours,
            replace(
                _SEEN, definition=0.0, pixel=0.0, heavy=0.0, dropped=0.0, dropped_hidden=0.0, swapped=0.0
            ),
        ),
    ]  # fmt: skip


def methods_of(preset: Preset, rows: list[Limit]) -> list[Method]:
    """Return the start, the fit without contact and the fit of each row; what rows share stands once."""
    found: dict[str, Method] = {}
    for row in rows:
        seen = "" if row.observed == _SEEN else f"_{row.key}"
        found[f"initial{seen}"] = Method(f"initial{seen}", "start", None, observed=row.observed)
        found[f"no_contact{seen}"] = Method(
            f"no_contact{seen}", "without", without_contact(preset), observed=row.observed
        )
        found[row.key] = Method(row.key, row.label, preset, row.contacts, row.observed)
    return list(found.values())


def limits_table(rows: list[Limit], scores: Mapping[str, list[SceneScores]]) -> str:
    """Return the table; margins are paired by scene."""
    lines = []
    for row in rows:
        seen = "" if row.observed == _SEEN else f"_{row.key}"
        start, without, own = (scores[key] for key in (f"initial{seen}", f"no_contact{seen}", row.key))
        lines.append([
            row.label,
            *(number(1000 * mean_of(s, "joint_pa").mean, 1) for s in (start, without, own)),
            with_interval(difference(own, without, "joint_pa"), 1000, 1),
            with_interval(reduction(own, without, "joint_pa"), 100, 1),
            number(1000 * mean_of(own, "pa").mean, 1),
            number(100 * mean_of(own, "true_contact").mean, 1),
        ])  # fmt: skip
    head = ["with the truth of", "start, mm", "without contact, mm", "with contacts, mm", "to without, mm"]
    return markdown([*head, "under without, %", "each person, mm", "true contacts apart, cm"], lines)
