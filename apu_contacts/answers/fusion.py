"""Several answers about one pair made into one, with a measure of how far each contact is believed.

The paper asks once per picture and names several samples and models as what would give a measure of
uncertainty (section C); this is that.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from apu_contacts.answers.answer import ContactAnswer
from apu_contacts.contacts import PartContact

Sides = tuple[str, str]


@dataclass(frozen=True)
class Calibration:
    """Turns vote share and stated confidence into the probability that a contact is true.

    ``1 / (1 + exp(-(intercept + vote * logit(v) + confidence * logit(c))))`` with v the share of the votes,
    ``(k + 0.5) / (n + 1)``, and c the mean confidence of those who gave them, kept within [0.02, 0.98].
    A statement is one vote from a confidence of 0.5 on, and ``2 * confidence`` of one below: half believed is
    not stated.

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
        """Return the probability; ``share`` is already ``(k + 0.5) / (n + 1)``."""
        z = self.intercept + self.vote * logit(share) + self.confidence * logit(confidence)
        return 1 / (1 + math.exp(-z))


def logit(p: float) -> float:
    """Log odds of p kept within [0.02, 0.98]."""
    p = min(max(p, 0.02), 0.98)
    return math.log(p / (1 - p))


@cache
def default_calibration() -> Calibration:
    """Return the coefficients that come with the package; their ``source`` says what they are worth."""
    file = resources.files("apu_contacts.answers").joinpath("data/calibration.json")
    return Calibration(**json.loads(file.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class FusedContact(PartContact):
    """A contact with what the answers said of it. ``confidence`` is the calibrated probability.

    Args:
        votes: answers that state it with a confidence above 0.
        samples: answers that tell something about it: these, and those that were read whole and do not
            state it. An answer that was cut off, or has parts that could not be read, is silent about what
            it does not state.
        stated_confidence: mean confidence of those that state it, weighted by their votes.
        sides: share of each combination of sides among those that do; adds up to 1. `denoise_chirality` takes
            it as its prior.
    """

    votes: int = 0
    samples: int = 0
    stated_confidence: float = 0.0
    sides: Mapping[Sides, float] = field(default_factory=dict, hash=False)

    def _exchanged(self) -> dict[str, Any]:
        return {**super()._exchanged(), "sides": {(b, a): share for (a, b), share in self.sides.items()}}


@dataclass(frozen=True)
class FusedAnswer:
    """What several answers say together.

    Args:
        contacts: the likeliest first.
        samples: answers that were used.
        refusals: answers that declined; they say nothing about contacts and do not vote.
        exchanged: for each answer used, whether its two people had to be exchanged to agree with the
            majority.
        order_agreement: share of the answers whose person order is that of the contacts, of those whose
            contacts tell an order; 1 if none tells one.
    """

    contacts: tuple[FusedContact, ...]
    samples: int
    refusals: int
    exchanged: tuple[bool, ...]
    order_agreement: float = 1.0

    @property
    def order_open(self) -> bool:
        """Fewer than two thirds agree on who is who: decide by keypoints (`person_order`), or keep both."""
        return self.order_agreement < 2 / 3 - 1e-9


def fuse_answers(
    answers: Sequence[ContactAnswer],
    models: Sequence[str] | None = None,
    calibration: Calibration | None = None,
) -> FusedAnswer:
    """Fuses answers about the same pair, of one or several models.

    1. Person order: each answer is exchanged if it then agrees better with the others; the order that most of
       them have stays (``order_agreement``), the first one's if there are as many of either.
    2. Contacts are the same if they name the same parts; where an answer states one pair of parts several
       times (left and right hand on the back), the statements are matched by their sides. "both" sides are
       the left and the right one where another answer tells them apart.
    3. Votes are counted per model, and each model counts the same however often it was asked. A confidence of
       0 is no vote, one below 0.5 a part of one; a contact that has no vote is not there. An answer that was
       not read whole says nothing about contacts that it does not state.

    Answers are taken to be samples of their own: equal texts that a model gives at temperature 0 are one
    answer, and have to be given once.

    Args:
        answers: refusals among them are counted and left out.
        models: who gave each answer; None for one model.
        calibration: that of the package if None.

    Raises:
        ValueError: if ``models`` has another length than ``answers``.

    Example:
        >>> from apu_contacts import fuse_answers, parse_answer
        >>> text = '{"contacts": [{"part_a": "hand", "side_a": "left", "part_b": "back", "confidence": 0.8}]}'
        >>> fused = fuse_answers([parse_answer(text)] * 3)
        >>> fused.samples, fused.contacts[0].votes
        (3, 3)
    """
    if models is not None and len(models) != len(answers):
        raise ValueError(
            f"models must name one model per answer, got {len(models)} for {len(answers)} answers"
        )
    given = list(models) if models is not None else [""] * len(answers)
    used = [(answer, name) for answer, name in zip(answers, given, strict=True) if not answer.refused]
    if not used:
        return FusedAnswer((), 0, len(answers), ())
    names = [name for _, name in used]
    order = align_people([answer for answer, _ in used], names)
    turned = [
        answer.transposed() if turn else answer
        for (answer, _), turn in zip(used, order.exchanged, strict=True)
    ]
    calibration = calibration or default_calibration()
    whole = [answer.fully_explained and not answer.unknown_words for answer in turned]
    fused = [_fuse_slot(slot, whole, names, calibration) for slot in _slots(turned)]
    fused.sort(key=lambda contact: -contact.confidence)
    return FusedAnswer(tuple(fused), len(turned), len(answers) - len(used), *order)


def _model_weights(names: Sequence[str]) -> list[float]:
    """Each model has the same weight in all; weights add up to the number of answers."""
    counts = Counter(names)
    return [len(names) / (len(counts) * counts[name]) for name in names]


def _vote(confidence: float) -> float:
    """How much of a vote a statement is: none at confidence 0, a whole one from 0.5 on."""
    return min(1.0, 2 * confidence)


Parts = tuple[tuple[str, ...], tuple[str, ...]]


def _parts(contact: PartContact) -> Parts:
    return (contact.part_a, *contact.alternatives_a), (contact.part_b, *contact.alternatives_b)


class PeopleOrder(NamedTuple):
    """Which answers have their people the other way round, and what share of them agrees."""

    exchanged: tuple[bool, ...]
    agreement: float


def align_people(answers: Sequence[ContactAnswer], models: Sequence[str] | None = None) -> PeopleOrder:
    """For each answer, whether its people have to be exchanged to agree with the majority.

    Agreement is counted over pairs of parts without sides. Beginning with the answer that agrees best with
    all others as it stands, each is turned the way it agrees better with those before; twice over. Then the
    order that most answers have stays, each model counting the same; where there are as many of either, that
    of the first answer that tells an order. Answers that agree as well either way are not counted.
    """
    tallies = [(_tally(answer), _tally(answer.transposed())) for answer in answers]
    start = max(range(len(answers)), key=lambda i: (sum(_overlap(tallies[i][0], t[0]) for t in tallies), -i))
    rest = [i for i in range(len(answers)) if i != start]
    turned = [False] * len(answers)
    placed = {start}

    def scores(i: int) -> tuple[float, float]:
        """Agreement of an answer as it stands, and turned, with the others that are placed."""
        others = [tallies[j][turned[j]] for j in sorted(placed - {i})]
        straight, other = (sum(_overlap(tallies[i][way], tally) for tally in others) for way in (0, 1))
        return straight, other

    for i in [*rest, *rest]:
        straight, other = scores(i)
        turned[i] = other > straight
        placed.add(i)
    tells = [straight != other for straight, other in map(scores, range(len(answers)))]
    if not any(tells):
        return PeopleOrder((False,) * len(answers), 1.0)
    votes = {True: 0.0, False: 0.0}
    for turn, telling, weight in zip(
        turned, tells, _model_weights(models or [""] * len(answers)), strict=True
    ):
        votes[turn] += weight * telling
    stays = votes[True] > votes[False]
    if math.isclose(votes[True], votes[False]):
        stays = turned[tells.index(True)]
    exchanged = tuple(telling and turn != stays for turn, telling in zip(turned, tells, strict=True))
    return PeopleOrder(exchanged, votes[stays] / (votes[True] + votes[False]))


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
    """Return the contacts that are stated with a confidence above 0, by their parts and sides."""
    by_parts: dict[Parts, list[list[PartContact]]] = {}
    keys = {
        _parts(c) for answer in answers for c in answer.contacts if not (c.alternatives_a or c.alternatives_b)
    }
    for i, answer in enumerate(answers):
        for contact in answer.contacts:
            if contact.confidence > 0:
                parts = _home(_parts(contact), keys)
                by_parts.setdefault(parts, [[] for _ in answers])[i].append(contact)
    slots: list[_Slot] = []
    for parts, stated in by_parts.items():
        slots += _split_by_sides(parts, _sides_told_apart(stated))
    return slots


def _home(parts: Parts, keys: set[Parts]) -> Parts:
    """Where a contact with alternatives votes: for the one that another answer states plainly, if there is
    one.
    """
    if len(parts[0]) == len(parts[1]) == 1:
        return parts
    for part_a in parts[0]:
        for part_b in parts[1]:
            if ((part_a,), (part_b,)) in keys:
                return (part_a,), (part_b,)
    return parts


def _sides_told_apart(stated: list[list[PartContact]]) -> list[list[PartContact]]:
    """Return the statements with "both" made into those of the left and of the right side, where any
    statement about these parts names a side of that person; of equal ones in an answer the one believed most.
    """
    told = {(contact.side_a, contact.side_b) for contacts in stated for contact in contacts}
    apart: list[list[PartContact]] = []
    for contacts in stated:
        best: dict[Sides, PartContact] = {}
        for contact in contacts:
            for sides in _covered((contact.side_a, contact.side_b), told):
                known = best.get(sides)
                if known is None or contact.confidence > known.confidence:
                    best[sides] = replace(contact, side_a=sides[0], side_b=sides[1])
        apart.append(list(best.values()))
    return apart


def _covered(sides: Sides, told: set[Sides]) -> list[Sides]:
    """Return the combinations that a statement of sides comes to, given what others name."""
    split = [
        side == "both" and any(other[person] in _OTHER for other in told) for person, side in enumerate(sides)
    ]
    if all(split):
        # Each side of either person touches: in the combinations that are named, and their mirror images.
        named = {other for other in told if other[0] in _OTHER and other[1] in _OTHER}
        if not named:
            return [("left", "none"), ("right", "none"), ("none", "left"), ("none", "right")]
        return sorted(named | {(_OTHER[a], _OTHER[b]) for a, b in named})
    if split[0]:
        return [("left", sides[1]), ("right", sides[1])]
    if split[1]:
        return [(sides[0], "left"), (sides[0], "right")]
    return [sides]


def _split_by_sides(parts: Parts, stated: list[list[PartContact]]) -> list[_Slot]:
    """As many slots as the answer with the most statements has; the other answers' are matched to them by
    sides.
    """
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


def _fuse_slot(
    slot: _Slot, whole: Sequence[bool], names: Sequence[str], calibration: Calibration
) -> FusedContact:
    voters = {vote.answer for vote in slot.votes}
    telling = [i for i, read in enumerate(whole) if read or i in voters]
    weights = dict(zip(telling, _model_weights([names[i] for i in telling]), strict=True))
    shares = [weights[vote.answer] * _vote(vote.contact.confidence) for vote in slot.votes]
    total = sum(shares)
    stated = sum(p * vote.contact.confidence for p, vote in zip(shares, slot.votes, strict=True)) / total
    sides: dict[Sides, float] = {}
    for p, vote in zip(shares, slot.votes, strict=True):
        key = (vote.contact.side_a, vote.contact.side_b)
        sides[key] = sides.get(key, 0.0) + p / total
    best = max(sides, key=lambda key: sides[key])
    return FusedContact(
        slot.parts[0][0],
        best[0],
        slot.parts[1][0],
        best[1],
        calibration.apply((total + 0.5) / (len(telling) + 1), stated),
        alternatives_a=slot.parts[0][1:],
        alternatives_b=slot.parts[1][1:],
        votes=len(slot.votes),
        samples=len(telling),
        stated_confidence=stated,
        sides=sides,
    )
