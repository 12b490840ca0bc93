"""Fit a scene from several starts, and keep the end that explains it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product
from math import prod

from apu_losses.fitting.fitter import SceneFitter
from apu_losses.fitting.result.record import FitResult
from apu_losses.fitting.scene.types import Scene
from apu_losses.fitting.start.from_keypoints import KeypointStart

_AT_ONCE = 2
"""People who leave their likeliest start in one combination; more are seldom right together."""


def scenes_from_starts(scene: Scene, starts: Sequence[KeypointStart], count: int = 4) -> list[Scene]:
    """Return the scene from the likeliest combinations of hypotheses, the likeliest first.

    Args:
        scene: whose people's own starts are replaced.
        starts: one a person, from `start_from_keypoints`.
        count: at most so many scenes.

    Raises:
        ValueError: another number of starts than people, or a count below 1.
    """
    if len(starts) != len(scene.people) or count < 1:
        raise ValueError(
            f"starts must be one a person ({len(scene.people)}) and count at least 1, got {len(starts)} and "
            f"{count}"
        )
    people = range(len(starts))
    chosen: list[tuple[int, ...]] = [(0,) * len(starts)]
    for changed in (c for size in range(1, _AT_ONCE + 1) for c in combinations(people, size)):
        for other in product(*(range(1, len(starts[person].hypotheses)) for person in changed)):
            picked = dict(zip(changed, other, strict=True))
            chosen.append(tuple(picked.get(person, 0) for person in people))
    likely = {c: prod(starts[p].hypotheses[h].share for p, h in enumerate(c)) for c in chosen}
    chosen.sort(key=lambda c: (-likely[c], c))
    return [
        replace(
            scene,
            people=[
                replace(person, initial=start.initial(h))
                for person, start, h in zip(scene.people, starts, which, strict=True)
            ],
        )
        for which in chosen[:count]
    ]


def fit_from_starts(
    fitter: SceneFitter, scene: Scene, starts: Sequence[KeypointStart], count: int = 4
) -> FitResult:
    """Fit the scene from its likeliest starts, all as one batch, and return the end of lowest loss.

    An arm in front of a neck and an arm behind it have the same keypoints; contact and penetration tell which
    of them it was.

    Args:
        fitter: with the preset.
        scene: with its contacts.
        starts, count: see `scenes_from_starts`.

    Returns:
        the result; its notes say how many starts were tried and which of them it came from.
    """
    results = fitter.fit(scenes_from_starts(scene, starts, count))
    ended = [r for r in results if not r.failed and r.stages]
    best = min(ended, key=lambda r: r.stages[-1].loss) if ended else results[0]
    number = next(i for i, r in enumerate(results) if r is best) + 1
    return replace(best, notes=(*best.notes, f"from start {number} of {len(results)}, by likelihood"))
