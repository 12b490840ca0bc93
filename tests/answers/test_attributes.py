"""What an answer says of the people themselves: schema, prompt, readers, fusing, resolving, scene file."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from apu_contacts import Keypoints2D, PersonDetection, parse_answer, resolve_contacts
from apu_contacts.answers.attributes import Judgement, PairAttributes, PersonAttributes, fuse_attributes
from apu_contacts.answers.schema import (
    ANSWER_SCHEMA,
    ANSWER_WITH_ATTRIBUTES_SCHEMA,
    conforms,
    response_format,
    violations,
)
from apu_contacts.asking.prompt import build_prompt, load_example, words_digest
from apu_contacts.asking.request_body import chat_body
from apu_contacts.resolve import ContactEvidence

TOLD = PairAttributes(
    PersonAttributes(Judgement("adult", 0.95), Judgement("female", 0.9), Judgement("slim", 0.5)),
    PersonAttributes(Judgement("child", 0.9)),
    taller=Judgement("a", 0.9),
    in_front=Judgement("b", 0.6),
)
PNG = b"\x89PNG\r\n\x1a\n"


def contact() -> dict[str, Any]:
    part = {"part_name": "hand", "body_side": "left"}
    other = {"part_name": "back", "body_side": "none"}
    return {"body_part_person_left": part, "body_part_person_right": other, "confidence": 0.8}


def document(**changes: Any) -> dict[str, Any]:
    def judged(value: str, confidence: float) -> dict[str, Any]:
        return {"value": value, "confidence": confidence}

    adult = {"age_group": judged("adult", 0.95), "sex": judged("female", 0.9), "build": judged("slim", 0.5)}
    child = {"age_group": judged("child", 0.9), "sex": judged("unknown", 0), "build": judged("unknown", 0)}
    both = {"taller": judged("person_left", 0.9), "in_front": judged("person_right", 0.6)}
    said = {"person_left": adult, "person_right": child, **both}
    people = {"person_left": "a woman", "person_right": "a child"}
    whole = {"interaction": "hugging", "people": people, "orientation": "front to front"}
    return {**whole, "attributes": said, "contacts": [contact()], **changes}


def test_the_schema_is_strict_and_the_one_without_stays_as_it_was() -> None:
    jsonschema.Draft202012Validator.check_schema(ANSWER_WITH_ATTRIBUTES_SCHEMA)
    assert list(ANSWER_WITH_ATTRIBUTES_SCHEMA["properties"])[-2:] == ["attributes", "contacts"]
    assert "attributes" not in json.dumps(ANSWER_SCHEMA)
    sent = response_format(attributes=True)["json_schema"]["schema"]
    assert sent["required"] == list(sent["properties"])
    assert "minimum" not in json.dumps(response_format(False, True))
    assert conforms(document())
    for place, value in (("age_group", "old"), ("sex", "x"), ("build", "tall")):
        broken = copy.deepcopy(document())
        broken["attributes"]["person_left"][place]["value"] = value
        assert not conforms(broken) and place in violations(broken)[0]


def test_a_conforming_answer_is_read_and_written_back() -> None:
    answer = parse_answer(json.dumps(document()))
    assert answer.conforms and answer.attributes == TOLD
    assert parse_answer(json.dumps(answer.to_document())).attributes == TOLD
    assert answer.transposed().attributes == TOLD.transposed()
    assert TOLD.transposed().taller == Judgement("b", 0.9) and TOLD.transposed().transposed() == TOLD
    plain = document()
    del plain["attributes"]
    assert parse_answer(json.dumps(plain)).attributes is None


@pytest.mark.parametrize("fence", ["{0}", "Here:\n```json\n{0}\n```"])
def test_words_near_the_form_are_read_and_others_are_none(fence: str) -> None:
    said = {
        "left_person": {"age": "woman", "gender": {"value": "woman"}, "build": None, "hair": "red"},
        "person_right": {"age_group": "toddler", "sex": "unclear", "build": {"value": "gigantic"}},
        "who_is_taller": "left",
        "in_front": {"value": "person_right", "confidence": "high"},
    }
    answer = parse_answer(fence.replace("{0}", json.dumps(document(attributes=said))))
    assert answer.attributes == PairAttributes(
        PersonAttributes(Judgement("adult", 0.5), Judgement("female", 0.5)),
        PersonAttributes(Judgement("child", 0.5)),
        taller=Judgement("a", 0.5),
    )
    left_out = [repair.meaning for repair in answer.repairs if repair.kind == "attribute"]
    assert len(left_out) == 3 and any("build" in meaning for meaning in left_out)
    # the contacts are as they would be without
    assert answer.fully_explained and len(answer.contacts) == 1
    for odd in (3, [], "adult", None):
        answer = parse_answer(json.dumps(document(attributes=odd)))
        assert answer.attributes is None and len(answer.contacts) == 1 and answer.fully_explained


def test_the_question_changes_only_where_attributes_are_asked_for() -> None:
    plain, asked = build_prompt(PNG), build_prompt(PNG, attributes=True)
    assert "age_group" not in str(plain.pieces[0]) and "age_group" in str(asked.pieces[0])
    assert plain.wording_hash == build_prompt(PNG, attributes=False).wording_hash != asked.wording_hash
    # the words of the paper's question, as they were before there was a choice
    assert words_digest()[:12] == "18fe7b599fa7"
    assert words_digest(attributes=True) != words_digest()
    example = load_example()
    assert example is not None
    shown = parse_answer(str(build_prompt(PNG, example=example, attributes=True).pieces[3]))
    assert shown.conforms and shown.attributes == PairAttributes()
    assert len(shown.contacts) == len(parse_answer(example.answer).contacts)
    body = chat_body("m", asked)
    assert "attributes" in body["response_format"]["json_schema"]["schema"]["properties"]
    assert "attributes" not in json.dumps(chat_body("m", plain))


def test_several_answers_are_fused_value_by_value() -> None:
    other = PairAttributes(
        PersonAttributes(Judgement("teenager", 0.9), sex=Judgement("male", 0.3)), taller=Judgement("a", 0.5)
    )
    fused = fuse_attributes([TOLD, other, PairAttributes()])
    assert fused is not None and fused.a.age_group == Judgement("adult", 0.95 / 2)
    assert fused.a.sex == Judgement("female", 0.45) and fused.a.build == Judgement("slim", 0.5)
    assert fused.taller is not None and fused.taller == Judgement("a", pytest.approx(0.7))
    assert fused.b.age_group == Judgement("child", 0.9) and fuse_attributes([]) is None


def test_what_nobody_can_be_is_refused() -> None:
    with pytest.raises(
        ValueError, match="age_group must be one of adult, teenager, child, infant, got 'old'"
    ):
        PersonAttributes(Judgement("old", 0.5))
    with pytest.raises(ValueError, match=r"the confidence of taller must lie in \[0, 1\], got 90"):
        PairAttributes(taller=Judgement("a", 90))
    with pytest.raises(ValueError, match="attributes: "):
        PairAttributes.from_dict({"a": {"shoes": {"value": "red", "confidence": 1}}})


def person(x: float) -> PersonDetection:
    xy = np.array([[x, 20.0 + 10 * i] for i in range(17)])
    return PersonDetection(Keypoints2D("coco17", xy, np.ones(17)), [x, 20, x, 180])


def test_resolving_turns_them_to_person_a_and_b() -> None:
    text = json.dumps(document())
    right = resolve_contacts(text, person(100.0), person(250.0)).evidence
    left = resolve_contacts(text, person(250.0), person(100.0)).evidence
    exchanged = (right.exchanged, left.exchanged)
    assert exchanged == (False, False)
    assert right.attributes == TOLD and left.attributes == TOLD.transposed()
    written = json.loads(json.dumps(left.to_dict()))
    assert ContactEvidence.from_dict(written) == left
    assert left.exchanged_people().attributes == TOLD
    plain = document()
    del plain["attributes"]
    # a file without attributes is what it was
    assert (
        "attributes" not in resolve_contacts(json.dumps(plain), person(1.0), person(2.0)).evidence.to_dict()
    )
