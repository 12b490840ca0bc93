"""Several answers about one pair made into one, with a measure of how far each contact is believed.

The paper asks once per picture and names several samples and models as what would give a measure of
uncertainty (section C); this is that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import NamedTuple

from apu_contacts.contact_map import PartContact
from apu_contacts.lvlm.answer import ContactAnswer

Sides = tuple[str, str]


@dataclass(frozen=True)
class Calibration:
    """Turns vote share and stated confidence into the probability that a contact is true.

    ``1 / (1 + exp(-(intercept + vote * logit(v) + confidence * logit(c))))`` with v the share of the answers
    that state the contact, ``(k + 0.5) / (n + 1)``, and c the mean confidence of those that do, kept within
    [0.02, 0.98].

    Args:
        intercept: log odds at v = c = 0.5.
        vote: weight of the votes.
        confidence: weight of the stated confidence.
        source: what the coefficients were fitted to.
    """

    intercept: float
    vote: float
    confidence: float
    source: str = ""

    def apply(self, share: float, confidence: float) -> float:
        """The probability; ``share`` is already ``(k + 0.5) / (n + 1)``."""
        z = self.intercept + self.vote * logit(share) + self.confidence * logit(confidence)
        return 1 / (1 + math.exp(-z))


def logit(p: float) -> float:
    """Log odds of p kept within [0.02, 0.98]."""
    p = min(max(p, 0.02), 0.98)
    return math.log(p / (1 - p))


@cache
def default_calibration() -> Calibration:
    """The coefficients that come with the package; their ``source`` says what they are worth."""
    file = resources.files("apu_contacts.lvlm").joinpath("data/calibration.json")
    return Calibration(**json.loads(file.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class FusedContact(PartContact):
    """A contact with what the answers said of it. ``confidence`` is the calibrated probability.

    Args:
        votes: answers that state it.
        samples: answers that could have.
        stated_confidence: mean confidence of those that do.
        sides: share of each combination of sides among those that do; adds up to 1. `denoise_chirality` takes
            it as its prior.
    """

    votes: int = 0
    samples: int = 0
    stated_confidence: float = 0.0
    sides: Mapping[Sides, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class FusedAnswer:
    """What several answers say together.

    Args:
        contacts: the likeliest first.
        samples: answers that were used.
        refusals: answers that declined; they say nothing about contacts and do not vote.
        exchanged: for each answer used, whether its two people had to be exchanged to agree with the others.
    """

    contacts: tuple[FusedContact, ...]
    samples: int
    refusals: int
    exchanged: tuple[bool, ...]


def fuse_answers(
    answers: Sequence[ContactAnswer],
    models: Sequence[str] | None = None,
    calibration: Calibration | None = None,
) -> FusedAnswer:
    """Fuses answers about the same pair, of one or several models.

    1. Person order: each answer is exchanged if it then agrees better with the others; the first stays.
    2. Contacts are the same if they name the same parts; where an answer states one pair of parts several
       times (left and right hand on the back), the statements are matched by their sides.
    3. Votes are counted per model, and each model counts the same however often it was asked.

    Args:
        answers: refusals among them are counted and left out.
        models: who gave each answer; None for one model.
        calibration: that of the package if None.

    Raises:
        ValueError: if ``models`` has another length than ``answers``.
    """
    if models is not None and len(models) != len(answers):
        raise ValueError(
            f"models must name one model per answer, got {len(models)} for {len(answers)} answers"
        )
    names = list(models) if models is not None else [""] * len(answers)
    used = [(answer, name) for answer, name in zip(answers, names, strict=True) if not answer.refused]
    if not used:
        return FusedAnswer((), 0, len(answers), ())
    exchanged = align_people([answer for answer, _ in used])
    turned = [
        answer.transposed() if turn else answer for (answer, _), turn in zip(used, exchanged, strict=True)
    ]
    weights = _answer_weights([name for _, name in used])
    calibration = calibration or default_calibration()
    fused = [_fuse_slot(slot, len(turned), weights, calibration) for slot in _slots(turned)]
    fused.sort(key=lambda contact: -contact.confidence)
    return FusedAnswer(tuple(fused), len(turned), len(answers) - len(used), exchanged)


def _answer_weights(names: list[str]) -> list[float]:
    """Each model has the same weight in all; weights add up to the number of answers."""
    counts = {name: names.count(name) for name in names}
    return [len(names) / (len(counts) * counts[name]) for name in names]


Parts = tuple[tuple[str, ...], tuple[str, ...]]


def _parts(contact: PartContact) -> Parts:
    return (contact.part_a, *contact.alternatives_a), (contact.part_b, *contact.alternatives_b)


def align_people(answers: Sequence[ContactAnswer]) -> tuple[bool, ...]:
    """For each answer, whether its people have to be exchanged to agree with the others; the first never is.

    Agreement is counted over pairs of parts without sides. Beginning with the answer that agrees best with
    all others as it stands, each is turned the way it agrees better with those before; twice over.
    """
    tallies = [(_tally(answer), _tally(answer.transposed())) for answer in answers]
    start = max(range(len(answers)), key=lambda i: (sum(_overlap(tallies[i][0], t[0]) for t in tallies), -i))
    order = [start, *(i for i in range(len(answers)) if i != start)]
    turned = [False] * len(answers)
    placed = {start}
    for _ in range(2):
        for i in order[1:]:
            others = [tallies[j][turned[j]] for j in placed if j != i]
            scores = [sum(_overlap(tallies[i][way], other) for other in others) for way in (0, 1)]
            turned[i] = scores[1] > scores[0]
            placed.add(i)
    return tuple(turn != turned[0] for turn in turned)


def _tally(answer: ContactAnswer) -> dict[Parts, float]:
    found: dict[Parts, float] = {}
    for contact in answer.contacts:
        found[_parts(contact)] = max(found.get(_parts(contact), 0.0), contact.confidence)
    return found


def _overlap(one: Mapping[Parts, float], other: Mapping[Parts, float]) -> float:
    return sum(min(weight, other[parts]) for parts, weight in one.items() if parts in other)


class _Vote(NamedTuple):
    answer: int
    contact: PartContact


class _Slot(NamedTuple):
    """One contact of the fused answer with who voted for it."""

    parts: Parts
    votes: list[_Vote]


def _slots(answers: Sequence[ContactAnswer]) -> list[_Slot]:
    by_parts: dict[Parts, list[list[PartContact]]] = {}
    keys = {
        _parts(c) for answer in answers for c in answer.contacts if not (c.alternatives_a or c.alternatives_b)
    }
    for i, answer in enumerate(answers):
        for contact in answer.contacts:
            parts = _home(_parts(contact), keys)
            by_parts.setdefault(parts, [[] for _ in answers])[i].append(contact)
    slots: list[_Slot] = []
    for parts, stated in by_parts.items():
        slots += _split_by_sides(parts, stated)
    return slots


def _home(parts: Parts, keys: set[Parts]) -> Parts:
    """Where a contact with alternatives votes: for the one that another answer states plainly, if there is
    one."""
    if len(parts[0]) == len(parts[1]) == 1:
        return parts
    for part_a in parts[0]:
        for part_b in parts[1]:
            if ((part_a,), (part_b,)) in keys:
                return (part_a,), (part_b,)
    return parts


def _split_by_sides(parts: Parts, stated: list[list[PartContact]]) -> list[_Slot]:
    """As many slots as the answer with the most statements has; the other answers' are matched to them by
    sides."""
    from scipy.optimize import linear_sum_assignment

    most = max(range(len(stated)), key=lambda i: (len(stated[i]), -i))
    slots = [_Slot(parts, [_Vote(most, contact)]) for contact in stated[most]]
    templates = [(contact.side_a, contact.side_b) for contact in stated[most]]
    for i, contacts in enumerate(stated):
        if i == most or not contacts:
            continue
        cost = [[_side_cost((c.side_a, c.side_b), template) for template in templates] for c in contacts]
        rows, columns = linear_sum_assignment(cost)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            slots[column].votes.append(_Vote(i, contacts[row]))
    return slots


_OTHER = {"left": "right", "right": "left"}


def _side_cost(one: Sides, other: Sides) -> float:
    if one == other:
        return 0.0
    if one == tuple(_OTHER.get(side, side) for side in other):
        return 1.0  # both flipped: what models most often get wrong
    return 2.0 if one[0] == other[0] or one[1] == other[1] else 3.0


def _fuse_slot(slot: _Slot, samples: int, weights: list[float], calibration: Calibration) -> FusedContact:
    total = sum(weights[vote.answer] for vote in slot.votes)
    stated = sum(weights[vote.answer] * vote.contact.confidence for vote in slot.votes) / total
    sides: dict[Sides, float] = {}
    for vote in slot.votes:
        key = (vote.contact.side_a, vote.contact.side_b)
        sides[key] = sides.get(key, 0.0) + weights[vote.answer] / total
    best = max(sides, key=lambda key: sides[key])
    share = (total + 0.5) / (samples + 1)
    return FusedContact(
        slot.parts[0][0],
        best[0],
        slot.parts[1][0],
        best[1],
        calibration.apply(share, stated),
        alternatives_a=slot.parts[0][1:],
        alternatives_b=slot.parts[1][1:],
        votes=len(slot.votes),
        samples=samples,
        stated_confidence=stated,
        sides=sides,
    )
