"""Questions about the pairs of scenes: one an edge, cropped to the two people, the others dimmed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from apu_contacts.answers import AnswerParseError
from apu_contacts.answers.records import answer_of_record
from apu_contacts.asking.prompt import EarlierAnswer
from apu_contacts.asking.queries import PairQuery, pair_query
from apu_contacts.keypoints.seen import is_seen
from apu_losses.fitting.scene.types import Scene

_LONGEST = 4000
"""Characters of an unreadable answer that are shown to the model again; answers have some 600."""


def scene_queries(
    scenes: Iterable[Scene], action: str | None = None, *, attributes: bool = False
) -> tuple[list[PairQuery], list[str]]:
    """One question for each pair of people that a scene has a contact of, and what cannot be asked.

    The record of the answer names ``scene``, ``edge`` (the position in ``scene.contacts``), and under
    ``person_left`` and ``person_right`` who of ``scene.people`` stands where in the crop.

    Args:
        scenes: with photographs, and names that differ.
        action: a known label of the interaction, for all of them.
        attributes: ask for what can be seen of the people themselves, too.

    Returns:
        the questions, and one line for each edge that cannot be asked about, which says why.
    """
    queries: list[PairQuery] = []
    problems: list[str] = []
    for scene in scenes:
        for edge, contact in enumerate(scene.contacts):
            a, b = contact.person_a, contact.person_b
            if a == b:
                continue  # a question is about two people
            where = f"{scene.name}, people {a} and {b}"
            if scene.image is None:
                problems.append(
                    f"{where}: the scene names no photograph (image.path), which is what is shown"
                )
                continue
            unseen = [i for i in (a, b) if not is_seen(scene.people[i].keypoints.confidence).any()]
            if unseen:
                problems.append(f"{where}: person {unseen[0]} has no keypoint that was seen")
                continue
            try:
                query = pair_query(
                    scene.image,
                    [person.keypoints for person in scene.people],
                    a,
                    b,
                    dim_others=True,
                    action=action,
                    attributes=attributes,
                    id=f"{scene.name}:{a}-{b}",
                )
            except ValueError as error:
                problems.append(f"{where}: {error}")
                continue
            queries.append(replace(query, about={"scene": scene.name, "edge": edge}))
    return queries, problems


def repair_queries(queries: Sequence[PairQuery], records: Iterable[Mapping[str, Any]]) -> list[PairQuery]:
    """Questions to be asked once more, with the answer that could not be read whole and what was wrong.

    Args:
        queries: as they were asked.
        records: the answers; those of other questions are passed over, and so are repaired ones.
    """
    by_id = {query.id: query for query in queries}
    found: dict[tuple[str, str], PairQuery] = {}
    for record in records:
        query = by_id.get(str(record.get("id")))
        why = None if query is None else unread(record)
        if query is None or why is None:
            continue
        earlier = EarlierAnswer(str(record["text"])[:_LONGEST], why)
        question = str(record.get("question", ""))
        about = {**query.about, "repair_of": question}
        name = f"{query.id}:repair of {question[:12]}"
        found[query.id, question] = replace(query, id=name, about=about, repair=earlier)
    return list(found.values())


def unread(record: Mapping[str, Any]) -> str | None:
    """Return what of the answer in a record could not be read, in words for the model; None if it was read
    whole, is a refusal or holds no words.
    """
    if not str(record.get("text") or "").strip():
        return None
    try:
        answer = answer_of_record(record)
    except AnswerParseError as error:
        return " ".join(str(error).split())[:200]
    if answer.refused:
        return None
    if answer.unknown_words:
        return f"not in the list of parts and sides: {', '.join(answer.unknown_words)[:160]}"
    if answer.truncated:
        return "it ends before the JSON object does"
    if answer.unexplained:
        return f"not in the form: {answer.unexplained[0].text[:120]!r}"
    return None
