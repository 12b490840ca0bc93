"""Fit what one picture leaves open as hypotheses, and keep the end that explains the scene best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from apu_losses.bodies.protocol import BodyModel
from apu_losses.fitting.result.record import DepthChoice, FitResult
from apu_losses.fitting.scene.types import InitialBody, Scene
from apu_losses.fitting.solve.stage import Preset
from apu_losses.fitting.start.depths import DepthHypothesis, depth_hypotheses

BRIEF = 3
"""Steps of each stage after which the hypotheses are compared, to see which are worth a whole fit."""
CLEARLY = 0.9
"""A hypothesis is kept only where its loss is under this share of that of the start as it was given."""

FitAll = Callable[[Sequence[Scene]], Sequence[FitResult]]


@dataclass(frozen=True)
class Chosen:
    """The end that was kept of a scene.

    Attributes:
        result: with what was tried in its ``depth``.
        scene: as it was fitted, with the start of the hypothesis.
        changed: whether that is another start than the given one.
    """

    result: FitResult
    scene: Scene
    changed: bool


def briefly(preset: Preset) -> Preset:
    """Return the preset with `BRIEF` steps a stage, enough to see which hypotheses are hopeless."""
    stages = tuple(replace(s, max_iterations=min(s.max_iterations, BRIEF)) for s in preset.stages)
    return replace(preset, stages=stages, hypotheses=1)


def choose_depths(
    body: BodyModel,
    scenes: Sequence[Scene],
    results: Sequence[FitResult],
    count: int,
    fit_briefly: FitAll,
    fit: FitAll,
) -> list[Chosen]:
    """Fit the hypotheses of every scene, and keep the better end of each.

    All hypotheses of all scenes are fitted a few steps, as one batch; those of lowest loss to the end.
    The same scene has the same hypotheses in any company. Of equal losses the earlier one is kept. An end
    that breaks more limits than that of the given start (`FitResult.findings`) is not kept, whatever its
    loss: where bodies cannot come apart, less penetration outweighs all that the picture says.

    Args:
        body: that is fitted.
        scenes, results: what was fitted from the start as it was given.
        count: at most so many starts of a scene are fitted to the end, the given one among them.
        fit_briefly, fit: fit scenes by the short and by the whole preset.
    """
    open_ones: dict[int, list[tuple[DepthHypothesis, Scene]]] = {}
    for place, (scene, result) in enumerate(zip(scenes, results, strict=True)):
        if not result.failed:
            others = depth_hypotheses(body, scene, result.start)[1:]
            open_ones[place] = [(other, _from(scene, other.parameters)) for other in others]
    first = _fitted(open_ones, fit_briefly)
    worth = {place: _lowest(open_ones[place], first[place], count - 1) for place in open_ones}
    ends = _fitted(worth, fit)
    return [
        _better(scenes[place], results[place], worth.get(place, []), ends.get(place, []))
        for place in range(len(scenes))
    ]


def _lowest(
    hypotheses: Sequence[tuple[DepthHypothesis, Scene]], ends: Sequence[FitResult], count: int
) -> list[tuple[DepthHypothesis, Scene]]:
    """Return those of lowest loss, the lowest first; of equal ones the earlier."""
    order = sorted(range(len(ends)), key=lambda number: (_loss(ends[number]), number))
    return [hypotheses[number] for number in order[:count]]


def _better(
    scene: Scene,
    given: FitResult,
    hypotheses: Sequence[tuple[DepthHypothesis, Scene]],
    ends: Sequence[FitResult],
) -> Chosen:
    if not hypotheses:
        return Chosen(given, scene, changed=False)
    tried = [("as given", _loss(given), given, scene)]
    tried += [(h.name, _loss(r), r, begun) for (h, begun), r in zip(hypotheses, ends, strict=True)]
    # what was given has an estimator, or a likeliest pose, behind it
    costs = [loss if number == 0 else loss / CLEARLY for number, (_, loss, _, _) in enumerate(tried)]
    broken = [sum(not finding.right for finding in result.findings) for _, _, result, _ in tried]
    order = sorted(range(len(tried)), key=lambda number: (broken[number] > broken[0], costs[number], number))
    best = order[0]
    name, _, result, begun = tried[best]
    margin = costs[order[1]] / costs[best] - 1 if costs[best] > 0 else 0.0
    choice = DepthChoice(name, margin, tuple((tried[number][0], tried[number][1]) for number in order))
    return Chosen(replace(result, scene=given.scene, depth=choice), begun, changed=best != 0)


def _loss(result: FitResult) -> float:
    """Return what a fit ended at; a fit that failed is worse than any."""
    loss = result.stages[-1].loss if result.stages and not result.failed else float("inf")
    return loss if loss == loss else float("inf")


def _fitted(
    wanted: Mapping[int, Sequence[tuple[DepthHypothesis, Scene]]], fit: FitAll
) -> dict[int, list[FitResult]]:
    """Fit all scenes as one list, and give each place its own results."""
    scenes = [scene for place in wanted for _, scene in wanted[place]]
    ended = iter(fit(scenes) if scenes else ())
    return {place: [next(ended) for _ in wanted[place]] for place in wanted}


def _from(scene: Scene, parameters: Mapping[str, object]) -> Scene:
    """Return the scene from another start."""
    people = [
        replace(person, initial=InitialBody({name: value[row] for name, value in parameters.items()}))  # type: ignore[index]
        for row, person in enumerate(scene.people)
    ]
    return replace(scene, people=people)
