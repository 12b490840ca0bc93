"""What a fit did, as lines of text: each measurement before and after."""

from __future__ import annotations

from apu_contacts.regions import REGIONS
from apu_losses.fitting.result.measures import SceneMetrics
from apu_losses.fitting.result.record import FitResult
from apu_losses.fitting.scene.types import Scene

MAX_CONTACTS = 12
"""Scenes with more region pairs get their shares only, not a line for each pair."""

Row = tuple[str, str, str]


def measurement_rows(scene: Scene, result: FitResult) -> list[Row]:
    """Measurement, at the start, and fitted: contact, keypoints, penetration, and what it cost."""
    before, after = result.before, result.after
    rows: list[Row] = []
    names = contact_names(scene)
    if len(names) <= MAX_CONTACTS:
        for name, start, end in zip(names, before.contact_distance, after.contact_distance, strict=True):
            rows.append((name, _cm(start), _cm(end)))
    if names:
        for limit in (0.01, 0.02, 0.05):
            label = f"region pairs within {100 * limit:.0f} cm"
            rows.append((label, _share(before, limit), _share(after, limit)))
    for index, person in enumerate(scene.people):
        who = person.label or f"person {index}"
        rows.append(
            (f"keypoint error, {who}", _px(before.keypoint_error[index]), _px(after.keypoint_error[index]))
        )
    rows.append(("vertices inside the other body", str(before.inside_vertices), str(after.inside_vertices)))
    rows.append(("their depth, 95th percentile", _cm(before.depth_p95), _cm(after.depth_p95)))
    for index, person in enumerate(scene.people):
        who = person.label or f"person {index}"
        change = f"{after.pose_change_rms[index]:.0f} deg rms, {after.pose_change_max[index]:.0f} largest"
        rows.append((f"pose change, {who}", "", change))
        rows.append((f"stature change, {who}", "", f"{100 * after.stature_change[index]:+.1f} cm"))
        if after.shape_change:
            label = f"largest change of a shape coefficient, {who}"
            rows.append((label, "", f"{after.shape_change[index]:.1f}"))
    return rows


def contact_names(scene: Scene) -> list[str]:
    """Return the region pairs of all contacts of a scene in the order of
    ``SceneMetrics.contact_distance``.
    """
    return [
        f"{REGIONS[a].name} to {REGIONS[b].name}"
        for contact in scene.contacts
        for a, b in contact.contacts.merged().pairs
    ]


def _share(metrics: SceneMetrics, limit: float) -> str:
    near = sum(distance <= limit for distance in metrics.contact_distance)
    return f"{near} of {len(metrics.contact_distance)}"


def _cm(metres: float) -> str:
    return f"{100 * metres:.1f} cm"


def _px(pixels: float) -> str:
    return f"{pixels:.1f} px"
