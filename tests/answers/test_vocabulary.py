"""Words for parts, sides, people and confidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apu_contacts.answers.keys import contact_key, document_key
from apu_contacts.answers.vocabulary import (
    VOCABULARY,
    PartPhrase,
    UnknownWordError,
    read_confidence,
    read_part,
    read_side,
)
from apu_contacts.regions.table import PARTS


def test_every_entry_names_parts_and_every_part_names_itself() -> None:
    assert all(part in PARTS for parts in VOCABULARY.values() for part in parts)
    assert all(VOCABULARY[part] == (part,) for part in PARTS)


@pytest.mark.parametrize(
    ("words", "parts", "side"),
    [
        ("hand", ["hand"], ""),
        ("Left Hand", ["hand"], "left"),
        ("right_hand", ["hand"], "right"),
        ("hand (left)", ["hand"], "left"),
        ("hands", ["hand"], "both"),
        ("both hands", ["hand"], "both"),
        ("left and right shoulder", ["shoulder"], "both"),
        ("left or right shoulder", ["shoulder"], "none"),
        ("left hand/forearm", ["hand", "forearm"], "left"),
        ("hand or forearm", ["hand", "forearm"], ""),
        ("left upper arm / right shoulder", ["upper arm", "shoulder"], "none"),
        ("lower back", ["back"], ""),
        ("small of the back", ["back"], ""),
        ("palm", ["hand"], ""),
        ("palm of the left hand", ["hand"], "left"),
        ("back of the right hand", ["hand"], "right"),
        ("his left hand", ["hand"], "left"),
        ("the boy's left hand", ["hand"], "left"),
        ("buttocks", ["waist"], ""),
        ("left hip", ["waist"], "left"),
        ("hips", ["waist"], ""),
        ("hip(s)", ["waist"], ""),
        ("ribs", ["chest"], ""),
        ("left shin", ["leg"], "left"),
        ("hair", ["head"], ""),
        ("back of the head", ["head"], ""),
        ("nape of the neck", ["neck"], ""),
        ("wrist", ["hand", "forearm"], ""),
        ("torso", ["chest", "stomach", "back"], ""),
        ("upper arm", ["upper arm"], ""),
        ("lower arm", ["forearm"], ""),
        ("upper leg", ["thigh"], ""),
        ("lower leg", ["leg"], ""),
        ("inner left thigh", ["thigh"], "left"),
        ("back (upper)", ["back"], ""),
        ("left shoulder blade", ["back"], "left"),
    ],
)
def test_parts(words: str, parts: list[str], side: str) -> None:
    (found,) = read_part(words)
    assert (list(found.parts), found.side) == (parts, side)


def test_and_says_several() -> None:
    assert [one.parts for one in read_part("hand and forearm")] == [("hand",), ("forearm",)]
    assert [one.side for one in read_part("left hand and forearm")] == ["left", "left"]
    assert read_part("hand and/or forearm") == (PartPhrase(("hand", "forearm")),)


def test_people() -> None:
    for words in (
        "Person 1's left hand",
        "left person's left hand",
        "left hand of person A",
        "p1's left hand",
        "the person on the left's left hand",
        "first person's left hand",
    ):
        assert read_part(words)[0] == PartPhrase(("hand",), "left", False, "a"), words
    assert read_part("person right's hand")[0].person == "b"
    with pytest.raises(UnknownWordError):
        read_part("person 1's hand on person 2's hand")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "hamd",
        "hand not touching",
        "body",
        "person 1",
        "left",
        "hand on back",
        "han",
        "handd",
        "the",
        "arm chair",
        "hand (holding a cup)",
        "x" * 300,
        "left foot of the table",
        "?",
    ],
)
def test_unknown_words_are_never_guessed(words: str) -> None:
    with pytest.raises(UnknownWordError):
        read_part(words)


def test_nothing() -> None:
    assert read_part("none") == read_part("N/A") == read_part("no contact.") == ()


@given(st.text(max_size=60))
def test_any_text_is_read_or_unknown(words: str) -> None:
    try:
        found = read_part(words)
    except UnknownWordError:
        return
    assert all(part in PARTS for one in found for part in one.parts)


@given(st.sampled_from(PARTS), st.integers(0, 20), st.characters(codec="ascii", categories=["Ll"]))
def test_one_other_letter_is_no_likeness(part: str, place: int, letter: str) -> None:
    place %= len(part)
    word = part[:place] + letter + part[place + 1 :]
    if word in VOCABULARY or part[place] == " ":
        return
    with pytest.raises(UnknownWordError):
        read_part(word)


@pytest.mark.parametrize(
    ("words", "side"),
    [
        ("left", "left"),
        ("R", "right"),
        ("Both sides", "both"),
        ("left and right", "both"),
        ("left/right", "none"),
        ("left side", "left"),
        ("n/a", "none"),
        ("center", "none"),
        ("", ""),
        ("unknown", "none"),
        ("Left.", "left"),
    ],
)
def test_sides(words: str, side: str) -> None:
    assert read_side(words) == side


def test_unknown_sides() -> None:
    for words in ("upper", "leftish", "left or up"):
        with pytest.raises(UnknownWordError):
            read_side(words)


@pytest.mark.parametrize(
    ("words", "value", "fraction"),
    [
        ("0.8", 0.8, False),
        ("0,8", 0.8, False),
        ("80%", 0.8, True),
        ("80 percent", 0.8, True),
        ("8/10", 0.8, True),
        ("9 out of 10", 0.9, True),
        ("zero point eight five", 0.85, True),
        ("point eight", 0.8, True),
        ("eighty-five percent", 0.85, True),
        ("one hundred percent", 1.0, True),
        ("high", 0.8, True),
        ("85", 85.0, False),
        ("~0.7", 0.7, False),
        ("one", 1.0, True),
        ("(0.5)", 0.5, False),
    ],
)
def test_confidence(words: str, value: float, fraction: bool) -> None:
    found = read_confidence(words)
    assert found is not None and found.value == pytest.approx(value) and found.fraction == fraction


def test_unreadable_confidence() -> None:
    for words in ("maybe", "0.0 - 1.0", "", "one point eleven", "5/0", "very", "9" * 500):
        assert read_confidence(words) is None


@pytest.mark.parametrize(
    ("key", "person", "field"),
    [
        ("body_part_person_left", "a", "part"),
        ("bodyPartPersonRight", "b", "part"),
        ("person1_side", "a", "side"),
        ("Person 2 Body Part", "b", "part"),
        ("part_a", "a", "part"),
        ("body_side", "", "side"),
        ("part_name", "", "part"),
        ("P2", "b", ""),
        ("score", "", "confidence"),
        ("left_person_laterality", "a", "side"),
        ("first", "a", ""),
    ],
)
def test_keys(key: str, person: str, field: str) -> None:
    assert contact_key(key) == (person, field)


def test_other_keys() -> None:
    for key in (
        "colour",
        "left_hand",
        "person_3",
        "left_right_part",
        "contact",
        "",
        "side_part_side_confidence",
    ):
        assert contact_key(key) is None, key
    assert (
        document_key("contactPoints") == "contacts" and document_key("Type of Interaction") == "interaction"
    )
    assert document_key("colour") == ""


SMPL = {
    "pelvis": "waist",
    "left_hip": "waist",
    "right_hip": "waist",
    "spine1": "back",
    "left_knee": "knee",
    "right_knee": "knee",
    "spine2": "back",
    "left_ankle": "leg",
    "right_ankle": "leg",
    "spine3": "back",
    "left_foot": "foot",
    "right_foot": "foot",
    "neck": "neck",
    "left_collar": "shoulder",
    "right_collar": "shoulder",
    "head": "head",
    "left_shoulder": "shoulder",
    "right_shoulder": "shoulder",
    "left_elbow": "elbow",
    "right_elbow": "elbow",
    "left_wrist": "hand",
    "right_wrist": "hand",
    "left_hand": "hand",
    "right_hand": "hand",
    "rightUpLeg": "thigh",
    "leftToeBase": "foot",
    "leftHandIndex1": "hand",
    "rightForeArm": "forearm",
    "leftUpLeg": "thigh",
    "hips": "waist",
    "jaw": "face",
    "left_index1": "hand",
    "right_pinky3": "hand",
}
OTHERS = {
    "Torso Back": "back",
    "Right Hand": "hand",
    "Left Foot": "foot",
    "Upper Leg Right Back": "thigh",
    "Upper Leg Left Front": "thigh",
    "Lower Leg Right Back": "leg",
    "Upper Arm Left Inner": "upper arm",
    "Lower Arm Right Outer": "forearm",
    "Head Right": "head",
    "left_ear": "head",
    "mid_hip": "waist",
    "nose": "face",
    "RWrist": "hand",
    "LShoulder": "shoulder",
    "left shoulder joint": "shoulder",
    "leftHand": "hand",
    "linke Hand": "hand",
    "rechter Unterarm": "forearm",
    "Rücken": "back",
    "Hüfte": "waist",
    "linkes Knie": "knee",
    "mano izquierda": "hand",
    "espalda": "back",
    "hombro derecho": "shoulder",
    "la rodilla": "knee",
    "main gauche": "hand",
    "dos": "back",
    "épaule droite": "shoulder",
    "avant-bras": "forearm",
    "genou": "knee",
    "左手": "hand",
    "右肩": "shoulder",
    "后背": "back",
    "膝盖": "knee",
    "双手": "hand",
    "左大腿": "thigh",
    "backside": "waist",
    "lumbar region": "back",
    "crook of the arm": "elbow",
    "calf muscle": "leg",
}


@pytest.mark.parametrize(("words", "part"), [*SMPL.items(), *OTHERS.items()])
def test_names_of_data_sets_and_languages(words: str, part: str) -> None:
    (found,) = read_part(words)
    assert found.parts[0] == part
    lowered = words.lower()
    for side, names in (
        ("left", ("left", "linke", "izquierd", "gauche", "左", "lsh")),
        ("right", ("right", "rechte", "derech", "droit", "右", "rwr")),
    ):
        if any(name in lowered for name in names):
            assert found.side == side
    if "双" in words:
        assert found.side == "both"


@pytest.mark.parametrize(
    ("words", "side"),
    [
        ("camera-left hand", "none"),
        ("hand on the left of the image", "none"),
        ("viewer's left hand", "none"),
        ("left hand (left in the picture)", "none"),
        ("left hand (right in image)", "left"),
        ("anatomical left hand", "left"),
        ("left hand (his right)", "none"),
        ("hand (L)", "left"),
        ("L. hand", "left"),
    ],
)
def test_sides_of_the_picture_are_not_the_persons_own(words: str, side: str) -> None:
    (found,) = read_part(words)
    assert (found.parts, found.side) == (("hand",), side)


def test_each_part_keeps_its_own_side() -> None:
    assert [(one.parts[0], one.side) for one in read_part("left hand and right forearm")] == [
        ("hand", "left"),
        ("forearm", "right"),
    ]
    assert [one.side for one in read_part("left hand and right hand")] == ["left", "right"]
