"""The simulated annotator: its text is read whole, and each way of being wrong is as frequent as said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import stats

from apu_contacts import PARTS, parse_answer
from apu_contacts.answers import ContactAnswer
from apu_contacts.answers.schema import conforms
from apu_losses.synthetic import (
    MODELS,
    AnnotatorNoise,
    IntendedContact,
    Observation,
    ObservationNoise,
    TruthScene,
    annotate,
    describe,
    observe,
)
from apu_losses.synthetic.annotator_words import (
    FREE_WORDS,
    NEIGHBOURS,
    PART_OF_PLACE,
    TRUNK_AND_HEAD,
    part_of,
)

NONE = AnnotatorNoise.none()
MANY = 1500


@pytest.fixture(scope="module")
def picture(made_scenes: list[TruthScene]) -> Observation:
    """Person 0 on the left; three contacts that cannot be taken for each other."""
    truth = replace(
        made_scenes[0],
        intended=(
            IntendedContact("left palm", "right knee", 0, 0),
            IntendedContact("right top of shoulder", "left heel", 0, 0),
            IntendedContact("left crook of arm", "upper back", 0, 0),
        ),
    )
    observation = observe(truth, ObservationNoise.none(), seed=1)
    return replace(observation, left=0)


def answers(
    picture: Observation, noise: AnnotatorNoise, count: int = MANY, model: str = "steady"
) -> list[ContactAnswer]:
    return [parse_answer(annotate(picture, noise, seed, model)) for seed in range(count)]


def binomial(hits: int, trials: int, share: float) -> bool:
    low, high = stats.binom.interval(0.9998, trials, share)
    return bool(low <= hits <= high)


def said(answer: ContactAnswer) -> set[tuple[str, str, str, str]]:
    return {(c.side_a, c.part_a, c.side_b, c.part_b) for c in answer.contacts}


TOLD = {
    ("left", "hand", "right", "knee"),
    ("right", "shoulder", "left", "foot"),
    ("left", "elbow", "both", "back"),
}


def test_without_mistakes_the_intended_contacts_are_told(picture: Observation) -> None:
    for model in MODELS:
        answer = parse_answer(annotate(picture, NONE, model=model))
        assert said(answer) == TOLD
        assert {c.confidence for c in answer.contacts} == {1.0}
        assert answer.interaction == picture.truth.interaction
    mirrored = parse_answer(annotate(replace(picture, left=1), NONE))
    assert said(mirrored) == {(c, d, a, b) for a, b, c, d in TOLD}


def test_every_text_is_understood_to_the_last_character(made_scenes: list[TruthScene]) -> None:
    noise = AnnotatorNoise().scaled(2)
    for truth in made_scenes:
        observation = observe(truth)
        for model, habits in MODELS.items():
            for seed in range(20):
                text = annotate(observation, noise, seed, model)
                answer = parse_answer(text)
                assert answer.fully_explained and not answer.unknown_words
                stated = json.loads(text[text.index("{") : text.rindex("}") + 1])
                # what the parser merges is said twice
                assert len(answer.contacts) <= len(stated["contacts"])
                if not habits.fenced and not habits.free_words:
                    assert answer.conforms and conforms(stated)


def test_contacts_are_missed_and_invented_as_often_as_said(picture: Observation) -> None:
    found = answers(picture, replace(NONE, missed=0.25))
    assert all(said(a) <= TOLD for a in found)
    assert binomial(sum(len(a.contacts) for a in found), 3 * MANY, 0.75)
    empty = replace(picture, truth=replace(picture.truth, intended=()))
    counts = Counter(
        len(json.loads(annotate(empty, replace(NONE, invented=0.6), s))["contacts"]) for s in range(MANY)
    )
    for count in range(3):
        assert binomial(counts[count], MANY, float(stats.poisson.pmf(count, 0.6)))


def test_parts_are_taken_for_their_neighbours_as_often_as_said(picture: Observation) -> None:
    found = answers(picture, replace(NONE, neighbour=0.2))
    knees = [c.part_b for a in found for c in a.contacts if c.part_a == "hand"]
    hands = [c.part_a for a in found for c in a.contacts if c.part_b == "knee"]
    for parts, right in ((knees, "knee"), (hands, "hand")):
        assert set(parts) == {right, *NEIGHBOURS[right]}
        assert binomial(parts.count(right), len(parts), 0.8)


def _flips(found: list[ContactAnswer], parts: tuple[str, str], right: tuple[str, str]) -> Mapping[str, int]:
    kinds: Counter[str] = Counter()
    for answer in found:
        for c in answer.contacts:
            if (c.part_a, c.part_b) == parts:
                wrong = c.side_a != right[0], c.side_b != right[1]
                kinds["both" if all(wrong) else "one" if any(wrong) else "none"] += 1
    return kinds


def test_sides_are_flipped_as_often_as_said_and_mostly_in_whole_answers(picture: Observation) -> None:
    found = answers(picture, replace(NONE, flipped=0.3))
    hand = _flips(found, ("hand", "knee"), ("left", "right"))
    assert hand["one"] == 0 and binomial(hand["both"], MANY, 0.3)
    together = sum(
        ("right", "hand", "left", "knee") in said(a) and ("left", "shoulder", "right", "foot") in said(a)
        for a in found
    )
    # 0.3 answers in the picture's frame with 0.8 of their contacts; 0.2 * 0.3 / 0.7 of those of the others
    assert binomial(together, MANY, 0.3 * 0.8**2 + 0.7 * (0.2 * 0.3 / 0.7) ** 2)
    alone = _flips(answers(picture, replace(NONE, flipped_alone=0.1)), ("hand", "knee"), ("left", "right"))
    assert binomial(alone["one"], MANY, 2 * 0.1 * 0.9) and binomial(alone["both"], MANY, 0.01)


def test_people_are_mixed_up_as_often_as_said(picture: Observation) -> None:
    found = answers(picture, replace(NONE, people_swapped=0.1))
    assert binomial(sum(said(a) != TOLD for a in found), MANY, 0.1)
    assert all(said(a) in (TOLD, {(c, d, x, y) for x, y, c, d in TOLD}) for a in found)


def test_sides_of_trunk_and_head_are_vague_as_often_as_said(made_scenes: list[TruthScene]) -> None:
    contact = (IntendedContact("left cheek", "right shoulder blade", 0, 0),)
    picture = replace(observe(replace(made_scenes[0], intended=contact)), left=0)
    sides = [next(iter(said(a))) for a in answers(picture, replace(NONE, vague_side=0.6))]
    assert binomial(sum(s[0] == "both" for s in sides), MANY, 0.6)
    assert {s[0] for s in sides} == {"both", "left"} and {s[2] for s in sides} == {"both", "right"}


def test_stated_confidence_is_informative_and_not_calibrated(picture: Observation) -> None:
    noise = replace(AnnotatorNoise(), neighbour=0, flipped=0, flipped_alone=0, people_swapped=0, invented=1.0)
    right, wrong = [], []
    for answer in answers(picture, noise):
        for c in answer.contacts:
            told = (c.side_a, c.part_a, c.side_b, c.part_b) in TOLD
            (right if told else wrong).append(c.confidence)
    assert np.mean(right) == pytest.approx(0.85, abs=0.015)
    assert np.mean(wrong) == pytest.approx(0.70, abs=0.015)
    # of what is stated at about 0.72, another share is true
    near = [c for c in right if 0.65 < c < 0.8], [c for c in wrong if 0.65 < c < 0.8]
    assert abs(len(near[0]) / (len(near[0]) + len(near[1])) - 0.72) > 0.05


def test_samples_of_a_model_are_alike_and_models_are_not(picture: Observation) -> None:
    noise = replace(NONE, missed=0.5, variation=0.3)
    first = [said(parse_answer(annotate(picture, noise, s))) for s in range(MANY)]
    second = [said(parse_answer(annotate(picture, noise, s, sample=1))) for s in range(MANY)]
    other = [said(parse_answer(annotate(picture, noise, s, "terse"))) for s in range(MANY)]
    contact = ("left", "hand", "right", "knee")

    def agreement(one: list[set], two: list[set]) -> int:
        return sum((contact in a) == (contact in b) for a, b in zip(one, two, strict=True))

    # a decision is the same unless one of the two samples took it anew and it came out differently
    assert binomial(agreement(first, second), MANY, 0.7**2 + (1 - 0.7**2) * 0.5)
    # independent models that miss 0.5 and 0.65
    assert binomial(agreement(first, other), MANY, 0.5 * 0.35 + 0.5 * 0.65)
    assert binomial(sum(contact in a for a in second), MANY, 0.5)


def test_a_seed_gives_the_same_text(picture: Observation) -> None:
    texts = [annotate(picture, seed=s, model=m, sample=k) for s in (0, 1) for m in MODELS for k in (0, 1)]
    again = [annotate(picture, seed=s, model=m, sample=k) for s in (0, 1) for m in MODELS for k in (0, 1)]
    assert texts == again and len(set(texts)) > 6


def test_the_annotators_words_are_parts_of_the_paper() -> None:
    assert set(PART_OF_PLACE.values()) | set(NEIGHBOURS) <= set(PARTS)
    assert {n for near in NEIGHBOURS.values() for n in near} <= set(PARTS)
    assert set(FREE_WORDS) | set(TRUNK_AND_HEAD) <= set(PARTS)
    assert part_of("left back of hand") == ("hand", "left") and part_of("nape") == ("neck", "")
    with pytest.raises(KeyError, match="third arm"):
        part_of("left third arm")


def test_every_dial_is_described_and_may_not_be_nonsense(picture: Observation) -> None:
    dials = describe(AnnotatorNoise())
    assert [d.name for d in dials] == [f.name for f in fields(AnnotatorNoise)]
    assert {d.basis for d in dials} == {"paper", "assumed"}
    assert AnnotatorNoise().scaled(0).missed == 0 and AnnotatorNoise().scaled(10).flipped == 0.8
    for bad in ({"missed": 25}, {"flipped": 0.9}, {"invented": -1.0}):
        with pytest.raises(ValueError, match=r"must|at most"):
            AnnotatorNoise(**bad)
    with pytest.raises(ValueError, match="model must be one of"):
        annotate(picture, model="gpt")
