# ruff: noqa: RUF001  # full-width marks and typographic signs are what models write
"""No contact appears that a text does not state: scopes, marks, remarks, corrections, legends, drafts,
refusals.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apu_contacts.answers import AnswerParseError, ContactAnswer, parse_answer

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "lvlm"

Row = tuple[str, str, str, str]
HAND: Row = ("hand", "left", "back", "right")
KNEE: Row = ("knee", "right", "thigh", "left")
FEET: Row = ("foot", "left", "foot", "left")


def entry(row: Row = HAND, confidence: float = 0.7, **more: Any) -> dict[str, Any]:
    return {
        "body_part_person_left": {"part_name": row[0], "body_side": row[1]},
        "body_part_person_right": {"part_name": row[2], "body_side": row[3]},
        "confidence": confidence,
        **more,
    }


def answer(*entries: Any, **more: Any) -> str:
    return json.dumps(
        {
            "interaction": "hugging",
            "people": {"person_left": "a woman in red", "person_right": "a man"},
            "orientation": "front to front",
            "contacts": list(entries),
            **more,
        }
    )


def read(text: str) -> ContactAnswer | None:
    try:
        return parse_answer(text)
    except AnswerParseError:
        return None


def rows(found: ContactAnswer | None) -> list[Row]:
    return [] if found is None else [(c.part_a, c.side_a, c.part_b, c.side_b) for c in found.contacts]


A = "Person 1's left hand - Person 2's right shoulder"
B = "Person 1's right knee - Person 2's left thigh"
ROW_A: Row = ("hand", "left", "shoulder", "right")
ROW_B: Row = ("knee", "right", "thigh", "left")

DENYING = [
    "Not touching",
    "Not in contact",
    "No contact",
    "Ruled out",
    "Rejected",
    "Excluded pairs",
    "Pairs that do not touch",
    "Near but apart",
    "Close, but separate",
    "Non-contacts",
    "Areas without contact",
    "These only come close",
    "Gaps",
    "Dismissed on closer look",
    "Considered and discarded",
    "Checked",
    "Near misses",
    "False positives",
    "Proximity only",
    "Untouched",
    "Almost touching",
    "None of the following touch",
    "Neither of these",
    "Unlikely",
    "Candidates",
    "Possible contacts",
    "Kein Kontakt",
    "Nicht berührt",
    "Sin contacto",
    "No se tocan",
    "Pas de contact",
    "Aucun contact",
    "没有接触",
    "Overlap in the image only, not in 3D",
    "What I looked at",
    "Decoys",
    "Zorblax",
]
AFFIRMING = [
    "In contact",
    "Touching",
    "Contacts",
    "Contact points",
    "Confirmed contacts",
    "Physical contact",
    "Points of contact between the two dancers",
    "Here are the contacts",
    "Answer",
    "Final answer",
    "Visible contacts",
    "Kontakt",
    "Berührungen",
    "Contactos",
    "接触",
    "The following body parts are in contact",
    "Upper body",
    "Definite",
    "I'm sorry, I can't name the people, but here are the contacts",
    "Summary of contacts",
    "What touches",
]
SHAPES = {
    "bold": "**{}:**\n- " + A + "\n- " + B,
    "markdown": "## {}\n1. " + A + "\n2. " + B,
    "colon": "{}:\n" + A + "\n" + B,
    "bare": "{}\n\n- " + A + "\n\n- " + B,
    "table": "### {}\n| Person 1 part | Person 2 part |\n|---|---|\n| left hand | right shoulder |\n"
    "| right knee | left thigh |",
    "bullets of a bullet": "- {}:\n  - " + A + "\n  - " + B,
    "list of JSON": "{}:\n```json\n" + json.dumps([entry(ROW_A), entry(ROW_B)]) + "\n```",
    "lines of JSON": "**{}**\n\n" + json.dumps(entry(ROW_A)) + "\n" + json.dumps(entry(ROW_B)),
}


class TestHeadings:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("words", DENYING)
    def test_that_deny_or_are_not_understood(self, words: str, shape: str) -> None:
        text = SHAPES[shape].replace("{}", words, 1)
        assert rows(read(text)) == []
        found = read("In contact:\n- Person 1's chest - Person 2's chest\n\n" + text)
        if "JSON" not in shape and shape != "bullets of a bullet":
            assert rows(found) == [("chest", "none", "chest", "none")], found

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("words", AFFIRMING)
    def test_that_affirm(self, words: str, shape: str) -> None:
        found = read(SHAPES[shape].replace("{}", words, 1))
        assert rows(found) == [ROW_A, ROW_B]
        assert found is not None and found.fully_explained

    @pytest.mark.parametrize(
        "inner", ["Hands", "Contact 1", "1", "Pair 2", "Upper body", "Left side", "Legs", "Item 3"]
    )
    def test_a_heading_below_does_not_lift_a_denial(self, inner: str) -> None:
        for outer, below in (
            ("## Ruled out", f"### {inner}"),
            ("Not touching:", f"{inner}:"),
            ("## Apart", f"**{inner}**"),
        ):
            assert rows(read(f"{outer}\n\n{below}\n- {A}")) == []
        text = f"## In contact\n- {B}\n## Not in contact\n### {inner}\n- {A}"
        assert rows(read(text)) == [ROW_B]

    def test_an_empty_section_denies_nothing_else(self) -> None:
        for heading in ("**Not in contact**", "## No contact", "Not touching:"):
            assert rows(read(f"## Contacts\n- {A}\n\n{heading}")) == [ROW_A]

    def test_a_denial_ends_with_its_section(self) -> None:
        assert rows(read(f"**Not in contact:**\n- {A}\n\n**In contact:**\n- {B}")) == [ROW_B]
        assert rows(read(f"- Not touching:\n  - {A}\n- {B}")) == [ROW_B]

    @pytest.mark.parametrize(
        "words",
        ["NOT", "No contact", "Not touching", "Ruled out", "Rejected", "Near miss", "Maybe", "Unsure"],
    )
    def test_on_the_line_of_the_statement(self, words: str) -> None:
        assert rows(read(f"- {words}: {A}\n- {B}")) == [ROW_B]
        assert rows(read(f"- Contact 2: {A}\n- {B}")) == [ROW_A, ROW_B]

    @pytest.mark.parametrize(
        "key",
        [
            "non_contacts",
            "not_touching",
            "no_contact",
            "ruled_out",
            "rejected_contacts",
            "excluded",
            "near_misses",
            "uncertain_contacts",
            "possible_contacts",
            "nearby",
            "separatedParts",
            "candidates",
        ],
    )
    def test_keys(self, key: str) -> None:
        for text in (
            answer(entry(HAND), **{key: [entry(KNEE)]}),
            json.dumps({"interaction": "", "contacts": {"touching": [entry(HAND)], key: [entry(KNEE)]}}),
        ):
            assert rows(read(text)) == [HAND]


class TestMarks:
    @pytest.mark.parametrize(
        "line",
        [
            "- [ ] {}",
            "* [ ] {}",
            "1. [ ] {}",
            "[ ] {}",
            "❌ {}",
            "- ✗ {}",
            "- ✘ {}",
            "☐ {}",
            "- 🚫 {}",
            "- {} ❌",
            "- ~~{}~~",
            "- <del>{}</del>",
            "- {}: no",
            "- {} (no)",
            "- {} - no contact",
            "- {} — not touching",
            "- {}? No.",
            "- {} (none)",
            "- {} (close, but a gap is visible)",
            "- {}: near only",
            "- {} (confidence: 0.8): not actually touching",
            "- {}\n  - they are not touching here",
            "- {}\n    a gap of 5 cm is visible",
            "- {} [x] ❌",
            "- {} (ruled out)",
            "- {}, but there is space between them",
            "- {}: false",
            "- {} | no",
            "- {} (kein Kontakt)",
            "- {}: 没有接触",
        ],
    )
    def test_that_deny(self, line: str) -> None:
        assert rows(read(line.replace("{}", A) + f"\n- {B}")) == [ROW_B]

    @pytest.mark.parametrize(
        "line",
        [
            "- [x] {}",
            "* [X] {}",
            "1. [x] {}",
            "[✓] {}",
            "✅ {}",
            "- ✔ {}",
            "☑ {}",
            "- {} ✅",
            "- {}: yes",
            "- {} (yes)",
            "- {} - firm contact",
            "- {} — 85%",
            "- {} (high)",
            "- {} (0.85)",
            "- {} (confidence: high): fingers spread over it",
            "- {} (confidence: 0.85) because the palm lies flat",
            "- {}\n  - Confidence: 0.85",
            "- {} (no gap is visible)",
            "- **{}** (confidence: 0.85)",
        ],
    )
    def test_that_affirm(self, line: str) -> None:
        found = read(line.replace("{}", A) + f"\n- {B}")
        assert rows(found) == [ROW_A, ROW_B]
        assert found is not None and found.fully_explained
        if "85" in line:
            assert found.contacts[0].confidence == 0.85


class TestTables:
    @pytest.mark.parametrize(
        ("title", "cell"),
        [
            ("Notes", "near, not touching"),
            ("Contact type", "none"),
            ("Contact?", "No"),
            ("In contact?", "✗"),
            ("Touching", "no"),
            ("Status", "separated"),
            ("Description", "a gap of a few centimetres"),
            ("Verdict", "rejected"),
            ("Type", "proximity only"),
            ("Distance (cm)", "12"),
            ("Comment", "hovers above it"),
            ("Touch", "false"),
            ("Remarks", "clearly apart"),
            ("", "❌"),
        ],
    )
    def test_a_column_that_denies(self, title: str, cell: str) -> None:
        text = (
            f"| Person 1 part | Person 2 part | {title} | Confidence |\n|---|---|---|---|\n"
            f"| left hand | right shoulder | {cell} | 0.9 |\n| right knee | left thigh | | 0.8 |\n"
        )
        assert rows(read(text)) == [ROW_B]

    @pytest.mark.parametrize(
        ("title", "cell"),
        [
            ("Notes", "firm"),
            ("Contact type", "direct"),
            ("Contact?", "Yes"),
            ("In contact?", "✓"),
            ("Touching", "yes"),
            ("Status", "confirmed"),
            ("Description", "no gap is visible"),
            ("Distance (cm)", "0"),
            ("#", "1"),
        ],
    )
    def test_a_column_that_affirms(self, title: str, cell: str) -> None:
        text = (
            f"| Person 1 part | Person 2 part | {title} | Confidence |\n|---|---|---|---|\n"
            f"| left hand | right shoulder | {cell} | 0.9 |\n"
        )
        found = read(text)
        assert rows(found) == [ROW_A] and found is not None and found.fully_explained

    def test_separated_values_and_outlines(self) -> None:
        header = "person_left_part{0}person_left_side{0}person_right_part{0}person_right_side{0}confidence\n"
        for separator in (",", ";", "\t"):
            text = (header + "hand{0}left{0}shoulder{0}right{0}0.8\n").replace("{0}", separator)
            assert rows(read(text)) == [ROW_A]
        yaml = (
            "interaction: hug\ncontacts:\n  - body_part_person_left:\n      part_name: hand\n      "
            "body_side: left\n"
            "    body_part_person_right:\n      part_name: shoulder\n      body_side: right\n    "
            "confidence: 0.8\n"
        )
        assert rows(read(yaml)) == [ROW_A]
        assert rows(read(yaml + "    in_contact: false\n")) == []
        assert rows(read(yaml.replace("contacts:", "not_touching:"))) == []
        nested = "Pair 1\n  - Person A: hand (left)\n  - Person B: shoulder (right)\n  - Confidence: 0.8\n"
        assert rows(read(nested)) == [ROW_A]
        assert rows(read("Not touching\n" + nested)) == []


class TestFields:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("contact_type", "none"),
            ("contact_type", "near only"),
            ("type", "proximity only"),
            ("contact", "none"),
            ("in_contact", 0),
            ("touching", 0),
            ("touching", "no"),
            ("contact_status", "separated"),
            ("note", "a few centimetres apart"),
            ("note", "hovers above, a gap is visible"),
            ("explanation", "the two are clearly apart here"),
            ("verdict", "no"),
            ("distance_cm", 30),
            ("gap", "5 cm"),
            ("is_touching", False),
            ("no_contact", True),
            ("separated", True),
            ("negated", True),
            ("comment", "almost touching"),
            ("status", "rejected"),
            ("contact", "not in contact"),
            ("relation", "close"),
            ("evidence", ["the palm is not touching it"]),
            ("hinweis", "kein Kontakt"),
            ("notes", "没有接触"),
            ("valid", False),
            ("state", "no_contact"),
            ("reasoning", "I looked again and there is space between them"),
            ("contact_type", "hover"),
            ("kind", "near-contact"),
            ("details", {"touching": False}),
        ],
    )
    def test_that_deny(self, key: str, value: Any) -> None:
        assert rows(read(answer(entry(HAND, **{key: value}), entry(KNEE)))) == [KNEE]

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("contact_type", "firm"),
            ("type", "direct"),
            ("in_contact", True),
            ("touching", 1),
            ("contact_status", "touching"),
            ("note", "not visible, but contact is certain"),
            ("visible", True),
            ("occluded", False),
            ("bbox_2d", [1, 2, 3, 4]),
            ("point", [1, 2]),
            ("label", "contact 1"),
            ("description", "hand rests on the back near the shoulder"),
            ("distance_cm", 0),
            ("no_contact", False),
            ("evidence", ["the palm lies flat"]),
            ("note", "no gap is visible between them"),
            ("id", 3),
        ],
    )
    def test_that_do_not(self, key: str, value: Any) -> None:
        found = read(answer(entry(HAND, **{key: value}), entry(KNEE)))
        assert rows(found) == [HAND, KNEE] and found is not None and found.fully_explained

    @pytest.mark.parametrize(
        "key", ["touching", "has_contact", "in_contact", "contact", "any_contact", "is_touching"]
    )
    def test_of_the_whole_answer(self, key: str) -> None:
        found = read(answer(entry(HAND), **{key: False}))
        assert rows(found) == [] and found is not None and not found.fully_explained
        agreed = read(answer(**{key: False}))
        assert agreed is not None and agreed.fully_explained and not agreed.contacts
        assert rows(read(answer(entry(HAND), **{key: True}))) == [HAND]

    @pytest.mark.parametrize(
        "words",
        ["none", "unlikely", "no contact", "not touching", "impossible", "no", "rejected", "kein Kontakt"],
    )
    def test_a_confidence_that_denies(self, words: str) -> None:
        assert rows(read(answer(entry(HAND, confidence=words), entry(KNEE)))) == [KNEE]  # type: ignore[arg-type]


class TestCorrections:
    @pytest.mark.parametrize(
        "words",
        [
            "Correction: the knee is not touching the thigh.",
            "Edit: remove the last entry, it is wrong.",
            "The second contact should be ignored.",
            "Please drop #2.",
            "Note that the knee contact is not real.",
            "Strike the knee-thigh entry.",
            "Scratch that last one.",
            "On reflection, the knee is a few centimetres from the thigh.",
            "Wait - looking again, the knees and thighs are apart.",
            "Sorry, I made a mistake: the knee does not reach the thigh.",
            "I was wrong about the knee; it is clearly separated.",
            "Disregard contact 2.",
            "Actually the right knee isn't in contact.",
        ],
    )
    def test_of_one_contact(self, words: str) -> None:
        for text in (
            answer(entry(HAND), entry(KNEE)) + "\n\n" + words,
            words + "\n\n```json\n" + answer(entry(HAND), entry(KNEE)),
        ):
            found = read(text)
            assert KNEE not in rows(found)
            assert found is None or not found.fully_explained
        assert rows(read(answer(entry(HAND), entry(KNEE)) + "\n\n" + words)) == [HAND]

    @pytest.mark.parametrize(
        "words",
        [
            "Correction: I mixed up left and right above.",
            "Wait, I swapped the two people.",
            "Ignore the above.",
            "Actually, nothing touches.",
            "Please disregard this answer, they are not touching.",
            "In fact they do not touch at all.",
            "更正：没有接触。",
            "Korrektur: Es gibt keinen Kontakt.",
            "Corrección: no hay contacto.",
            "There is no contact between them.",
        ],
    )
    def test_of_everything(self, words: str) -> None:
        for text in (answer(entry(HAND), entry(KNEE)), f"- {A}\n- {B}"):
            found = read(f"{text}\n\n{words}")
            assert rows(found) == [] and (found is None or not found.fully_explained)

    @pytest.mark.parametrize(
        "words",
        [
            "Let me know if you need anything else!",
            "No other contacts are visible.",
            "The feet are not touching.",
            "I hope this helps.",
            "There are no additional contacts.",
            "The image is blurry, so I lowered the confidences.",
            "Nothing else touches.",
            "The heads are close but do not touch.",
            "<|im_end|>",
            "These are all contacts that I can identify.",
        ],
    )
    def test_words_that_change_nothing(self, words: str) -> None:
        found = read(answer(entry(HAND), entry(KNEE)) + "\n\n" + words)
        assert rows(found) == [HAND, KNEE] and found is not None and found.fully_explained

    @pytest.mark.parametrize(
        "words",
        [
            "Person 1's right hand also touches Person 2's shoulder.",
            "In addition, the left foot is touching his foot.",
            "Her head is also in contact with his chest.",
            "The elbow touches the stomach too.",
        ],
    )
    def test_words_that_say_more(self, words: str) -> None:
        found = read(answer(entry(HAND), entry(KNEE)) + "\n\n" + words)
        assert rows(found) == [HAND, KNEE] and found is not None and not found.fully_explained

    @pytest.mark.parametrize(
        "words",
        [
            "A contact would be written as",
            "Here is an example of the format:",
            "For example:",
            "If they touched, it would be:",
            "Expected format:",
            "Example output (not this picture):",
            "The schema looks like this example:",
            "A hypothetical entry:",
            "Zum Beispiel:",
            "例如：",
        ],
    )
    def test_a_sample_is_no_answer(self, words: str) -> None:
        assert rows(read(f"{words} {json.dumps(entry(HAND))}")) == []
        assert (
            rows(read(f"{words} {json.dumps(entry(HAND))}. In this picture, however, nothing touches.")) == []
        )


THINKING = [
    "<think>{0}</think>{1}",
    "<thinking>{0}</thinking>{1}",
    "<thought>{0}</thought>{1}",
    "<analysis>{0}</analysis>\n{1}",
    "<reasoning>{0}</reasoning><answer>{1}</answer>",
    "[THINK]{0}[/THINK]{1}",
    "[REASONING]{0}[/REASONING]{1}",
    "◁think▷{0}◁/think▷{1}",
    "<seed:think>{0}</seed:think>{1}",
    "<|begin_of_thought|>{0}<|end_of_thought|>{1}",
    "<|START_THINKING|>{0}<|END_THINKING|><|START_RESPONSE|>{1}<|END_RESPONSE|>",
    "<scratchpad>{0}</scratchpad>{1}",
    "<think type='visual'>{0}</think>{1}",
    "<|think|>{0}<|/think|>{1}",
    "【思考】{0}【/思考】{1}",
    "{0}</think>{1}",
    "<|channel|>analysis<|message|>{0}<|end|><|start|>assistant<|channel|>final<|message|>{1}<|return|>",
    "<|channel|>commentary<|message|>{0}<|end|><|channel|>final<|message|>{1}",
    "analysisThe two {0}assistantfinal{1}",
    "<unused94>thought\n{0}<unused95>{1}",
    "<inner_monologue>{0}</inner_monologue>{1}",
    "{0}\n<answer>{1}</answer>",
    "<think>{0}<answer>{1}</answer>",
    "<reflection>{0}</reflection><output>{1}</output>",
    "Draft:\n{0}\n\nFinal answer:\n{1}",
    "First attempt:\n{0}\nCorrected:\n{1}",
    "Thinking Process:\n1. Draft: {0}\n2. The feet are apart, drop it.\n\n{1}",
    "### Reasoning\n{0}\n\n### Answer\n{1}",
    "Initial list: {0}\nRevised: {1}",
]


class TestReasoning:
    @pytest.mark.parametrize("shape", THINKING)
    def test_a_draft_is_no_answer(self, shape: str) -> None:
        for draft in (json.dumps(entry(FEET)), json.dumps([entry(FEET)]), answer(entry(FEET)), f"\n- {A}\n"):
            text = shape.replace("{0}", draft).replace("{1}", answer(entry(HAND)))
            assert rows(read(text)) == [HAND], text[:60]

    @pytest.mark.parametrize("shape", [shape for shape in THINKING if not shape.startswith("{0}")])
    def test_cut_off_in_a_draft(self, shape: str) -> None:
        for draft in (json.dumps(entry(FEET)), json.dumps([entry(FEET)]), f"\n- {A}\n"):
            assert rows(read(shape.split("{0}")[0] + draft + " but I am not sure, let me look ag")) == []


class TestLegends:
    @pytest.mark.parametrize(
        "legend",
        [
            "Person A: the tall man on the right of the picture\nPerson B: the girl on the left",
            "Person A (right): a man",
            "Person A is the woman on the right, Person B the man on the left.",
            "A = right person, B = left person",
            "Person A stands on the right.",
            "Person B: man on the left",
            "**Person A** - the man on the right side of the image",
            "Person A: der Mann rechts",
            "Person A: la mujer a la derecha",
            "Person A: 右边的男人",
        ],
    )
    def test_that_exchange(self, legend: str) -> None:
        text = f"{legend}\n\n- Person A's left hand - Person B's right shoulder (0.9)"
        assert rows(read(text)) == [("shoulder", "right", "hand", "left")]
        text = (
            legend
            + "\n"
            + json.dumps(
                [{"person_A_part": "left hand", "person_B_part": "right shoulder", "confidence": 0.9}]
            )
        )
        assert rows(read(text)) == [("shoulder", "right", "hand", "left")]
        assert rows(read(legend + "\n" + answer(entry(HAND)))) == [HAND]  # these keys say it themselves

    @pytest.mark.parametrize(
        "legend",
        [
            "Person A: the man on the left\nPerson B: the girl on the right",
            "Person A: woman in red\nPerson B: man",
            "Person A (left), Person B (right)",
            "Person A has a bag on the right shoulder.",
            "Person A: a man with a watch on the right hand",
        ],
    )
    def test_that_do_not(self, legend: str) -> None:
        assert rows(read(f"{legend}\n\n- Person A's left hand - Person B's right shoulder (0.9)")) == [ROW_A]

    def test_in_the_people_of_the_answer(self) -> None:
        document = {
            "interaction": "hug",
            "people": {"A": "woman on the right", "B": "man on the left"},
            "contacts": [
                {"person_A_part": "left hand", "person_B_part": "right shoulder", "confidence": 0.8}
            ],
        }
        found = read(json.dumps(document))
        assert rows(found) == [("shoulder", "right", "hand", "left")]
        assert found is not None and found.people == {
            "person_left": "man on the left",
            "person_right": "woman on the right",
        }

    def test_that_contradict_themselves(self) -> None:
        text = f"Person A: on the right\nPerson B: on the right\n- {A}".replace(
            "Person 1", "Person A"
        ).replace("Person 2", "Person B")
        assert rows(read(text)) == []


class TestNothingOrRefused:
    @pytest.mark.parametrize(
        "words",
        [
            "I can't see any contact between the two people; they stand a metre apart.",
            "I see no contact at all.",
            "Kein Kontakt.",
            "The two people do not touch each other anywhere; there is a clear gap between them.",
            "Sin contacto.",
            "No hay contacto.",
            "No body parts are touching.",
            "They are standing apart and are not touching.",
            "Aucun contact.",
            "没有接触。",
            "两人没有身体接触。",
            "I cannot find any contact: their arms hang at their sides.",
            "Die beiden berühren sich nicht.",
            "Ils ne se touchent pas.",
        ],
    )
    def test_nothing_touches(self, words: str) -> None:
        found = read(words)
        assert found is not None and not found.refused and not found.contacts and found.fully_explained

    @pytest.mark.parametrize(
        "words",
        [
            "The picture is too dark, I am unable to determine whether they touch.",
            "It is unclear whether there is contact.",
            "The left hand does not touch the back.",
            "There is no contact, except the hands may touch.",
            "Not touching:",
            "I don't know.",
            "Their hands are not touching, but the shoulders are in contact.",
        ],
    )
    def test_neither(self, words: str) -> None:
        found = read(words)
        assert found is None or (not found.contacts and not found.refused and not found.fully_explained)

    @pytest.mark.parametrize(
        "words",
        [
            "Es tut mir leid, aber ich kann bei der Analyse von Personen auf Bildern nicht helfen.",
            "Dabei kann ich leider nicht helfen.",
            "Ich darf keine Angaben zu Personen auf Fotos machen.",
            "Lo siento, no puedo ayudar con esta imagen.",
            "No puedo analizar el contacto entre personas.",
            "Je suis désolé, mais je ne peux pas analyser cette image.",
            "Je ne peux pas décrire les personnes.",
            "抱歉，我无法分析图片中人物之间的身体接触。",
            "对不起，我不能帮助您完成这个请求。",
            "I'd rather not describe physical contact between these people.",
            "I'm not going to describe physical contact here.",
            '{"status": "refused", "reason": "policy"}',
            '{"error": "The image was blocked"}',
            "I won't be able to analyze people in images.",
            "I must refuse to annotate this.",
            "I cannot analyze this image.",
        ],
    )
    def test_refusals(self, words: str) -> None:
        found = read(words)
        assert found is not None and found.refused and not found.contacts


class TestSides:
    def test_two_sides_in_one_field(self) -> None:
        person = {"part_name": "left hand and right forearm", "body_side": ""}
        text = answer({**entry(), "body_part_person_left": person})
        assert rows(read(text)) == [("hand", "left", "back", "right"), ("forearm", "right", "back", "right")]

    @pytest.mark.parametrize(
        ("words", "side"),
        [
            ("anatomical left", "left"),
            ("left (anatomical)", "left"),
            ("their left", "left"),
            ("person's own left", "left"),
            ("left (viewer's right)", "left"),
            ("left (on the right of the image)", "left"),
            ("viewer's left", "none"),
            ("image left", "none"),
            ("left side of the image", "none"),
            ("left (from the viewer's perspective)", "none"),
            ("left (his right)", "none"),
            ("links", "left"),
            ("linke", "left"),
            ("izquierda", "left"),
            ("gauche", "left"),
            ("左", "left"),
            ("both (left and right)", "both"),
            ("beide", "both"),
            ("双侧", "both"),
        ],
    )
    def test_words(self, words: str, side: str) -> None:
        assert rows(read(answer(entry(("hand", words, "back", "right"))))) == [
            ("hand", side, "back", "right")
        ]


@pytest.mark.parametrize(
    "text",
    [
        f"{A}; Person 1's chest - Person 2's chest",
        f"{A}, while Person 2's right hand rests on Person 1's waist.",
        f"- {A} (0.5). Person 1's chest touches Person 2's chest too.",
    ],
)
def test_a_line_that_says_more_is_not_fully_explained(text: str) -> None:
    found = read(text)
    assert rows(found) in ([ROW_A], []) and (found is None or not found.fully_explained)


def test_parts_of_one_person_are_no_contact_of_two() -> None:
    own = {"person": "left", "part_a": "hand", "part_b": "face"}
    assert rows(read(json.dumps({"contacts": [own, entry(KNEE)]}))) == [KNEE]


def test_numbers_defined_by_the_text() -> None:
    for legend in ("1 = the man (right), 2 = the woman (left)", '{"legend": {"1": "person on the right"}}'):
        assert rows(read(f"{legend}\n- {A}")) in ([("shoulder", "right", "hand", "left")], [])


def test_the_marks_of_other_languages() -> None:
    """Full-width marks and Chinese quotation marks."""
    text = (
        "{“interaction”：“拥抱”，“contacts”：[{“body_part_person_left”：{“part_name”：“左手”，“body_side”：“左”}，"
        "“body_part_person_right”：{“part_name”：“背部”，“body_side”：“右”}，“confidence”：0.8}]}"
    )
    assert rows(read(text)) == [HAND]


class TestWhatIsNotUnderstood:
    """It is never fully explained, and takes away what it may be about."""

    @pytest.mark.parametrize(
        "words",
        [
            "\u043d\u0435 \u043a\u0430\u0441\u0430\u044e\u0442\u0441\u044f",
            "\u63a5\u89e6\u3057\u3066\u3044\u306a\u3044",
            "\U0001f44e",
            "\U0001f937",
        ],
    )
    @pytest.mark.parametrize("key", ["remark", "contact_type", "status"])
    def test_a_remark_in_another_script_or_in_signs(self, words: str, key: str) -> None:
        found = read(answer(entry(), entry(FEET, **{key: words})))
        assert rows(found) == [HAND]
        table = "| Person 1 | Person 2 | Contact |\n|---|---|---|\n| left hand | right shoulder | yes |\n"
        table += f"| face | face | {words} |"
        assert rows(read(table)) == [ROW_A]

    def test_words_beside_the_answer_in_another_script(self) -> None:
        found = read(
            answer(entry())
            + "\n\n\u041b\u0438\u0446\u0430 \u043d\u0435 \u043a\u0430\u0441\u0430\u044e\u0442\u0441\u044f."
        )
        assert found is not None and not found.fully_explained

    @pytest.mark.parametrize(
        "words",
        [
            "Person A faces left, Person B faces right.",
            "- Person 1 heads left - Person 2 faces right",
            "Person 1 backs to the left, person 2 faces the right",
        ],
    )
    def test_a_verb_is_no_part(self, words: str) -> None:
        assert rows(read(words)) == []

    @pytest.mark.parametrize("end", [" and", " &", " and "])
    def test_a_line_that_was_cut_off_between_two_parts(self, end: str) -> None:
        found = read(f"- {A}\n- Person 1's face - Person 2's head{end}")
        assert rows(found) == [ROW_A] and found is not None and not found.fully_explained

    def test_which_contacts_hold_in_a_list_of_its_own(self) -> None:
        found = read(answer(entry(), entry(FEET), is_contact=[True, False]))
        assert rows(found) == [] and found is not None and not found.fully_explained

    @pytest.mark.parametrize(
        "words",
        [
            "I cannot determine the interaction for safety reasons",
            "unclear",
            "It is impossible to tell what they do",
        ],
    )
    def test_an_empty_list_of_one_who_could_not_tell(self, words: str) -> None:
        said = json.loads(answer())
        found = read(json.dumps({**said, "interaction": words}))
        assert found is not None and not found.refused and not found.fully_explained

    @pytest.mark.parametrize(
        ("words", "kept"),
        [
            ("Only the first of these is real.", [HAND]),
            ("Treat the second as noise.", [HAND]),
            ("On reflection the feet do not meet.", [HAND]),
            ("Oops: it is the right hand, not the left.", [FEET]),
        ],
    )
    def test_corrections_by_place_and_of_sides(self, words: str, kept: list[Row]) -> None:
        found = read(answer(entry(), entry(FEET)) + f"\n\n{words}")
        assert rows(found) == kept and found is not None and not found.fully_explained

    @pytest.mark.parametrize(
        "words",
        [
            "The woman's left foot is not shown in the picture.",
            "The left hand is not fully visible, but its place on the back is clear.",
            "They stand at opposite sides of the image; the man on the viewer's left.",
            "Only two people are in the picture, the first is a man.",
        ],
    )
    def test_asides_take_nothing_away(self, words: str) -> None:
        right: Row = ("foot", "right", "foot", "left")
        assert rows(read(answer(entry(), entry(right)) + f"\n\n{words}")) == [HAND, right]
        assert rows(read(f"{words}\n\n" + answer(entry(), entry(right)))) == [HAND, right]

    def test_a_row_that_is_a_heading(self) -> None:
        table = (
            "| Person 1 | Person 2 |\n|---|---|\n| left hand | right shoulder |\n| **Not in contact** | |\n"
        )
        assert rows(read(table + "| face | face |\n| right knee | left thigh |")) == [ROW_A]
        found = read(table + "| face | face |\n| **In contact** | |\n| right knee | left thigh |")
        assert rows(found) == [ROW_A, ROW_B]

    @pytest.mark.parametrize(
        "words",
        [
            "Note: all sides are given from the viewer's perspective.",
            "Left and right are as named by the camera's point of view.",
        ],
    )
    def test_sides_of_the_picture_stay_open(self, words: str) -> None:
        found = read(f"{words}\n{answer(entry())}")
        assert rows(found) == [("hand", "none", "back", "none")] and found is not None
        assert not found.fully_explained
        own = read(f"All sides are the people's own, not the viewer's left or right.\n{answer(entry())}")
        assert rows(own) == [HAND]
        assert rows(read(answer(entry(), side_convention="image"))) == [("hand", "none", "back", "none")]

    @pytest.mark.parametrize(
        "legend",
        [
            "| Person | Position |\n|---|---|\n| A | right |\n| B | left |\n\n",
            "| Label | Who |\n|---|---|\n| Person 1 | the woman on the right |\n\n",
            '"person_a": {"description": "woman in red, on the right side of the image"}\n\n',
        ],
    )
    def test_legends_in_tables_and_objects(self, legend: str) -> None:
        label = "A" if "A" in legend or "_a" in legend else "1"
        other = {"A": "B", "1": "2"}[label]
        found = read(f"{legend}- Person {label}'s left hand - Person {other}'s right shoulder (0.9)")
        assert rows(found) == [("shoulder", "right", "hand", "left")]

    def test_numbers_of_rows_are_no_legend(self) -> None:
        table = "| # | Person 1 | Person 2 |\n|---|---|---|\n| 1 | left hand | right shoulder |\n"
        assert rows(read(table + "| 2 | right knee | left thigh |")) == [ROW_A, ROW_B]


def test_answers_that_seek_trouble() -> None:
    """The checker of the folder beside the checkout: nothing invented, nothing lost, refusals and denials
    seen.
    """
    if not (SHARED / "answers60_odd.json").is_file():
        pytest.skip("the folder shared/lvlm beside the checkout is absent")
    done = subprocess.run(
        [sys.executable, str(SHARED / "check_answers.py"), str(SHARED / "answers60_odd.json")],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 cases with a fault" in done.stdout
