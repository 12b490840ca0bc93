"""`apu run` end to end against a server on loopback: files of each stage, resumption, what was mended."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from loopback import Handler, Server, completion, serving
from PIL import Image

from apu_contacts.asking import AskInterrupted
from apu_contacts.files import OutputError
from apu_losses.app.demo import demo_scene
from apu_losses.fitting import Preset, Stage, read_scene_lines
from apu_losses.generate.config import RunConfig
from apu_losses.generate.run import RunSummary, run

SHORT = Preset(
    "short",
    {"keypoints": {}, "contact": {"over": "parts"}, "initial_pose": {}},
    (Stage("one", {"keypoints": 0.02, "contact": 1e4, "initial_pose": 100.0}, ("transl",), 0.02, 2),),
)
HUG = json.dumps(
    {
        "interaction": "side hug",
        "contacts": [
            {
                "body_part_person_left": {"part_name": "hand", "body_side": "left"},
                "body_part_person_right": {"part_name": "back", "body_side": "none"},
                "confidence": 0.9,
            }
        ],
    }
)
NAMES = ("a", "b", "c")


def answering(texts: list[str]) -> object:
    """Answers the n-th question with the n-th text; the last one repeats."""

    def behave(handler: Handler) -> None:
        number = len(handler.server.requests) - 1
        document = completion(texts[min(number, len(texts) - 1)])
        handler.send(200, json.dumps(document).encode())

    return behave


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.script = [answering([HUG])]  # type: ignore[list-item]
        yield running


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of the bundled pair, with keypoints beside them; their brightness tells them apart."""
    scene, folder = demo_scene(), tmp_path_factory.mktemp("run") / "photos"
    folder.mkdir()
    points = np.stack([person.keypoints.xy for person in scene.people])
    scores = np.stack([person.keypoints.confidence for person in scene.people])
    for number, name in enumerate(NAMES):
        Image.new("RGB", (scene.width, scene.height), (60 * number, 90, 90)).save(folder / f"{name}.png")
        np.savez(folder / f"{name}.keypoints.npz", keypoints=points, scores=scores)
    return folder


@pytest.fixture(scope="session")
def proposed(photos: Path) -> Path:
    """A run that has got as far as its first question: starts from keypoints take the most time."""
    run([photos], photos.parent / "out", RunConfig(), dry_run=True)
    return photos.parent / "out"


@pytest.fixture
def out(proposed: Path, tmp_path: Path) -> Path:
    """The same, to go on with."""
    place = shutil.copytree(proposed, tmp_path / "out")
    (place / "run.toml").unlink()
    return place


@pytest.fixture
def config(server: Server, tmp_path: Path) -> RunConfig:
    SHORT.save(tmp_path / "short.json")
    ask = {"model": "m", "base_url": server.url, "example": False, "parallel": 1}
    fit = {"preset": str(tmp_path / "short.json"), "batch_size": 1, "pictures": False}
    return RunConfig().changed({"ask": ask, "fit": fit, "starts": {"from_answers": "none"}})


def contents(out: Path) -> dict[str, object]:
    """What a run left, without times and without the order in which answers came."""
    found: dict[str, object] = {
        "files": sorted(p.name for p in out.rglob("*") if not p.name.startswith(".apu-lock"))
    }
    for name in ("images.jsonl", "scenes.jsonl", "contacts.jsonl", "index.html", "run.toml", "steps.json"):
        found[name] = (out / name).read_text(encoding="utf-8").replace(str(out), "OUT")
    found["answers"] = sorted((out / "answers.jsonl").read_text(encoding="utf-8").splitlines())
    for file in sorted((out / "fits").glob("*.json")):
        found[file.name] = re.sub(r'"seconds": [0-9.e-]+', "", file.read_text(encoding="utf-8"))
    for file in sorted((out / "fits").glob("*.npz")):
        with np.load(file) as arrays:
            found[file.name] = {name: arrays[name].tobytes() for name in arrays.files}
    return found


def test_a_run_leaves_every_stage_and_a_page(
    photos: Path, out: Path, config: RunConfig, server: Server
) -> None:
    done = run([photos], out, config)
    assert len(server.requests) == 3 and not done.incomplete and done.notes == []
    scenes = read_scene_lines(out / "contacts.jsonl")
    assert [scene.name for scene in scenes] == list(NAMES)
    evidence = scenes[0].contacts[0].evidence
    assert evidence is not None and evidence.status == "contacts" and evidence.interaction == "side hug"
    record = json.loads((out / "answers.jsonl").read_text().splitlines()[0])
    assert {
        "scene",
        "edge",
        "person_left",
        "person_right",
        "crop",
        "image_hash",
        "prompt_hash",
    } <= record.keys()
    assert (record["asked_model"], record["server"], record["temperature"]) == (
        "m",
        server.url.replace("127.0.0.1", "localhost"),
        0.0,
    )
    assert {f"{n}{e}" for n in NAMES for e in (".npz", ".glb", ".json")} == {
        p.name for p in (out / "fits").iterdir() if p.name[0] != "."
    }
    text = (out / "index.html").read_text()
    assert text.count("<section") == 3 and "left hand" in text and 'photos/a.png"' in text
    assert "nan" not in text and [row[0] for row in done.rows()] == list(NAMES)
    # another run has nothing to do: nobody is asked, nothing is fitted, the files are as they were
    before = contents(out)
    again = run([photos], out, config)
    assert len(server.requests) == 3 and contents(out) == before and again.asked is not None
    assert (again.asked.asked, again.asked.already) == (0, 3)
    # the options that it left give the same run
    run([photos], out, RunConfig.load(out / "run.toml"))
    assert contents(out) == before


@pytest.mark.long
def test_twenty_interruptions_end_as_none_and_ask_nothing_twice(
    photos: Path, out: Path, config: RunConfig, server: Server
) -> None:
    calm, stops = out.with_name("calm"), 0
    shutil.copytree(out, calm)
    run([photos], calm, config)
    assert len(server.requests) == 3
    server.requests.clear()
    (out / "scenes.jsonl").unlink()
    seen: set[str] = set()

    class Killed(BaseException):
        pass

    def tell(share: float, doing: str) -> None:
        """Ends the run at each place that no run before has come to."""
        nonlocal stops
        place = f"{doing} {share:.3f}"
        if place in seen or stops == 20:
            return
        seen.add(place)
        stops += 1
        if doing.startswith("asking"):
            signal.raise_signal(signal.SIGINT)  # as Ctrl-C: what is on its way is waited for
        else:
            raise Killed

    done: RunSummary | None = None
    while done is None:
        try:
            done = run([photos], out, config, progress=tell)
        except (Killed, AskInterrupted, KeyboardInterrupt):
            continue
    assert stops == 20 and len(server.requests) == 3
    assert contents(out) == contents(calm)


def test_a_dry_run_asks_nobody_and_says_what_it_would(
    photos: Path, out: Path, config: RunConfig, server: Server
) -> None:
    priced = config.changed({"ask": {"price_in": 2.0, "price_out": 6.0, "answer_tokens": 500}})
    dry = run([photos], out, priced, dry_run=True).dry
    assert dry is not None and not server.requests and not (out / "answers.jsonl").exists()
    assert (dry.questions, dry.already, dry.answer_tokens) == (3, 0, 1500)
    assert dry.prompt_tokens > 3 * 400
    assert dry.cost == pytest.approx((2 * dry.prompt_tokens + 6 * 1500) / 1e6)
    run([photos], out, priced)
    after = run([photos], out, priced, dry_run=True).dry
    assert after is not None and (after.already, after.prompt_tokens, after.cost) == (3, 0, 0.0)


def test_what_a_person_mended_is_kept_and_what_follows_is_made_again(
    photos: Path, out: Path, config: RunConfig, server: Server
) -> None:
    run([photos], out, config)
    lines = (out / "scenes.jsonl").read_text().splitlines(keepends=True)
    (out / "scenes.jsonl").write_text("".join(lines[:2]))
    done = run([photos], out, config)
    assert [scene.name for scene in done.scenes] == ["a", "b"] and len(server.requests) == 3
    assert any("scenes.jsonl was changed by hand and is kept" in note for note in done.notes)
    (out / "scenes.jsonl").unlink()
    assert len(run([photos], out, config).scenes) == 3 and len(server.requests) == 3


@pytest.mark.long
def test_a_denial_a_refusal_and_an_unreadable_answer_are_told_apart(
    photos: Path, out: Path, config: RunConfig, server: Server
) -> None:
    server.script = [answering(['{"contacts": []}', "I'm sorry, I can't help with that.", "%%%", "%%%"])]  # type: ignore[list-item]
    done = run([photos], out, config)
    assert len(server.requests) == 4 and done.asked is not None and done.asked.repairs == 1
    assert "could not be read whole" in json.dumps(server.requests[3]) and "%%%" in json.dumps(
        server.requests[3]
    )
    assert [row[3] for row in done.rows()] == ["none: nothing touches", "none: refused", "none: unreadable"]
    assert [row[4] for row in done.rows()] == ["-"] * 3
    run([photos], out, config)
    assert len(server.requests) == 4


def test_an_answer_that_was_repaired_counts_in_place_of_the_first(
    photos: Path, out: Path, config: RunConfig, server: Server
) -> None:
    server.script = [answering([HUG, HUG, HUG.replace('"hand"', '"tail"'), HUG])]  # type: ignore[list-item]
    done = run([photos], out, config)
    assert len(server.requests) == 4 and done.contacts is not None
    assert done.contacts.repaired_answers == 1 and done.contacts.statuses == {"contacts": 3}
    assert len((out / "answers.jsonl").read_text().splitlines()) == 4


def test_changed_options_are_said_and_ask_again_only_where_the_question_is_another(
    photos: Path, out: Path, config: RunConfig, server: Server
) -> None:
    run([photos], out, config)
    done = run([photos], out, config.changed({"contacts": "paper"}))
    assert any("contacts: best -> paper" in note for note in done.notes) and len(server.requests) == 3
    assert done.scenes[0].contacts[0].order == "either"
    run([photos], out, config.changed({"ask": {"action": "hugging"}}))
    assert len(server.requests) == 6


def test_other_peoples_folders_and_a_missing_model_are_refused(
    photos: Path, tmp_path: Path, config: RunConfig
) -> None:
    out = tmp_path / "other"
    out.mkdir()
    (out / "scenes.jsonl").write_text("mine\n")
    with pytest.raises(OutputError, match=r"scenes\.jsonl is there already and is of no run"):
        run([photos], out, config)
    assert (out / "scenes.jsonl").read_text() == "mine\n"
    with pytest.raises(ValueError, match="needs the name of a model"):
        run([photos], out, RunConfig())
    with pytest.raises(FileNotFoundError, match="no pictures"):
        run([out], tmp_path / "two", config)
