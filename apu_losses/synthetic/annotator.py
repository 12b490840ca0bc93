"""A simulated vision language model: it looks at two people and answers in the paper's JSON, with mistakes.

Its answers are text, to be read by `apu_contacts.parse_answer` like any other. What it knows is what the
interaction *intends* to touch; what it gets wrong has a dial each. Nothing about it is calibrated on real
answers: the table that uses it sweeps its quality instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from apu_losses.synthetic.annotator_words import (
    FREE_WORDS,
    INVENTED_TOUCHING,
    NEIGHBOURS,
    TRUNK_AND_HEAD,
    part_of,
)
from apu_losses.synthetic.dials import check_shares, dial
from apu_losses.synthetic.observe import Observation, scene_rng

Array = NDArray[np.float64]

_WHOLE_ANSWER = 0.8
"""Share of contacts that are flipped in an answer written in the picture's left and right."""
_INVENTED_SLOTS = 6


@dataclass(frozen=True)
class AnnotatorNoise:
    """Every way in which the annotator is wrong; 0 switches one off. `describe` lists them.

    Raises:
        ValueError: a share outside [0, 1], ``flipped`` above 0.8 or a negative number.
    """

    missed: float = dial(0.25, "assumed", "share of the intended contacts that an answer leaves out")
    invented: float = dial(0.35, "assumed", "mean number of contacts in an answer that are made up")
    neighbour: float = dial(
        0.15, "assumed", "share of parts, of either person, taken for a neighbouring part"
    )
    flipped: float = dial(0.3, "paper", "share of contacts with both sides exchanged, most in whole answers")
    flipped_alone: float = dial(0.1, "assumed", "share of sides exchanged on their own")
    people_swapped: float = dial(0.1, "paper", "share of answers that mix up the two people")
    vague_side: float = dial(0.6, "assumed", "share of parts of trunk and head whose side is given as both")
    confidence: float = dial(0.85, "assumed", "mean confidence stated for a contact that is intended")
    confidence_gap: float = dial(0.15, "assumed", "by how much less is stated for one that is made up")
    confidence_spread: float = dial(0.1, "assumed", "standard deviation of the stated confidence")
    variation: float = dial(0.35, "assumed", "share of decisions that a second sample of a model takes anew")

    def __post_init__(self) -> None:
        shares = ("missed", "neighbour", "flipped", "flipped_alone", "people_swapped", "vague_side")
        check_shares(self, (*shares, "confidence", "variation"))
        if self.flipped > _WHOLE_ANSWER:
            raise ValueError(f"flipped can be at most {_WHOLE_ANSWER}, got {self.flipped}")
        if min(self.invented, self.confidence_spread) < 0:
            raise ValueError("invented and confidence_spread must be at least 0")

    @classmethod
    def none(cls) -> AnnotatorNoise:
        """Return an annotator that says what is intended, and nothing else."""
        return cls(0, 0, 0, 0, 0, 0, 0, 1.0, 0, 0, 0)

    def scaled(self, factor: float) -> AnnotatorNoise:
        """Return the same annotator with every rate of error times ``factor``; shares stop at 0.8."""
        rates = ("missed", "neighbour", "flipped", "flipped_alone", "people_swapped")
        changed = {name: min(_WHOLE_ANSWER, factor * getattr(self, name)) for name in rates}
        return replace(self, invented=factor * self.invented, **changed)


@dataclass(frozen=True)
class SimulatedModel:
    """One of several models: its habits relative to the dials, and how it writes.

    Args:
        missed, invented, flipped: factors on the dials of these names.
        fenced: the JSON stands in a code block after a sentence.
        free_words: parts in words that are not on the list ("palm", "belly").
    """

    missed: float = 1.0
    invented: float = 1.0
    flipped: float = 1.0
    fenced: bool = False
    free_words: bool = False


MODELS: Mapping[str, SimulatedModel] = {
    "steady": SimulatedModel(),
    "terse": SimulatedModel(missed=1.3, invented=0.5, fenced=True),
    "talkative": SimulatedModel(missed=0.7, invented=1.6, flipped=1.2, free_words=True),
}
"""The models that answers are drawn from; ``"steady"`` has the dials as they stand."""


def annotate(
    observation: Observation,
    noise: AnnotatorNoise | None = None,
    seed: int = 0,
    model: str = "steady",
    sample: int = 0,
) -> str:
    """Return the answer of one model about one picture, as text.

    Samples of one model share most of its mistakes (`AnnotatorNoise.variation`); models make theirs each on
    their own.

    Args:
        observation: the picture; its left person is the answer's ``person_left``.
        noise: the dials; the defaults if None.
        seed: of the noise; scene and model are mixed into it.
        model: one of `MODELS`.
        sample: number of the sample.

    Raises:
        ValueError: an unknown model.
        KeyError: a place that the annotator has no word for.
    """
    if model not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {model!r}")
    habits = MODELS[model]
    noise = noise or AnnotatorNoise()
    noise = replace(
        noise,
        missed=min(1.0, habits.missed * noise.missed),
        invented=habits.invented * noise.invented,
        flipped=min(_WHOLE_ANSWER, habits.flipped * noise.flipped),
    )
    draws = _Draws(observation, seed, model, sample, noise.variation)
    left = observation.left
    swapped = draws.uniform(1)[0] < noise.people_swapped
    in_picture = draws.uniform(1)[0] < noise.flipped
    contacts = [*_intended(observation, noise, draws), *_invented(noise, draws)]
    flip = _WHOLE_ANSWER if in_picture else (1 - _WHOLE_ANSWER) * noise.flipped / (1 - noise.flipped)
    said = []
    for contact in contacts:
        sides = [_turned(side, contact.mixed < flip) for side in contact.sides]
        sides = [_turned(s, u < noise.flipped_alone) for s, u in zip(sides, contact.alone, strict=True)]
        entry = list(zip(contact.parts, sides, strict=True))  # of person 0 and person 1 of the scene
        if (left == 1) != swapped:
            entry.reverse()
        said.append((entry, contact.confidence))
    return _write(observation, said, habits)


@dataclass(frozen=True)
class _Said:
    """A contact before its sides are mixed up, with the numbers that decide on that."""

    parts: tuple[str, str]
    sides: tuple[str, str]
    confidence: float
    mixed: float
    alone: tuple[float, float]


class _Draws:
    """Numbers of a model about a picture; a further sample takes some of them anew."""

    def __init__(self, seen: Observation, seed: int, model: str, sample: int, variation: float) -> None:
        self.shared = scene_rng(seen.truth, seed, f"annotator {model}")
        self.own = scene_rng(seen.truth, seed, f"annotator {model} sample {sample}")
        self.variation = variation

    def uniform(self, count: int) -> Array:
        shared, own, anew = self.shared.random(count), self.own.random(count), self.own.random(count)
        return np.where(anew < self.variation, own, shared)

    def normal(self, count: int) -> Array:
        shared, own = self.shared.standard_normal(count), self.own.standard_normal(count)
        return np.where(self.own.random(count) < self.variation, own, shared)


def _intended(seen: Observation, noise: AnnotatorNoise, draws: _Draws) -> list[_Said]:
    places = list(dict.fromkeys((part_of(c.place_a), part_of(c.place_b)) for c in seen.truth.intended))
    count = len(places)
    missed, spread = draws.uniform(count), draws.normal(count)
    taken, which = draws.uniform(2 * count).reshape(-1, 2), draws.uniform(2 * count).reshape(-1, 2)
    vague, half = draws.uniform(2 * count).reshape(-1, 2), draws.uniform(2 * count).reshape(-1, 2)
    mixed, alone = draws.uniform(count), draws.uniform(2 * count).reshape(-1, 2)
    contacts = []
    for n, both in enumerate(places):
        if missed[n] < noise.missed:
            continue
        parts, sides = [], []
        for person, (part, side) in enumerate(both):
            if taken[n, person] < noise.neighbour:
                part = _pick(NEIGHBOURS[part], which[n, person])
            if part in TRUNK_AND_HEAD and (not side or vague[n, person] < noise.vague_side):
                side = "both"
            parts.append(part)
            sides.append(side or _pick(("left", "right"), half[n, person]))
        stated = noise.confidence + noise.confidence_spread * spread[n]
        turns = float(alone[n, 0]), float(alone[n, 1])
        contacts.append(
            _Said((parts[0], parts[1]), (sides[0], sides[1]), _rounded(stated), float(mixed[n]), turns)
        )
    return contacts


def _invented(noise: AnnotatorNoise, draws: _Draws) -> list[_Said]:
    from scipy.stats import poisson

    slots = _INVENTED_SLOTS
    count = min(slots, int(poisson.ppf(draws.uniform(1)[0], noise.invented))) if noise.invented > 0 else 0
    touching, touched, active = draws.uniform(slots), draws.uniform(slots), draws.uniform(slots)
    side, other, spread = draws.uniform(slots), draws.uniform(slots), draws.normal(slots)
    mixed, alone = draws.uniform(slots), draws.uniform(2 * slots).reshape(-1, 2)
    contacts = []
    for n in range(count):
        parts = (_pick(INVENTED_TOUCHING, touching[n]), _pick(tuple(NEIGHBOURS), touched[n]))
        sides = (_pick(("left", "right"), side[n]), _pick(("left", "right"), other[n]))
        if active[n] < 0.5:
            parts, sides = (parts[1], parts[0]), (sides[1], sides[0])
        stated = noise.confidence - noise.confidence_gap + noise.confidence_spread * spread[n]
        turns = float(alone[n, 0]), float(alone[n, 1])
        contacts.append(_Said(parts, sides, _rounded(stated), float(mixed[n]), turns))
    return contacts


def _pick(options: tuple[str, ...], share: float) -> str:
    return options[int(share * len(options))]


def _rounded(confidence: float) -> float:
    """Models state confidences in twentieths, and rarely low ones."""
    return float(np.clip(round(20 * confidence) / 20, 0.3, 1.0))


def _turned(side: str, turn: bool) -> str:
    return {"left": "right", "right": "left"}.get(side, side) if turn else side


def _write(seen: Observation, said: list[tuple[list[tuple[str, str]], float]], habits: SimulatedModel) -> str:
    def part(entry: tuple[str, str]) -> dict[str, str]:
        name = FREE_WORDS.get(entry[0], entry[0]) if habits.free_words else entry[0]
        return {"part_name": name, "body_side": entry[1]}

    document = {
        "interaction": seen.truth.interaction,
        "people": {"person_left": "the person on the left", "person_right": "the person on the right"},
        "orientation": orientation(seen),
        "contacts": [
            {
                "body_part_person_left": part(entry[0]),
                "body_part_person_right": part(entry[1]),
                "confidence": confidence,
            }
            for entry, confidence in said
        ],
    }
    text = json.dumps(document, indent=1)
    return f"Here is what I can see in the picture.\n```json\n{text}\n```" if habits.fenced else text


def orientation(seen: Observation) -> str:
    """How the two people of a picture stand to each other: front, back or side to front, back or side."""
    names = {"left_hip": 1, "right_hip": 2}  # joints of the SMPL family
    joints = seen.truth.joints.astype(np.float64)
    across = joints[:, names["left_hip"]] - joints[:, names["right_hip"]]
    ahead = np.cross(across, [0.0, 1.0, 0.0])
    words = []
    for person in (seen.left, 1 - seen.left):
        to_other = joints[1 - person, 0] - joints[person, 0]
        to_other[1] = 0.0
        length = np.linalg.norm(ahead[person]) * np.linalg.norm(to_other)
        cosine = float(ahead[person] @ to_other) / length if length > 1e-9 else 0.0
        words.append("front" if cosine > 0.5 else "back" if cosine < -0.5 else "side")
    return f"{words[0]} to {words[1]}"
