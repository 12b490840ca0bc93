"""Words beside a contact that are no plain denial: appearances, other languages, removed lines, tags.

None of them may become a contact; what is not understood is said.
"""

from __future__ import annotations

import json

import pytest

import apu_contacts as ac

ENTRY = {
    "body_part_person_left": {"part_name": "hand", "body_side": "right"},
    "body_part_person_right": {"part_name": "shoulder", "body_side": "left"},
    "confidence": 0.9,
}
OTHER = {
    "body_part_person_left": {"part_name": "foot", "body_side": "left"},
    "body_part_person_right": {"part_name": "foot", "body_side": "right"},
    "confidence": 0.8,
}
HAND = ("hand", "right", "shoulder", "left")
BACK = ("hand", "left", "back", "none")
FIRST = "Person A's right hand on Person B's left shoulder"
SECOND = "Person A's left hand on Person B's back"


def document(*entries):
    people = {"person_left": "a man", "person_right": "a woman"}
    return json.dumps({"interaction": "x", "people": people, "orientation": "y", "contacts": list(entries)})


def stated(text):
    try:
        answer = ac.parse_answer(text)
    except ac.AnswerParseError:
        return None
    return [(c.part_a, c.side_a, c.part_b, c.side_b) for c in answer.contacts]


@pytest.mark.parametrize(
    "words",
    [
        "only the shadow falls there",
        "a reflection in the window",
        "this is her mirror image",
        "they overlap in the image plane",
        "overlap only from this viewpoint",
        "the hand belongs to a third person",
        "held by someone else",
        "nur der Schatten",
        "keine Berührung",
        "no se tocan",
        "ne se touchent pas",
        "bu pengdao",
        "mei you jiechu",
        "bù pèng",
        "raakt niet",
        "furete inai",
        "dokunmuyor değil",
        "tidak menyentuh",
    ],
)
def test_words_that_let_no_contact_stand(words):
    assert stated(document(ENTRY, {**OTHER, "note": words})) == [HAND]
    assert stated(f"- {FIRST}\n- {SECOND}: {words}") == [HAND]
    assert not stated(f"- {SECOND}: {words}")


@pytest.mark.parametrize(
    "words",
    [
        "resting in the shadow of the tree",
        "flat palms",
        "seen against the mirror, fingers touching the cloth",
        "on the other person's jacket",
        "gently",
        "the sleeves overlap there",
        "toca el hombro",
        "pengdao",
    ],
)
def test_words_that_let_a_contact_stand(words):
    assert stated(document({**ENTRY, "note": words})) == [HAND]


@pytest.mark.parametrize(
    "tag",
    [
        "pondering",
        "ruminations",
        "mulling",
        "musings",
        "inner_voice",
        "internal-dialogue",
        "notes",
        "workspace",
        "contemplation",
        "x-draft",
    ],
)
def test_drafts_in_tags_of_any_name(tag):
    draft = json.dumps([OTHER])
    assert stated(f"<{tag}>\nMaybe {draft}? No.\n</{tag}>\n{document(ENTRY)}") == [HAND]
    assert stated(f"<{tag}>\n- {SECOND}\n</{tag}>\n- {FIRST}") == [HAND]
    assert not stated(f"<{tag}>{draft}</{tag}>\n{document()}")


@pytest.mark.parametrize("tag", ["answer", "output", "contacts", "json", "final_answer"])
def test_tags_of_an_answer_are_read(tag):
    assert stated(f"Here it is:\n<{tag}>\n{document(ENTRY)}\n</{tag}>\n1. done") == [HAND]


def test_comments_hold_no_answer():
    assert stated(f"<!-- {document(OTHER)} -->\n{document(ENTRY)}") == [HAND]
    assert not stated(f"<!-- {document(OTHER)} -->")


@pytest.mark.parametrize(
    "text",
    [
        f"```diff\n- {SECOND}\n+ {FIRST}\n```",
        f"```diff\n-{SECOND}\n+{FIRST}\n```",
        f"@@ -1,1 +1,1 @@\n-{SECOND}\n+{FIRST}",
        f"--- a/contacts\n+++ b/contacts\n-{SECOND}\n+{FIRST}",
        f"- {SECOND}\n+ {FIRST}",
        f"+ {FIRST}\n- {SECOND}",
        f'```diff\n "contacts": [\n-  {json.dumps(OTHER)}\n+  {json.dumps(ENTRY)}\n ]\n```',
    ],
)
def test_lines_that_a_comparison_takes_out_are_no_contacts(text):
    assert stated(text) == [HAND]


@pytest.mark.parametrize("bullet", ["-", "+", "*", "•"])
def test_bullets_are_no_denials(bullet):
    text = f"Contacts:\n{bullet} {FIRST}: touching\n{bullet} {SECOND}: touching"
    assert stated(text) == [HAND, BACK]


def test_a_line_that_may_be_taken_out_is_said_to_be_unread():
    answer = ac.parse_answer(f"- {SECOND}\n+ {FIRST}")
    assert not answer.fully_explained


def test_of_two_confidences_the_lower_one_counts():
    (contact,) = ac.parse_answer(document({**ENTRY, "score": "7/10"})).contacts
    assert contact.confidence == pytest.approx(0.7)
    assert stated(document({**ENTRY, "score": "no contact"})) in (None, [])


def test_many_tags_take_no_time():
    """Each is looked for up to the end of the text, so their number is bounded."""
    ac.parse_answer("<abc>" * 20_000 + document(ENTRY))
