"""How large people are, where somebody said so: a child that looks like an adult far away is brought near.

Somebody of half the size at half the distance makes the same picture, so neither keypoints nor an estimator
tell a child from an adult who stands farther away. A word does, and so does whom they touch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.scene.types import AGE_GROUPS, Scene, ScenePerson

STATURES: Mapping[str, tuple[float, float, float]] = {
    "adult": (1.45, 1.70, 2.05),
    "teenager": (1.35, 1.60, 1.85),
    "child": (0.90, 1.20, 1.50),
    "infant": (0.50, 0.75, 1.00),
}
"""Metres: the shortest, the usual and the tallest of an age group; WHO's growth charts, third to 97th
percentile: infants to 2 years, children from 2 to 12, teenagers to 17."""
_USUAL_AGE = {"adult": 0.0, "teenager": 0.0}
"""The body's age of groups that are built like adults; that of the others follows from their stature."""
FARTHER = 1.6
"""Of two people who touch, one who starts this many times as far away may be somebody of another size. On
photographs people of one size start up to 1.47 times as far away as those whom they touch."""
SAY_SO = "say so (`--person`, or age_group in the scene)"
"""How a note ends that asks for a word."""

Params = dict[str, Tensor]


def parse_said(words: str) -> tuple[str, float | None]:
    """Return age group and stature of a person's words: ``"child"``, ``"120cm"``, ``"child 1.2m"``.

    Raises:
        ValueError: words that say neither.

    Example:
        >>> parse_said("child"), parse_said("120cm")
        (('child', None), ('', 1.2))
    """
    group, stature = "", None
    for word in words.replace(",", " ").lower().split():
        if word in AGE_GROUPS:
            group = word
            continue
        unit = "cm" if word.endswith("cm") else "m" if word.endswith("m") else ""
        try:
            stature = float(word.removesuffix(unit)) * (0.01 if unit == "cm" else 1.0)
        except ValueError:
            raise ValueError(
                f"{words!r} says no age group ({', '.join(AGE_GROUPS)}) and no stature such as 1.2m or 120cm"
            ) from None
    if not group and stature is None:
        raise ValueError(f"nothing is said of the person; say one of {', '.join(AGE_GROUPS)}, or 1.2m")
    return group, stature


def with_people_said(scene: Scene, said: Mapping[int, str]) -> Scene:
    """Return the scene with what is said of its people's size: ``{1: "child", 0: "1.8m"}``.

    Raises:
        ValueError: a person who is not there, or words that say nothing.
    """
    people = list(scene.people)
    for person, words in said.items():
        if not 0 <= person < len(people):
            raise ValueError(
                f"{scene.name}: {words!r} is said of person {person}, but the scene has {len(people)} people "
                f"(0 to {len(people) - 1})"
            )
        group, stature = parse_said(words)
        own = people[person]
        people[person] = replace(
            own, age_group=group or own.age_group, stature=own.stature if stature is None else stature
        )
    return replace(scene, people=people)


def usual_age(body: BodyModel, person: ScenePerson) -> float | None:
    """Return the body's age (0 adult, 1 infant) that goes with what was said; None where nothing was."""
    if "age" not in body.parameter_specs or not (person.age_group or person.stature is not None):
        return None
    if person.age_group in _USUAL_AGE:
        return 0.0
    stature = STATURES[person.age_group][1] if person.stature is None else person.stature
    ages = torch.tensor([[0.0], [1.0]], dtype=torch.float32, device="cpu")
    grown, small = _statures(body, {"age": ages}).tolist()
    if not person.age_group and stature >= STATURES["adult"][0]:
        return 0.0
    return float(min(max((grown - stature) / (grown - small), 0.0), 1.0))


def as_said(body: BodyModel, scenes: Sequence[Scene], params: Params) -> tuple[Params, list[tuple[str, ...]]]:
    """Return starts in which people have the size that somebody said, as much nearer or farther away.

    A start whose stature goes with what was said stays as it is. Otherwise the stature is the said one; of an
    age group, the one at which the person is as far away as those they touch, as far as the group has it, or
    the usual one. The picture stays the same but for proportions.

    Args:
        body: of the SMPL family, or another with ``betas`` and ``age``; of others nothing changes.
        scenes: whose people are the rows.
        params: ``(N, size)`` by name.

    Returns:
        the starts, and for each scene what was done or may be wrong, in words.
    """
    if "transl" not in params or "betas" not in params:
        return params, [()] * len(scenes)
    with torch.no_grad():
        depth = body.pose(params).joints[:, 0, 2]
        stature = body.stature(params)
    changed = {name: value.clone() for name, value in params.items()}
    notes: list[tuple[str, ...]] = []
    first = 0
    for scene in scenes:
        own: list[str] = []
        rows = range(first, first + len(scene.people))
        for number, person in enumerate(scene.people):
            row, tall = first + number, float(stature[first + number])
            wanted = _wanted(person, tall, _beside(scene, number, depth[rows.start : rows.stop]))
            if wanted is not None:
                _resize(body, changed, row, person, wanted)
                own.append(f"person {number} starts {wanted:.2f} m tall where the start had {tall:.2f}")
        own += _doubts(scene, depth[rows.start : rows.stop].tolist())
        notes.append(tuple(own))
        first += len(scene.people)
    return changed, notes


def _beside(scene: Scene, person: int, depth: Tensor) -> float | None:
    """Return how far somebody is from the camera, as a share of it, whom this person touches and who is grown
    or of whom nothing was said; None: they touch nobody.
    """
    others = {
        other
        for c in scene.contacts
        for one, other in ((c.person_a, c.person_b), (c.person_b, c.person_a))
        if one == person != other and scene.people[other].age_group in ("", "adult")
    }
    if not others or not bool((depth > 0).all()):
        return None
    return float(depth[sorted(others)].mean() / depth[person])


def _wanted(person: ScenePerson, stature: float, beside: float | None) -> float | None:
    """Return the stature that the start should have, metres; None where it may stay."""
    if person.stature is not None:
        return person.stature if abs(person.stature - stature) > 0.005 else None
    if not person.age_group:
        return None
    shortest, usual, tallest = STATURES[person.age_group]
    if shortest <= stature <= tallest:
        return None
    return usual if beside is None else min(max(stature * beside, shortest), tallest)


def _resize(body: BodyModel, params: Params, row: int, person: ScenePerson, wanted: float) -> None:
    """Make one person as tall, and put them as much nearer as they get shorter."""
    own = {name: value[row : row + 1].clone() for name, value in params.items()}
    with torch.no_grad():
        before, place = body.stature(own), body.pose(own).joints[:, 0]
        if "age" in own:
            # children have other proportions; what the age cannot give, the shape does
            ages = own["age"].new_tensor([[0.0], [1.0]])
            both = {name: value.repeat(2, 1) for name, value in own.items()} | {"age": ages}
            grown, small = body.stature(both).tolist()
            built = person.age_group in _USUAL_AGE or (
                not person.age_group and wanted >= STATURES["adult"][0]
            )
            own["age"][:] = 0.0 if built else min(max((grown - wanted) / (grown - small), 0.0), 1.0)
        now = body.stature(own)
        taller = {**own, "betas": own["betas"].clone()}
        taller["betas"][:, 0] += 1.0
        own["betas"][:, 0] += (wanted - now) / (body.stature(taller) - now)
        own["transl"] += place * (wanted / before) - body.pose(own).joints[:, 0]
    for name in ("age", "betas", "transl"):
        if name in params:
            params[name][row] = own[name][0]


def _doubts(scene: Scene, depth: Sequence[float]) -> list[str]:
    """Say of whom it should be said how large they are."""
    found = []
    for a, b in sorted({(c.person_a, c.person_b) for c in scene.contacts if c.person_a != c.person_b}):
        far, near = (a, b) if depth[a] > depth[b] else (b, a)
        unsaid = not any(p.age_group or p.stature is not None for p in (scene.people[a], scene.people[b]))
        if unsaid and depth[near] > 0 and depth[far] > FARTHER * depth[near]:
            found.append(
                f"person {far} touches person {near}, but starts {depth[far] - depth[near]:.1f} m behind: "
                f"if person {far} is a child {SAY_SO}"
            )
    return found


def _statures(body: BodyModel, params: Params) -> Tensor:
    count = len(next(iter(params.values())))
    like = params["age"]
    full = {}
    for name, spec in body.parameter_specs.items():
        default = torch.as_tensor(spec.default, dtype=like.dtype, device=like.device)
        full[name] = default.expand(spec.size).repeat(count, 1)
    dtype = getattr(body, "dtype", torch.float32)
    full = {name: value.to(body.faces.device, dtype) for name, value in (full | params).items()}
    with torch.no_grad():
        found: Tensor = body.stature(full)
    return found
