"""Answers about pairs put into scenes as contacts, each edge with what it rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from apu_contacts.answers import AnswerParseError, ContactAnswer
from apu_contacts.answers.records import answer_of_record
from apu_contacts.asking.answer_file import read_answers
from apu_contacts.contacts import ContactMap
from apu_contacts.resolve import ContactEvidence, ContactPolicy, in_words, resolve_contacts
from apu_losses.fitting.scene.types import Scene, SceneContact

Record = Mapping[str, Any]


@dataclass
class ContactsReport:
    """What became of the pairs and their answers.

    Attributes:
        scenes: how many there are.
        pairs: edges between two people.
        statuses: of the edges -> how many, the keys of `apu_contacts.resolve.STATUSES`.
        answers, repaired_answers: records that were used; those of them that are repeated questions.
        contacts: part contacts in all.
        sides_changed: of them, those whose sides are others than stated.
        orders_exchanged: edges where the answer had the two people the other way round.
        orders_open: edges where it stayed open which of the two is meant.
        problems: edges whose answers could not be used, and answers that belong to no edge: one line each.
        pairs_in_words: ``(scene, people, what is known)`` of each edge.
    """

    scenes: int = 0
    pairs: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    repaired_answers: int = 0
    contacts: int = 0
    sides_changed: int = 0
    orders_exchanged: int = 0
    orders_open: int = 0
    problems: list[str] = field(default_factory=list)
    pairs_in_words: list[tuple[str, str, str]] = field(default_factory=list)

    def rows(self) -> list[tuple[str, int]]:
        """Return the table that `apu contacts` prints; what never happened is there with 0."""
        asked = self.pairs - self.statuses["not asked"]
        return [
            ("scenes", self.scenes),
            ("pairs", self.pairs),
            ("pairs asked about", asked),
            ("pairs refused", self.statuses["refused"]),
            ("pairs without a readable answer", self.statuses["unreadable"]),
            ("pairs where nothing touches", self.statuses["nothing touches"]),
            ("pairs in contact", self.statuses["contacts"]),
            ("answers used", self.answers),
            ("answers that repair another", self.repaired_answers),
            ("contacts", self.contacts),
            ("contacts whose sides were changed", self.sides_changed),
            ("pairs whose order was exchanged", self.orders_exchanged),
            ("pairs whose order stays open", self.orders_open),
        ]


def add_contacts(
    scenes: Sequence[Scene],
    answers: Iterable[Record] | str | Path,
    policy: ContactPolicy | None = None,
) -> tuple[list[Scene], ContactsReport]:
    """Return the scenes with the contacts that answers state, and what became of them.

    Each edge between two people gets the contacts of the answers about it, or none, and its evidence: an edge
    that was denied is not one that nobody asked about. An edge that has contacts already, from a person or
    from before, keeps them if there is no answer to it.

    Args:
        scenes: with names that differ.
        answers: records of `apu ask` about scenes, or their file. A record belongs to an edge by ``scene``
            and the two people it names; one without ``scene`` belongs to the scene of its ``image``, if
            there is one of that name.
        policy: how answers become contacts; ``ContactPolicy()`` if None.

    Raises:
        ValueError: two scenes of one name; a file of answers that cannot be read.

    Example:
        A scene of two people who were asked about::

            scenes, report = add_contacts(read_scene_lines("scenes.jsonl"), "answers.jsonl")
    """
    report = ContactsReport(scenes=len(scenes))
    by_edge = _by_edge(scenes, answers, report)
    done = []
    for scene in scenes:
        contacts = []
        for contact in scene.contacts:
            key = scene.name, frozenset((contact.person_a, contact.person_b))
            records = by_edge.get(key, [])
            one = contact.person_a == contact.person_b
            contacts.append(contact if one else _resolved(scene, contact, records, policy, report))
        done.append(replace(scene, contacts=contacts))
    return done, report


_Key = tuple[str, frozenset[int]]


def _by_edge(
    scenes: Sequence[Scene], answers: Iterable[Record] | str | Path, report: ContactsReport
) -> dict[_Key, list[Record]]:
    """Return the records of each edge; what was repaired is left out in favour of its repair."""
    records = list(read_answers(answers) if isinstance(answers, str | Path) else answers)
    names = [scene.name for scene in scenes]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"two scenes are called {twice!r}: answers name their scene, so names must differ")
    edges = {(scene.name, frozenset((c.person_a, c.person_b))) for scene in scenes for c in scene.contacts}
    repaired = {record["repair_of"] for record in records if record.get("repair_of") and _says(record)}
    found: dict[_Key, list[Record]] = {}
    strangers: Counter[str] = Counter()
    seen: set[tuple[str, object]] = set()
    for record in records:
        scene = str(record.get("scene") or _stem(record, set(names)))
        people = record.get("person_left"), record.get("person_right")
        key = scene, frozenset(p for p in people if isinstance(p, int))
        if key not in edges or len(key[1]) != 2:
            strangers["of no pair of these scenes"] += 1
            continue
        if record.get("question") in repaired:
            continue
        # the same question under two names is one answer
        question = scene, record.get("question") or id(record)
        if question in seen:
            continue
        seen.add(question)
        report.repaired_answers += bool(record.get("repair_of"))
        found.setdefault(key, []).append(record)
    for same in found.values():
        # in which order answers came must not tell
        same.sort(key=lambda record: (int(record.get("sample", 0)), str(record.get("question", ""))))
    report.problems += [f"{count} answers {why}: they were passed over" for why, count in strangers.items()]
    return found


def _says(record: Record) -> bool:
    """Whether a record holds an answer: a repair that came to nothing replaces none."""
    return record.get("status") == "answer"


def _stem(record: Record, names: set[str]) -> str:
    image = Path(str(record.get("image", "")))
    return next((name for name in (image.stem, image.parent.name, str(image)) if name in names), "")


def _resolved(
    scene: Scene,
    contact: SceneContact,
    records: Sequence[Record],
    policy: ContactPolicy | None,
    report: ContactsReport,
) -> SceneContact:
    a, b = contact.person_a, contact.person_b
    people = f"{a} and {b}"
    report.pairs += 1
    report.answers += len(records)
    answers = [_answer(record, records[0]) for record in records]
    models = [str(record.get("asked_model") or record.get("model") or "") for record in records]
    try:
        found = resolve_contacts(
            answers, scene.people[a], scene.people[b], policy, models=models, left=_left(records, a)
        )
    except ValueError as error:
        report.problems.append(f"{scene.name}, people {people}: {error}")
        report.statuses["unreadable"] += 1
        evidence = ContactEvidence("unreadable", answers=len(records), unreadable=len(records))
        return replace(contact, contacts=ContactMap.empty(), evidence=evidence)
    evidence = found.evidence
    if len(contact.contacts) and contact.evidence is None and evidence.status not in _TELLING:
        report.statuses["contacts"] += 1
        report.pairs_in_words.append((scene.name, people, "has contacts of its own"))
        return contact
    report.statuses[evidence.status] += 1
    report.contacts += len(found.contacts)
    report.sides_changed += found.sides_changed
    report.orders_exchanged += evidence.exchanged
    report.orders_open += evidence.order == "either"
    report.pairs_in_words.append((scene.name, people, in_words(evidence, str(a), str(b))))
    return SceneContact(a, b, found.contact_map, found.order, evidence)


_TELLING = ("contacts", "nothing touches")


def _left(records: Sequence[Record], a: int) -> Literal["a", "b"]:
    """Who stands on the left of the crop that was asked about first."""
    return "a" if not records or records[0].get("person_left") == a else "b"


def _answer(record: Record, first: Record) -> ContactAnswer | AnswerParseError:
    """Return what a record says, with its people as they stood in the crop of the first one."""
    try:
        answer = answer_of_record(record)
    except AnswerParseError as error:
        return error
    same = record.get("person_left") == first.get("person_left")
    return answer if same else answer.transposed()
