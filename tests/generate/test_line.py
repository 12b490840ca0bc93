"""`apu generate`: the same records however it ran, nothing asked twice, whatever is damaged made again."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from line_setup import answering, content, options, photos
from synthetic_photos import AnswerServer

from apu_contacts import ContactMap, Keypoints2D, parse_answer
from apu_contacts.answers.attributes import Judgement, PairAttributes, PersonAttributes
from apu_contacts.files import OutputError, exclusive
from apu_losses.dataset import check_record, evidence_of, records
from apu_losses.fitting.scene.file import read_scene_lines, write_scene_lines
from apu_losses.fitting.scene.types import Scene, SceneContact, ScenePerson
from apu_losses.generate.line.plan import make_plan, read_plan
from apu_losses.generate.line.records import Origin, records_of_run
from apu_losses.generate.line.run import generate

pytest.importorskip("pyarrow", reason="data sets are Parquet: the extra [parquet]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("line") / "rendered"
    return folder, photos(folder)


@pytest.fixture(scope="module")
def server(made: tuple[Path, list[str]]) -> Iterator[AnswerServer]:
    with answering(made[1]) as running:
        yield running


@pytest.fixture(scope="module")
def calm(made: tuple[Path, list[str]], server: AnswerServer) -> Path:
    """An undisturbed run; nobody writes into it, whoever goes on with one takes a `copy`."""
    out = made[0].parent / "calm"
    done = generate([made[0]], out, options(made[0], server.url), images_per_shard=2)
    assert done.whole and not done.problems and done.totals.asked == done.totals.pairs
    return out


@pytest.fixture
def copy(calm: Path, tmp_path: Path) -> Path:
    """The undisturbed run once more, to go on with."""
    return Path(shutil.copytree(calm, tmp_path / "copy"))


def test_records_hold_the_whole_way(calm: Path) -> None:
    rows = [json.loads(line) for line in content(calm).splitlines()]
    assert len(rows) >= 3 and {row["source"] for row in rows} == {"rendered"}
    for row in rows:
        answer = row["answers"][0]
        assert answer["text"] and answer["prompt_hash"] and answer["crop"] and answer["model"] == "simulated"
        assert row["person_a"]["parameters"] and row["after"]["keypoint_error"][0] is not None
        assert {f["rule"] for f in row["verdict"]["findings"]} >= {"contacts stated", "paper pixels", "shape"}
        assert {i["kind"] for i in row["provenance"]["inputs"]} == {"keypoints", "parameters"}
    assert (calm / "README.md").is_file() and (calm / "datasheet.md").is_file()
    entries = [json.loads(line) for line in (calm / "log.jsonl").read_text().splitlines()]
    assert [e["done"] for e in entries] == [True, True] and entries[0]["prompt_tokens"] >= 900
    for entry in entries:
        assert entry["cpu"].keys() == entry["stages"].keys() >= {"fitting", "writing fits", "asking"}
        assert 0 < sum(entry["stages"].values()) <= entry["seconds"] + 1e-3


def test_what_answers_say_of_the_people_is_in_the_records(
    made: tuple[Path, list[str]], tmp_path: Path
) -> None:
    told = PairAttributes(
        a=PersonAttributes(age_group=Judgement("teenager", 0.95), sex=Judgement("female", 0.5)),
        in_front=Judgement("b", 0.9),
    )
    text = json.dumps(replace(parse_answer(made[1][0]), attributes=told).to_document())
    with answering([text]) as own:
        asked = options(made[0], own.url, keep_work=True)
        asked = replace(asked, config=asked.config.changed({"ask": {"attributes": True}}))
        assert generate([made[0]], tmp_path / "out", asked).whole
    rows = {row["id"]: row for row in records(tmp_path / "out")}
    scenes = read_scene_lines(tmp_path / "out" / "work" / "000000" / "contacts.jsonl")
    assert len(rows) == len(scenes) == 4
    for scene in scenes:
        (contact,) = scene.contacts
        row = rows[f"{scene.name}:{contact.person_a}-{contact.person_b}"]
        assert evidence_of(row) == contact.evidence
        left, right = ("a", "b") if row["evidence"]["left"] == "a" else ("b", "a")
        seen = row["evidence"]["attributes"]
        assert seen[left]["age_group"] == {"value": "teenager", "confidence": 0.95}
        assert seen["in_front"]["value"] == right and seen["taller"] is None
        assert row[f"person_{left}"]["age_group"] == "teenager" and row[f"person_{right}"]["age_group"] == ""
        reading = row["answers"][0]["reading"]["attributes"]
        assert reading["person_left"]["sex"] == {"value": "female", "confidence": 0.5}
        assert reading["in_front"]["value"] == "person_right"


def test_who_people_are_said_to_be_is_in_records_of_what_was_never_fitted(tmp_path: Path) -> None:
    points = Keypoints2D("coco17", np.zeros((17, 2)), np.zeros(17))
    people = [ScenePerson(points, age_group="infant", stature=0.75), ScenePerson(points)]
    nothing = SceneContact(0, 1, ContactMap([]))
    write_scene_lines(tmp_path / "contacts.jsonl", [Scene(640, 480, people, [nothing])])
    (row,) = records_of_run(tmp_path, [], Origin({}))
    assert check_record(row) is row
    assert (row["person_a"]["age_group"], row["person_a"]["stature"]) == ("infant", 0.75)
    assert (row["person_b"]["age_group"], row["person_b"]["stature"]) == ("", None)
    assert evidence_of(row).status == "not asked" and evidence_of(row).attributes is None


def test_shards_of_other_sizes_worked_on_by_several_give_the_same_records(
    made: tuple[Path, list[str]], server: AnswerServer, calm: Path, tmp_path: Path
) -> None:
    heard = []
    for part in (1, 0):
        done = generate(
            [made[0]],
            tmp_path / "out",
            options(made[0], server.url, pictures=True),
            images_per_shard=3,
            shard=(part, 2),
            callback=lambda number, scalars: heard.append((number, scalars["pairs"])),
        )
        assert done.shards == 1 and done.whole == (part == 0)
    assert content(tmp_path / "out") == content(calm) and len(heard) == 2
    assert (tmp_path / "out" / "000001.tar").is_file()


def test_what_is_there_is_kept_and_what_is_damaged_is_made_again_without_asking(
    made: tuple[Path, list[str]], server: AnswerServer, copy: Path
) -> None:
    before, asked = content(copy), server.asked
    again = generate([made[0]], copy, options(made[0], server.url), images_per_shard=2)
    assert again.totals.already == 2 and again.totals.shards == 0
    whole = (copy / "000001.parquet").read_bytes()
    (copy / "000001.parquet").write_bytes(whole[:-100])
    (copy / "000000.json").unlink()
    again = generate([made[0]], copy, options(made[0], server.url), images_per_shard=2)
    assert again.totals.shards == 2 and again.whole and server.asked == asked
    assert content(copy) == before and (copy / "000001.parquet").read_bytes() == whole


def test_another_option_is_refused_unless_it_may_replace(
    made: tuple[Path, list[str]], server: AnswerServer, copy: Path
) -> None:
    other = options(made[0], server.url)
    other = type(other)(other.config.changed({"contacts": "paper"}))
    done = generate([made[0]], copy, other, images_per_shard=2)
    assert done.unfinished == [0, 1] and "made from other files or with other options" in done.problems[0]


def test_a_server_that_refuses_leaves_shards_to_the_next_run(
    made: tuple[Path, list[str]], calm: Path, server: AnswerServer, tmp_path: Path
) -> None:
    server.status = 401
    try:
        done = generate([made[0]], tmp_path / "out", options(made[0], server.url), images_per_shard=2)
        assert done.unfinished == [0, 1] and not done.whole and done.problems
        server.status, server.blank = 200, True
        done = generate([made[0]], tmp_path / "out", options(made[0], server.url), images_per_shard=2)
        assert done.unfinished == [0, 1]
    finally:
        server.status, server.blank = 200, False
    done = generate([made[0]], tmp_path / "out", options(made[0], server.url), images_per_shard=2)
    assert done.whole and content(tmp_path / "out") == content(calm)


def test_a_broken_picture_is_named_and_the_others_go_on(
    made: tuple[Path, list[str]], server: AnswerServer, calm: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "rendered"
    shutil.copytree(made[0], folder)
    first = sorted(folder.glob("*.png"))[0]
    first.write_bytes(first.read_bytes()[:200])
    shutil.copy(made[0].parent / "short.json", tmp_path)
    done = generate([folder], tmp_path / "out", options(folder, server.url), images_per_shard=2)
    assert any(first.stem in problem for problem in done.problems)
    left = {json.loads(line)["image"]["name"] for line in content(calm).splitlines()}
    if done.whole:
        found = {json.loads(line)["image"]["name"] for line in content(tmp_path / "out").splitlines()}
        assert left - {first.stem} <= found


def test_two_runs_on_one_output_do_not_meet(
    made: tuple[Path, list[str]], server: AnswerServer, copy: Path
) -> None:
    with exclusive(copy / "log.jsonl"), pytest.raises(OutputError, match="another process"):
        generate([made[0]], copy, options(made[0], server.url), images_per_shard=2)
    with exclusive(copy / "work" / "000000" / "shard"):
        done = generate([made[0]], copy, options(made[0], server.url), images_per_shard=2)
    assert done.unfinished == [0] and "another process" in done.problems[0]


def test_a_plan_stays_and_grows(made: tuple[Path, list[str]], tmp_path: Path) -> None:
    assert make_plan([made[0]], tmp_path, images_per_shard=3) == 2
    first = read_plan(tmp_path, 0)
    more = tmp_path / "more"
    more.mkdir()
    source = sorted(made[0].glob("*.png"))[0]
    (more / "aaa.png").write_bytes(source.read_bytes())
    assert make_plan([made[0], more], tmp_path, images_per_shard=3) == 3
    assert read_plan(tmp_path, 0) == first and read_plan(tmp_path, 2).sources == {"aaa": "more"}
    with pytest.raises(OutputError, match="is not among the images now"):
        make_plan([more], tmp_path, images_per_shard=3)


@pytest.mark.long
def test_two_processes_give_the_same_and_outlive_a_killed_worker(
    made: tuple[Path, list[str]], server: AnswerServer, calm: Path, tmp_path: Path
) -> None:
    killed = []

    def kill(share: float, doing: str) -> None:
        import multiprocessing

        workers = multiprocessing.active_children()
        if workers and not killed and share > 0.1:
            os.kill(workers[0].pid, signal.SIGKILL)  # type: ignore[arg-type]
            killed.append(workers[0].pid)

    done = generate(
        [made[0]],
        tmp_path / "out",
        options(made[0], server.url),
        images_per_shard=2,
        processes=2,
        progress=kill,
    )
    assert killed and done.whole and content(tmp_path / "out") == content(calm)


@pytest.mark.long
def test_ray_gives_the_same(
    made: tuple[Path, list[str]], server: AnswerServer, calm: Path, tmp_path: Path
) -> None:
    ray = pytest.importorskip("ray", reason="the extra [ray]")
    try:
        out = tmp_path / "out"
        done = generate(
            [made[0]], out, options(made[0], server.url), images_per_shard=2, processes=2, backend="ray"
        )
        assert done.whole and content(out) == content(calm)
    finally:
        ray.shutdown()
