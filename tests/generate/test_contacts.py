"""Questions about scenes, the answers put into them, and the commands that do both."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback import answer, completion, serving
from PIL import Image
from typer.testing import CliRunner

from apu_contacts import ContactMap
from apu_contacts.asking import ReplayModel, ask_all, read_answers
from apu_losses.app.cli import app
from apu_losses.app.demo import demo_scene
from apu_losses.fitting import (
    Scene,
    SceneContact,
    load_scene,
    read_scene_lines,
    save_scene,
    write_scene_lines,
)
from apu_losses.generate import add_contacts, repair_queries, scene_queries
from apu_losses.generate.config import RunConfig, changes_of, load_policy
from apu_losses.generate.files import contacts_file
from apu_losses.generate.inputs import find_inputs
from apu_losses.generate.line.plan import make_plan, read_plan
from apu_losses.viz.mesh import person_color


def said(part_left: str, part_right: str) -> str:
    contact = {
        "body_part_person_left": {"part_name": part_left, "body_side": "none"},
        "body_part_person_right": {"part_name": part_right, "body_side": "none"},
        "confidence": 0.9,
    }
    return json.dumps({"interaction": "hugging", "contacts": [contact]})


def record(scene: str, left: int, right: int, text: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "sample": 0,
        "scene": scene,
        "person_left": left,
        "person_right": right,
        "text": text,
        **more,
    }


@pytest.fixture
def pair(tmp_path: Path) -> Scene:
    """The bundled pair with an edge that nobody was asked about; person 0 stands on the left."""
    scene = demo_scene()
    people = sorted(scene.people, key=lambda p: p.keypoints.xy[p.keypoints.confidence > 0.2, 0].mean())
    Image.new("RGB", (scene.width, scene.height), (90, 90, 90)).save(tmp_path / "photo.png")
    edge = SceneContact(0, 1, ContactMap.empty())
    return replace(scene, people=people, contacts=[edge], image=str(tmp_path / "photo.png"), name="pair")


def mirrored(scene: Scene) -> Scene:
    """The same scene with its people in the other order: person 1 stands on the left."""
    return replace(scene.keep_people([1, 0]), contacts=scene.contacts)


def test_a_question_names_scene_edge_people_and_crop(pair: Scene, tmp_path: Path) -> None:
    for scene, left in ((pair, 0), (mirrored(pair), 1)):
        (query,), problems = scene_queries([scene])
        assert problems == [] and (query.person_left, query.person_right) == (left, 1 - left)
        ask_all([query], ReplayModel(said("hand", "back")), tmp_path / f"{left}.jsonl")
        (row,) = read_answers(tmp_path / f"{left}.jsonl")
        assert (row["scene"], row["edge"], row["person_left"]) == ("pair", 0, left)
        assert row["crop"] == list(query.box or ()) and len(row["image_hash"]) == 64
    # two names of one edge show the same pixels: it is one question
    first, second = (scene_queries([s])[0][0].question("m") for s in (pair, replace(pair, name="twin")))
    assert first == second


def test_only_the_two_are_bright(pair: Scene) -> None:
    third = replace(
        pair.people[1], keypoints=replace(pair.people[1].keypoints, xy=pair.people[1].keypoints.xy + 90)
    )
    (query,), _ = scene_queries([replace(pair, people=[*pair.people, third])])
    assert len(query.keep) == 2 and len(query.dim) == 1


def test_what_cannot_be_asked_says_why(pair: Scene) -> None:
    unseen = replace(pair.people[1].keypoints, confidence=np.zeros_like(pair.people[1].keypoints.confidence))
    bare = replace(pair, name="bare", image=None)
    blind = replace(pair, name="blind", people=[pair.people[0], replace(pair.people[1], keypoints=unseen)])
    queries, problems = scene_queries([bare, blind, pair])
    assert [query.about["scene"] for query in queries] == ["pair"]
    assert "bare, people 0 and 1: the scene names no photograph" in problems[0]
    assert "blind, people 0 and 1: person 1 has no keypoint that was seen" in problems[1]


def test_nobody_needs_to_know_who_stands_left(pair: Scene) -> None:
    text = said("hand", "back")
    (straight,), _ = add_contacts([pair], [record("pair", 0, 1, text)])
    (turned,), _ = add_contacts([mirrored(pair)], [record("pair", 1, 0, text)])
    one, other = straight.contacts[0].contacts, turned.contacts[0].contacts
    assert len(one) > 0 and {(a, b) for a, b in one.pairs.tolist()} == {
        (b, a) for a, b in other.pairs.tolist()
    }
    # answers from crops in which they stood the other way round are put into one frame
    twice = [record("pair", 0, 1, text), record("pair", 1, 0, said("back", "hand"), sample=1)]
    (both,), report = add_contacts([pair], twice)
    assert report.contacts == 1 and both.contacts[0].evidence is not None
    assert both.contacts[0].evidence.contacts[0]["votes"] == 2


def test_the_table_counts_every_end(pair: Scene) -> None:
    names = ("touch", "none", "refused", "broken", "silent")
    scenes = [replace(pair, name=name) for name in names]
    answers = [
        record("touch", 0, 1, said("hand", "back")),
        record("none", 0, 1, '{"contacts": []}'),
        record("refused", 0, 1, "", refusal="no"),
        record("broken", 0, 1, "%%%"),
        record("elsewhere", 0, 1, "%%%"),
    ]
    done, report = add_contacts(scenes, answers)
    status = [scene.contacts[0].evidence.status for scene in done if scene.contacts[0].evidence]
    assert status == ["contacts", "nothing touches", "refused", "unreadable", "not asked"]
    assert dict(report.rows()) | {} == {
        "scenes": 5,
        "pairs": 5,
        "pairs asked about": 4,
        "pairs refused": 1,
        "pairs without a readable answer": 1,
        "pairs where nothing touches": 1,
        "pairs in contact": 1,
        "answers used": 4,
        "answers that repair another": 0,
        "contacts": 1,
        "contacts whose sides were changed": report.sides_changed,
        "pairs whose order was exchanged": report.orders_exchanged,
        "pairs whose order stays open": report.orders_open,
    }
    assert report.problems == ["1 answers of no pair of these scenes: they were passed over"]
    with pytest.raises(ValueError, match="two scenes are called 'pair'"):
        add_contacts([pair, pair], [])


def test_contacts_of_a_person_stay_where_nobody_answers(pair: Scene) -> None:
    own = replace(pair, contacts=[SceneContact(0, 1, ContactMap([[17, 6]]))])
    for answers in ([], [record("pair", 0, 1, "%%%")]):
        (kept,), _ = add_contacts([own], answers)
        assert kept.contacts == own.contacts
    (denied,), _ = add_contacts([own], [record("pair", 0, 1, '{"contacts": []}')])
    assert len(denied.contacts[0].contacts) == 0


def test_evidence_is_kept_by_scene_files(pair: Scene, tmp_path: Path) -> None:
    (done,), _ = add_contacts([pair], [record("pair", 0, 1, said("hand", "back"))])
    save_scene(done, tmp_path / "one.json")
    write_scene_lines(tmp_path / "all.jsonl", [done])
    for back in (load_scene(tmp_path / "one.json"), read_scene_lines(tmp_path / "all.jsonl")[0]):
        assert back.contacts[0].evidence == done.contacts[0].evidence
        assert back.contacts[0].contacts == done.contacts[0].contacts
    data = json.loads((tmp_path / "one.json").read_text())
    data["contacts"][0]["evidence"]["status"] = "maybe"
    (tmp_path / "one.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"contacts\[0\]\.evidence\.status"):
        load_scene(tmp_path / "one.json")


def test_repairs_are_asked_for_what_was_not_read_whole_only(pair: Scene) -> None:
    queries, _ = scene_queries([pair])
    rows = [
        record("pair", 0, 1, text, id=queries[0].id, question=f"q{n}")
        for n, text in enumerate(
            [said("hand", "back"), said("tail", "back"), "I cannot help with that.", "", "%%%"]
        )
    ]
    again = repair_queries(queries, rows)
    assert [query.about["repair_of"] for query in again] == ["q1", "q4"]
    assert again[0].repair is not None and "tail" in again[0].repair.why
    assert len({query.question("m") for query in (*queries, *again)}) == 3


def test_the_commands_go_from_scenes_to_contacts(
    pair: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scene_lines(tmp_path / "scenes.jsonl", [pair])

    monkeypatch.chdir(tmp_path)

    def apu(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments))

    with serving() as server:
        server.script = [answer(completion(said("hand", "back")))]
        ask = ("ask", "scenes.jsonl", "-o", "answers.jsonl", "--model", "m", "--base-url", server.url)
        first, second = apu(*ask, "--no-example"), apu(*ask, "--no-example")
        assert first.exit_code == second.exit_code == 0, first.output
        assert len(server.requests) == 1 and "1 asked" in first.output and "1 already there" in second.output
    batch = apu(
        *ask[:4],
        "--model",
        "m",
        "--no-example",
        "--batch-out",
        "b.jsonl",
        "--base-url",
        "http://localhost:1/v1",
    )
    assert batch.exit_code == 0, batch.output
    request = json.loads((tmp_path / "b.jsonl").read_text().splitlines()[0])
    result = {
        "custom_id": request["custom_id"],
        "response": {"status_code": 200, "body": completion('{"contacts": []}')},
    }
    (tmp_path / "results.jsonl").write_text(json.dumps(result) + "\n")
    assert apu("ask", "--batch-in", "results.jsonl", "-o", "batch.jsonl").exit_code == 0
    (row,) = read_answers(tmp_path / "batch.jsonl")
    assert (row["scene"], row["edge"], row["asked_model"]) == ("pair", 0, "m")
    done = apu("contacts", "scenes.jsonl", "answers.jsonl", "-o", "scenes2.jsonl")
    assert done.exit_code == 0, done.output
    assert "pairs in contact" in done.output and "hand (0) - back (1)" in done.output
    assert len(read_scene_lines(tmp_path / "scenes2.jsonl")[0].contacts[0].contacts) > 0
    mixed = apu("ask", "scenes.jsonl", "photo.png", "-o", "x.jsonl", "--model", "m")
    assert mixed.exit_code != 0 and "scenes or pictures, not both" in str(mixed.exception)


def test_files_of_others_are_not_replaced(pair: Scene, tmp_path: Path) -> None:
    write_scene_lines(tmp_path / "scenes.jsonl", [pair])
    (tmp_path / "answers.jsonl").write_text(json.dumps(record("pair", 0, 1, said("hand", "back"))) + "\n")
    own = replace(pair, contacts=[SceneContact(0, 1, ContactMap([[17, 6]]))])
    write_scene_lines(tmp_path / "mine.jsonl", [own])
    with pytest.raises(OSError, match="is not a file of scenes"):
        contacts_file(tmp_path / "scenes.jsonl", tmp_path / "answers.jsonl", tmp_path / "mine.jsonl")
    with pytest.raises(OSError, match="is also an input"):
        contacts_file(tmp_path / "scenes.jsonl", tmp_path / "answers.jsonl", tmp_path / "scenes.jsonl")
    with pytest.raises(FileNotFoundError, match="no such file; `apu ask"):
        contacts_file(tmp_path / "scenes.jsonl", tmp_path / "none.jsonl", tmp_path / "out.jsonl")


def test_what_lies_beside_a_picture_is_found(tmp_path: Path) -> None:
    for name in ("one.jpg", "two [b].png", "deep/image.png", "both/image.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    for name in ("one.vitpose.json", "one.bev.npz", "both/openpose.json", "both/bev.npz", "notes.txt"):
        (tmp_path / name).write_text("{}")
    found = find_inputs([tmp_path])
    assert {f.name: sorted(f.files) for f in found.ready} == {
        "one": ["bev", "vitpose"],
        "both": ["bev", "openpose"],
    }
    assert [f.name for f in found.to_detect] == ["two [b]", "deep"]
    assert sorted(find_inputs([tmp_path], estimates=False).ready[0].files) == ["vitpose"]
    (tmp_path / "again").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "again" / "one.png")
    with pytest.raises(ValueError, match="two images are called 'one'"):
        find_inputs([tmp_path / "one.jpg", tmp_path / "again" / "one.png"])


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_folder_is_looked_at_once_for_all_its_pictures(
    one_by_one: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, looks = tmp_path / "photos", []
    folder.mkdir()
    for number in range(200):
        (folder / f"{number:03d}.jpg").write_bytes(b"a picture that nobody opens")
        (folder / f"{number:03d}.keypoints.npz").write_bytes(b"keypoints that nobody opens")
    for name in ("listdir", "scandir"):
        plain = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, plain=plain: (looks.append(args), plain(*args))[1])
    given = sorted(folder.glob("*.jpg")) if one_by_one else [folder]
    looks.clear()
    assert make_plan(given, tmp_path / "out", images_per_shard=50) == 4
    assert all(len(read_plan(tmp_path / "out", number).images[0].files) == 1 for number in range(4))
    assert 0 < len([args for args in looks if Path(args[0]) == folder]) <= 3


def test_options_survive_toml_and_mistakes_are_named(tmp_path: Path) -> None:
    config = RunConfig().changed({"ask": {"model": 'a "b"\\c', "temperature": 1}, "contacts": "paper"})
    (tmp_path / "run.toml").write_text(config.to_toml())
    assert RunConfig.load(tmp_path / "run.toml") == config
    assert (
        config.changed(
            changes_of(config, ["fit.preset=paper", "ask.samples=3", "ask.repair=false"])
        ).ask.samples
        == 3
    )
    for text, problem in (
        ("[ask]\nmodle = 'x'\n", "unknown ask.modle"),
        ("[ask]\nsamples = 'x'\n", "ask.samples must be a int"),
        ("colour = 1\n", "unknown 'colour'"),
        ("[ask\n", "not TOML"),
    ):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(ValueError, match=problem) as caught:
            RunConfig.load(tmp_path / "bad.toml")
        assert "bad.toml" in str(caught.value)
    with pytest.raises(ValueError, match="--set must be OPTION=VALUE"):
        changes_of(config, ["preset=paper"])
    with pytest.raises(ValueError, match="contacts must be 'best', 'paper'"):
        load_policy("other")


def test_no_two_people_have_one_colour() -> None:
    colors = [person_color(i) for i in range(100)]
    assert len(set(colors)) == 100 and all(0 <= c <= 1 for color in colors for c in color)
