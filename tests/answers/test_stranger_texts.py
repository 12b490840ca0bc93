"""Texts that strangers wrote to cause trouble: letters for people, languages, fields that take back."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from apu_contacts import AnswerParseError, ContactAnswer, parse_answer

HAND_BACK = ("hand", "left", "back", "none")


def rows(answer: ContactAnswer) -> list[tuple[str, str, str, str]]:
    return [(c.part_a, c.side_a, c.part_b, c.side_b) for c in answer.contacts]


def contact(**more: Any) -> str:
    """An answer with one contact, left hand on back, and other fields in it."""
    parts = {
        "body_part_person_left": {"part_name": "hand", "body_side": "left"},
        "body_part_person_right": {"part_name": "back", "body_side": "none"},
        "confidence": 0.8,
    }
    return json.dumps({"interaction": "hug", "contacts": [{**parts, **more}]}, ensure_ascii=False)


@pytest.mark.parametrize(
    "text",
    [
        "- left hand (A) -> back (B)",
        "- back [B] - left hand [A]",
        "- left hand of A touches back of B",
        "- A's left hand touches B's back",
        '{"contacts": [{"from": "left hand of A", "to": "back of B"}]}',
        '{"contacts": [{"source": "B\'s back", "target": "Person 1\'s left hand"}]}',
        "- linke Hand von Person 1 - Rücken von Person 2",
        "- mano izquierda de la Persona 1 - espalda de la Persona 2",
        "- main gauche de la personne 1 - dos de la personne 2",
        "- 人物1的左手 - 人物2的后背",
        "- 左边的人的左手 - 右边的人的后背",
        "- 人物2的后背 - 人物1的左手",
        "- linke Hand von Person 1 berührt Rücken von Person 2",
        "- 人物1的左手接触人物2的后背",
    ],
)
def test_people_by_letters_and_in_other_languages(text):
    answer = parse_answer(text)
    assert rows(answer) == [HAND_BACK] and answer.fully_explained


@pytest.mark.parametrize(
    "legend", ["A is the man on the right, B the woman on the left.", "B (left), A (right)"]
)
@pytest.mark.parametrize("line", ["- left hand (A) -> chest (B)", "- left hand of A touches chest of B"])
def test_a_legend_says_who_a_bare_letter_is(legend, line):
    assert rows(parse_answer(f"{legend}\n\n{line}")) == [("chest", "none", "hand", "left")]


@pytest.mark.parametrize(
    "text",
    [
        "- left hand (A) -> chest (A)",  # of one person
        "- left hand (A) -> back",  # whose back?
        "- left hand of a -> back of b man",  # an article is no letter
        "- Person 2's left hand (A) -> Person 1's back (B)",  # says both
        "Point A: left hand. Point B: back.\n- left hand (A) - back (B)",
        "Option A:\n- left hand of A - back of B",
        "- left hand of A -> back of B?",
        "如果人物1的左手接触人物2的后背",
        "- 人物12的左手 - 人物2的后背",  # of twelve people
        '{"contacts": [{"subject": "left hand of A", "verb": "points at", "object": "back of B"}]}',
        "Options: is it left hand (A) or back (B)?",
        "- left hand (A) does not touch back (B)",
        "- left hand (A) almost touches back (B)",
        "- 人物1的左手没有接触人物2的后背",
        "- 人物1的左手几乎碰到人物2的后背",
        "- linke Hand von Person 1 berührt beinahe Rücken von Person 2",
        "- mano izquierda de la Persona 1 casi toca espalda de la Persona 2",
        "没有接触:\n- 人物1的左手 - 人物2的后背",
        "Sin contacto:\n- mano izquierda de la Persona 1 - espalda de la Persona 2",
        "Kein Kontakt:\n- linke Hand von Person 1 - Rücken von Person 2",
        "Aucun contact :\n- main gauche de la personne 1 - dos de la personne 2",
    ],
)
def test_letters_and_languages_that_state_no_contact(text):
    with contextlib.suppress(AnswerParseError):  # the question is put again
        assert rows(parse_answer(text)) == []


def test_a_part_between_letters_of_the_other_keys_is_left_out():
    answer = parse_answer('{"contacts": [{"person_left": "left hand (B)", "person_right": "back (A)"}]}')
    assert not answer.contacts and not answer.fully_explained


@pytest.mark.parametrize(
    "field",
    [
        {"status": "to be verified"},
        {"status": "pending"},
        {"frame": "previous"},
        {"image": "the other picture"},
        {"time": "a moment later"},
        {"source": "the example"},
        {"note": "if she turned round"},
        {"note": "would touch once she leans back"},
        {"note": "touches only the coat that hangs on the chair"},
        {"Anmerkung": "schwebt knapp über dem Rücken"},
        {"nota": "flota sobre la espalda"},
        {"备注": "悬空没有贴上"},
    ],
    ids=str,
)
def test_fields_under_which_a_contact_is_not_stated(field):
    assert rows(parse_answer(contact(**field))) == []


@pytest.mark.parametrize(
    "field",
    [
        {"status": "confirmed"},
        {"frame": 12},
        {"image": "image.png"},
        {"source": "this photograph"},
        {"note": "only the fingertips rest on her"},
        {"note": "rests only on the shoulder blade"},
        {"note": "hard to say if the palm lies flat, but it touches"},
    ],
    ids=str,
)
def test_fields_that_leave_a_contact_as_it_is(field):
    answer = parse_answer(contact(**field))
    assert rows(answer) == [HAND_BACK] and answer.fully_explained


@pytest.mark.parametrize("confidence", [-0.9, 1.7, "0.1-0.3", "who knows"])
def test_a_confidence_that_was_not_understood_is_said(confidence):
    answer = parse_answer(contact(confidence=confidence))
    assert rows(answer) == [HAND_BACK] and answer.contacts[0].confidence == 0.5
    assert [one.reason for one in answer.unexplained] == ["a confidence that was not understood"]


@pytest.mark.parametrize("confidence", [None, 0.0, "8/10"])
def test_a_confidence_that_was_understood_or_left_out(confidence):
    assert parse_answer(contact(confidence=confidence)).fully_explained
