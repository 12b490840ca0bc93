"""From answers about two people to the contacts of a scene: what is said, who is meant, on which sides.

What is measured is what ships: the benchmark on synthetic scenes calls `resolve_contacts` as everybody does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Protocol

from apu_contacts.answers.answer import AnswerParseError, ContactAnswer
from apu_contacts.answers.attributes import PairAttributes, fuse_attributes
from apu_contacts.answers.fusion import FusedContact, fuse_answers
from apu_contacts.answers.parse import parse_answer
from apu_contacts.answers.records import answer_of_record
from apu_contacts.contacts import ContactMap, Order, PartContact
from apu_contacts.keypoints.seen import SEEN, is_seen
from apu_contacts.keypoints.types import Keypoints2D
from apu_contacts.sides.belief import SideBelief
from apu_contacts.sides.chirality import (
    DEFAULT_TAU,
    DenoisedContact,
    SideRule,
    denoise_chirality,
    person_order,
)

Status = Literal["contacts", "nothing touches", "refused", "unreadable", "not asked"]
STATUSES: tuple[Status, ...] = ("contacts", "nothing touches", "refused", "unreadable", "not asked")
"""What the answers about a pair come to."""

Answer = ContactAnswer | AnswerParseError | str | Mapping[str, Any]
"""One answer: read, known to be unreadable, as text, or as a record of `apu ask`."""


class Person(Protocol):
    """A `PersonDetection` or a person of a scene: keypoints, and a body where one was estimated."""

    @property
    def keypoints(self) -> Keypoints2D:
        """What a detector saw, in pixels of the full picture."""

    @property
    def initial(self) -> Any:
        """An estimate with named joints, or something that has one under ``joints``; or None."""


@dataclass(frozen=True)
class ContactPolicy:
    """How answers become contacts. The defaults are what measured best on the synthetic scenes.

    Args:
        sides: how left and right are repaired: ``"posterior"``, ``"paper"`` (both are rules of
            `denoise_chirality`), or ``"as told"``.
        order: which person is meant: ``"decided"`` from the keypoints where that is clear and left open
            elsewhere, ``"either"`` (always open), ``"as told"``, or ``"exchanged"`` where the answer is known
            to have the two the other way round.
        soft: weights that fall with the keypoint distance; False: 1 for every contact.
        tau: fall-off of soft weights, a fraction of the people's size.
        trust: factor on all weights. The preset `best` pulls as hard as human annotations deserve; what a
            model says counts less. A twelfth was chosen on the development types of the synthetic scenes.
        depths: let the posterior look at the depths of estimated bodies, where both people have one.
        belief: how far stated sides are believed, for the posterior; the default if None.

    Raises:
        ValueError: on an unknown word, a tau that is not above 0, or a trust that is negative or not finite.

    Example:
        >>> ContactPolicy().sides, ContactPolicy.paper().order
        ('posterior', 'either')
    """

    sides: Literal["posterior", "paper", "as told"] = "posterior"
    order: Literal["decided", "either", "as told", "exchanged"] = "decided"
    soft: bool = True
    tau: float = DEFAULT_TAU
    trust: float = 1 / 12
    depths: bool = True
    belief: SideBelief | None = None

    def __post_init__(self) -> None:
        for name, known in (
            ("sides", ("posterior", "paper", "as told")),
            ("order", ("decided", "either", "as told", "exchanged")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if not self.tau > 0:
            raise ValueError(f"tau must be above 0, got {self.tau}")
        if not 0 <= self.trust < math.inf:
            raise ValueError(f"trust must be finite and at least 0, got {self.trust}")

    @classmethod
    def paper(cls) -> ContactPolicy:
        """Return the paper's: its rule of sides, both orders open in each iteration, answers trusted in
        full.
        """
        return cls(sides="paper", order="either", trust=1.0, depths=False)

    def to_dict(self) -> dict[str, Any]:
        """All settings, ready for JSON or TOML; those that are left to the default are absent."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ContactPolicy:
        """Return the inverse of `to_dict`.

        Raises:
            ValueError: on an unknown key, or a value that the constructor refuses.
        """
        known = [entry.name for entry in fields(cls)]
        if unknown := sorted(set(data) - set(known)):
            raise ValueError(f"contact policy: unknown {', '.join(unknown)}; known are {', '.join(known)}")
        belief = data.get("belief")
        return cls(**{**data, **({} if belief is None else {"belief": SideBelief(**belief)})})


@dataclass(frozen=True)
class ResolvedContact(DenoisedContact):
    """A contact of a scene with its history: what was stated, what it was repaired to, who said so.

    Args:
        votes: answers that state it.
        samples: answers that tell something about it.
    """

    votes: int = 1
    samples: int = 1


@dataclass(frozen=True)
class ContactEvidence:
    """What is known about one pair, and from what; the part of a resolution that a scene file keeps.

    Args:
        status: what the answers come to, one of `STATUSES`. A pair that was denied (``"nothing touches"``)
            is not one that nobody asked about (``"not asked"``), nor one whose question was refused.
        answers: how many there are, of any kind.
        stating: answers that state a contact.
        denying: answers that were read whole and say that nothing touches.
        refused: answers that declined.
        unreadable: texts that hold no answer, and answers without a contact that were not read whole.
        partly_read: answers that were used although some of their words could not be read.
        left: who stands further left in the picture, ``"a"`` or ``"b"``; the answers' person_left.
        order: ``"given"``, or ``"either"`` where it stayed open which of the two is meant.
        exchanged: the answers have the two people the other way round than they stand in the picture.
        order_margin: how clear that is, 0 to 1.
        interaction: what the people do, in the first answer's words.
        contacts: in words: parts, sides, those that were stated, confidence, votes.
        attributes: what the answers say of the people themselves; None where nothing was asked or said.
    """

    status: Status
    answers: int = 0
    stating: int = 0
    denying: int = 0
    refused: int = 0
    unreadable: int = 0
    partly_read: int = 0
    left: Literal["a", "b"] = "a"
    order: Order = "given"
    exchanged: bool = False
    order_margin: float = 0.0
    interaction: str = ""
    contacts: tuple[Mapping[str, Any], ...] = ()
    attributes: PairAttributes | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; attributes are absent where there are none."""
        written = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        written["contacts"] = [dict(contact) for contact in self.contacts]
        if self.attributes is None:
            del written["attributes"]
        else:
            written["attributes"] = self.attributes.to_dict()
        return written

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ContactEvidence:
        """Return the inverse of `to_dict`.

        Raises:
            ValueError: on an unknown key or status.
        """
        known = {entry.name for entry in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"evidence: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        if data.get("status") not in STATUSES:
            raise ValueError(
                f"evidence: status must be one of {', '.join(STATUSES)}, got {data.get('status')!r}"
            )
        said = data.get("attributes")
        told = None if said is None else PairAttributes.from_dict(said)
        return cls(**{**data, "contacts": tuple(data.get("contacts", ())), "attributes": told})

    def exchanged_people(self) -> ContactEvidence:
        """Return the same evidence with the two people exchanged."""
        other = {"part_a": "part_b", "side_a": "side_b", "stated_a": "stated_b"}
        other |= {b: a for a, b in other.items()}
        turned = tuple({other.get(key, key): c[key] for key in c} for c in self.contacts)
        said = None if self.attributes is None else self.attributes.transposed()
        return replace(self, left="b" if self.left == "a" else "a", contacts=turned, attributes=said)


@dataclass(frozen=True)
class ResolvedContacts:
    """The contacts of two people, their map, and what they rest on.

    Args:
        contacts: with person a and b as they were given to `resolve_contacts`, wherever they stand.
        contact_map: the same as region pairs with weights.
        order: ``"either"`` where it stayed open which of the two is person a.
        evidence: what the answers were and what became of them.

    Example:
        >>> from apu_contacts import Keypoints2D, PersonDetection, resolve_contacts
        >>> def person(x):
        ...     xy = [[x, 20.0 + 10 * i] for i in range(17)]
        ...     return PersonDetection(Keypoints2D("coco17", xy, [1.0] * 17), [x, 20, x, 180])
        >>> found = resolve_contacts('{"contacts": []}', person(250.0), person(100.0))
        >>> found.contacts, found.contact_map, found.order
        ((), ContactMap(0 region pairs), 'given')
    """

    contacts: tuple[ResolvedContact, ...]
    contact_map: ContactMap
    order: Order
    evidence: ContactEvidence = field(repr=False)

    @property
    def sides_changed(self) -> int:
        """Contacts whose sides are others than stated."""
        return sum(contact.flipped for contact in self.contacts)

    def in_words(self) -> str:
        """One sentence for people: ``"right hand (a) on left shoulder (b); ..."``, or why there is none."""
        return in_words(self.evidence)


def in_words(evidence: ContactEvidence, a: str = "a", b: str = "b") -> str:
    """Return what is known about a pair as one line.

    Args:
        evidence: of a resolution or of a scene's contact.
        a: what person a is called.
        b: what person b is called.
    """
    if evidence.status != "contacts":
        return evidence.status
    told = []
    for c in evidence.contacts:
        first, second = (_part_words(c, person) for person in ("a", "b"))
        stated = (c["stated_a"], c["stated_b"])
        was = "" if stated == (c["side_a"], c["side_b"]) else f" [told {stated[0]}, {stated[1]}]"
        told.append(f"{first} ({a}) - {second} ({b}){was}")
    return "; ".join(told)


def _part_words(contact: Mapping[str, Any], person: str) -> str:
    side, part = contact[f"side_{person}"], contact[f"part_{person}"]
    return part if side == "none" else f"{side} {part}"


def resolve_contacts(
    answers: Answer | Sequence[Answer],
    person_a: Person,
    person_b: Person,
    policy: ContactPolicy | None = None,
    *,
    models: Sequence[str] | None = None,
    left: Literal["a", "b"] | None = None,
) -> ResolvedContacts:
    """Make the contacts of two people of answers about them.

    One answer is taken as it is; several are fused (`fuse_answers`). Then it is decided which person is
    meant (`person_order`), and sides are repaired (`denoise_chirality`, with estimated depths where both
    people have them). An answer speaks of the person on the left and the one on the right of what was shown;
    who of the two that is need not be known: the contacts come back for person a and person b as given here.

    Args:
        answers: about this pair. Refusals and texts that cannot be read are counted, and state nothing.
        person_a: a `PersonDetection`, or a person of a scene.
        person_b: the other.
        policy: ``ContactPolicy()`` if None.
        models: who gave each answer; each model counts the same however often it was asked. None takes
            what records say under ``model``, and otherwise one model.
        left: who stands on the left of what was shown, where that was recorded; None looks at the keypoints.

    Raises:
        ValueError: if ``models`` has another length than ``answers``, a record has no text, or a person
            has no keypoints by which sides and order can be decided.

    Example:
        >>> from apu_contacts import Keypoints2D, PersonDetection
        >>> def person(x):
        ...     xy = [[x, 20.0 + 10 * i] for i in range(17)]
        ...     return PersonDetection(Keypoints2D("coco17", xy, [1.0] * 17), [x, 20, x, 180])
        >>> text = '''{"contacts": [{"body_part_person_left": {"part_name": "hand", "body_side": "right"},
        ...     "body_part_person_right": {"part_name": "back", "body_side": "none"}, "confidence": 0.8}]}'''
        >>> found = resolve_contacts(text, person(250.0), person(100.0))  # b stands on the left
        >>> found.contacts[0].part_a, found.contacts[0].part_b, found.evidence.left
        ('back', 'hand', 'b')
        >>> resolve_contacts('{"contacts": []}', person(250.0), person(100.0)).evidence.status
        'nothing touches'
    """
    policy = policy or ContactPolicy()
    given: list[Answer] = (
        [answers] if isinstance(answers, ContactAnswer | AnswerParseError | str | Mapping) else list(answers)
    )
    if models is not None and len(models) != len(given):
        raise ValueError(f"models must name one model per answer, got {len(models)} for {len(given)} answers")
    names = [_model_of(answer) for answer in given] if models is None else list(models)
    read, counts = _read(given)
    used = [(answer, name) for answer, name in zip(read, names, strict=True) if answer is not None]
    stands_left = left or leftmost(person_a.keypoints, person_b.keypoints)
    first, second = (person_a, person_b) if stands_left == "a" else (person_b, person_a)
    told, said = _told([answer for answer, _ in used], [name for _, name in used])
    contacts, order, exchanged, margin = _decided(told, first, second, policy)
    if stands_left == "b":
        contacts = [contact.transposed() for contact in contacts]
    interaction = next((answer.interaction for answer, _ in used if answer.interaction), "")
    evidence = ContactEvidence(
        _status(contacts, counts),
        left=stands_left,
        order=order,
        exchanged=exchanged,
        order_margin=round(margin, 6),
        interaction=interaction,
        contacts=tuple(map(_as_words, contacts)),
        # an answer that mixes up the two people does so for all it says of them
        attributes=said.transposed() if said is not None and exchanged != (stands_left == "b") else said,
        **counts,
    )
    return ResolvedContacts(tuple(contacts), ContactMap.from_parts(contacts), order, evidence)


def leftmost(keypoints_a: Keypoints2D, keypoints_b: Keypoints2D) -> Literal["a", "b"]:
    """Who of two people stands further left in a picture, by the middles of their keypoints' boxes.

    Raises:
        ValueError: if a person has no keypoint that was seen.
    """
    middles = []
    for name, person in (("keypoints_a", keypoints_a), ("keypoints_b", keypoints_b)):
        across = person.xy[is_seen(person.confidence), 0]
        if not len(across):
            raise ValueError(f"{name} has no keypoint of confidence {SEEN} or more")
        middles.append((across.min() + across.max()) / 2)
    return "b" if middles[1] < middles[0] else "a"


def _model_of(answer: Answer) -> str:
    name = answer.get("model") if isinstance(answer, Mapping) else None
    return name if isinstance(name, str) else ""


def _read(given: Sequence[Answer]) -> tuple[list[ContactAnswer | None], dict[str, int]]:
    """Return the answers that say something about contacts, None for the others; and how many are of which
    kind.
    """
    counts = dict.fromkeys(("answers", "stating", "denying", "refused", "unreadable", "partly_read"), 0)
    read: list[ContactAnswer | None] = []
    for each in given:
        counts["answers"] += 1
        answer = _parsed(each)
        if answer is None:
            counts["unreadable"] += 1
            read.append(None)
            continue
        whole = answer.fully_explained and not answer.unknown_words
        if answer.refused:
            counts["refused"] += 1
        elif not answer.contacts and not whole:
            counts["unreadable"] += 1
            answer = None
        else:
            counts["stating" if answer.contacts else "denying"] += 1
            counts["partly_read"] += not whole
        read.append(None if answer is None or answer.refused else answer)
    return read, counts


def _parsed(answer: Answer) -> ContactAnswer | None:
    try:
        if isinstance(answer, str):
            return parse_answer(answer)
        if isinstance(answer, Mapping):
            return answer_of_record(answer)
    except AnswerParseError:
        return None
    return None if isinstance(answer, AnswerParseError) else answer


def _told(
    answers: Sequence[ContactAnswer], models: Sequence[str]
) -> tuple[list[PartContact], PairAttributes | None]:
    """Return what the answers state together; person a is the person on the left."""
    if len(answers) == 1:
        return list(answers[0].contacts), answers[0].attributes
    fused = fuse_answers(answers, models)
    said = [
        answer.attributes.transposed() if turned else answer.attributes
        for answer, turned in zip(answers, fused.exchanged, strict=True)
        if answer.attributes is not None
    ]
    return list(fused.contacts), fuse_attributes(said)


def _decided(
    told: list[PartContact], first: Person, second: Person, policy: ContactPolicy
) -> tuple[list[ResolvedContact], Order, bool, float]:
    """Return the contacts of the person on the left with the one on the right, their order, whether the two
    had to be exchanged, and how clear that was.
    """
    if not told:
        return [], "given", False, 0.0
    keypoints = first.keypoints, second.keypoints
    found = person_order(told, *keypoints)
    order: Order = "given"
    exchanged = policy.order == "exchanged"
    if policy.order == "either" or (policy.order == "decided" and not found.clear):
        order = "either"
    elif policy.order == "decided":
        exchanged = found.exchanged
    if exchanged:
        told = [contact.transposed() for contact in told]
    fixed: list[PartContact] = list(told)
    if policy.sides != "as told":
        rule: SideRule = "paper" if policy.sides == "paper" else "posterior"
        estimates = (_joints(first), _joints(second)) if policy.depths else None
        fixed = list(
            denoise_chirality(
                told, *keypoints, sides=rule, tau=policy.tau, belief=policy.belief, estimates=estimates
            )
        )
    return [_resolved(c, t, policy) for c, t in zip(fixed, told, strict=True)], order, exchanged, found.margin


def _joints(person: Person) -> Any:
    """Return the estimated body of a person in a form that `denoise_chirality` takes, or None."""
    initial = person.initial
    if initial is None or hasattr(initial, "joint_names"):
        return initial
    return getattr(initial, "joints", None)


def _resolved(contact: PartContact, told: PartContact, policy: ContactPolicy) -> ResolvedContact:
    """Return a repaired contact with its final weight and the votes that it had."""
    votes = (told.votes, told.samples) if isinstance(told, FusedContact) else (1, 1)
    kept = contact if isinstance(contact, DenoisedContact) else None
    return ResolvedContact(
        contact.part_a,
        contact.side_a,
        contact.part_b,
        contact.side_b,
        contact.confidence,
        policy.trust * (contact.effective_weight if policy.soft else 1.0),
        contact.margin,
        contact.alternatives_a,
        contact.alternatives_b,
        math.nan if kept is None else kept.distance,
        (told.side_a, told.side_b),
        1.0 if kept is None else kept.probability,
        *votes,
    )


def _as_words(contact: ResolvedContact) -> dict[str, Any]:
    words: dict[str, Any] = {
        "part_a": "/".join((contact.part_a, *contact.alternatives_a)),
        "side_a": contact.side_a,
        "part_b": "/".join((contact.part_b, *contact.alternatives_b)),
        "side_b": contact.side_b,
        "stated_a": contact.stated[0],
        "stated_b": contact.stated[1],
        "confidence": round(contact.confidence, 6),
        "weight": round(contact.effective_weight, 6),
        "margin": round(contact.margin or 0.0, 6),
        "probability": round(contact.probability, 6),
        "votes": contact.votes,
        "samples": contact.samples,
    }
    return words


def _status(contacts: Sequence[ResolvedContact], counts: Mapping[str, int]) -> Status:
    if contacts:
        return "contacts"
    if counts["denying"] or counts["stating"]:
        return "nothing touches"
    if counts["unreadable"]:
        return "unreadable"
    return "refused" if counts["refused"] else "not asked"
