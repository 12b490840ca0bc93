"""What answers say of people, put into scenes: age groups, who is in front, starts that know the contacts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from apu_contacts import ContactMap
from apu_contacts.answers.attributes import Judgement, PairAttributes, PersonAttributes
from apu_contacts.resolve import ContactEvidence
from apu_losses.app.demo import demo_scene
from apu_losses.fitting import Scene, SceneContact
from apu_losses.fitting.scene.file import scene_from_dict, scene_to_dict
from apu_losses.generate.said import started_as_said, with_attributes


def told(a: str = "", b: str = "", front: str = "", sure: float = 0.9) -> ContactEvidence:
    def person(group: str) -> PersonAttributes:
        return PersonAttributes(Judgement(group, sure) if group else None)

    said = PairAttributes(person(a), person(b), in_front=Judgement(front, sure) if front else None)
    return ContactEvidence("nothing touches", answers=1, denying=1, attributes=said)


def scene(*edges: tuple[int, int, ContactEvidence]) -> Scene:
    demo = demo_scene()
    people = [*demo.people, replace(demo.people[0], label="third")]
    contacts = [SceneContact(a, b, ContactMap.empty(), evidence=e) for a, b, e in edges]
    return replace(demo, people=people, contacts=contacts, depth_order=())


def groups(found: Scene) -> list[str]:
    return [person.age_group for person in found.people]


def test_age_groups_and_order_are_put_where_a_fit_looks() -> None:
    found = with_attributes(scene((1, 0, told("child", "adult", "a")), (1, 2, told("child", "", "same"))))
    assert groups(found) == ["adult", "child", ""] and found.depth_order == ((1, 0),)
    # one who is not sure says nothing, and pairs who contradict each other neither
    assert groups(with_attributes(scene((0, 1, told("child", sure=0.5))))) == ["", "", ""]
    split = scene((0, 1, told("child", front="a")), (0, 2, told("adult")), (1, 0, told("", "", "a")))
    assert groups(with_attributes(split)) == ["", "", ""] and with_attributes(split).depth_order == ()
    # what somebody said before stays
    known = scene((0, 1, told("child", front="b")))
    people = [replace(known.people[0], age_group="adult"), *known.people[1:]]
    known = replace(known, people=people, depth_order=[(0, 1)])
    assert groups(with_attributes(known))[0] == "adult" and with_attributes(known).depth_order == ((0, 1),)


def test_scene_files_keep_them() -> None:
    given = with_attributes(scene((0, 1, told("child", "adult", "b"))))
    written = json.loads(json.dumps(scene_to_dict(given)))
    again = scene_from_dict(written)
    assert again.contacts[0].evidence == given.contacts[0].evidence
    assert groups(again) == ["child", "adult", ""] and again.depth_order == ((1, 0),)


def test_nobody_starts_again_who_has_an_estimate_or_is_told_nothing() -> None:
    def none() -> None:
        raise AssertionError("no body is needed")

    given = [scene((0, 1, told("child", "adult", "b")))]
    (done,) = started_as_said(given, none, none)  # type: ignore[arg-type]
    assert groups(done)[:2] == ["child", "adult"]
    assert [p.initial for p in done.people] == [p.initial for p in given[0].people]
    assert started_as_said(given, none, none, "none") == given  # type: ignore[arg-type]
    assert groups(started_as_said(given, none, none, "contacts")[0]) == ["", "", ""]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="from_answers must be one of all, contacts, none, got 'some'"):
        started_as_said(given, none, none, "some")  # type: ignore[arg-type]
