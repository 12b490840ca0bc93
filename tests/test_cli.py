"""The command as a person types it: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from apu_losses.app import cli
from apu_losses.app.demo import FILES, FILM, demo_scene, run_demo
from apu_losses.fitting import PRESET_NAMES, Preset, Stage, load_parameters, load_preset, save_scene

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def apu(capfd, monkeypatch):
    """Run the command in this process: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["apu", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capfd.readouterr()
        return int(stop.value.code or 0), out, err

    return run


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> Path:
    """A preset of a few steps: these tests are about files and messages, not about fits."""
    stage = Stage("short", {"keypoints": 0.02, "contact": 1e4}, ("body_pose", "transl"), 0.03, 3)
    path = tmp_path_factory.mktemp("preset") / "quick.json"
    path.write_text(json.dumps(Preset("quick", {"keypoints": {}, "contact": {}}, (stage,)).to_dict()))
    return path


@pytest.fixture
def scenes(tmp_path) -> Path:
    """A folder with two copies of the demo's scene."""
    folder = tmp_path / "scenes"
    for name in ("hug", "hug_again"):
        save_scene(demo_scene(), folder / f"{name}.json")
    return folder


def test_help_names_every_command_and_loads_nothing_heavy():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-X", "importtime", "-m", "apu_losses.app.cli", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert all(name in done.stdout for name in ("demo", "fit", "regions", "doctor"))
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in loaded and not {"torch", "numpy", "scipy", "numba", "trimesh", "PIL"} & loaded


def test_version_and_bare_command(apu):
    from apu_contacts import __version__

    assert apu("--version") == (0, f"{__version__}\n", "")
    code, out, _ = apu()
    assert code == 0 and "Usage" in out


def test_regions(apu):
    code, out, _ = apu("regions")
    assert code == 0 and len([line for line in out.splitlines() if line.strip()]) == 75 + 2
    assert apu("regions", "--parts")[1].count("\n") >= 17
    code, out, _ = apu("regions", 17)
    assert code == 0 and "left palm" in out
    assert "Region 17" in apu("regions", "left palm")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["regions", "75"], "75"),
        (["regions", "left plam"], "left palm"),
        (["regions", "--wings"], "--wings"),
        (["fly"], "fly"),
        (["fit"], "SCENE.json"),
        (["fit", "nowhere.json", "-o", "out"], "nowhere.json"),
        (["demo", "--preset", "worst"], "worst"),
    ],
)
def test_bad_input_is_one_line_and_code_2(apu, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = apu(*arguments)
    assert code == 2 and out == ""
    assert said in err and err.count("\n") == 1 and err.startswith("apu ")
    assert not list(tmp_path.iterdir())


READERS = {
    "fit": ["-o", "out"],
    "convert": ["--to", "free", "-o", "out.npz"],
    "propose": ["-o", "out.jsonl"],
    "detect": ["-o", "out.jsonl"],
    "ask": ["-o", "out", "--model", "some-model"],
    "parse": [],
}


KINDS = ("missing", "an empty folder", "empty", "wrong", "binary")
# `detect` fetches its weights before it opens a picture
UNREADABLE = [(c, kind) for c in READERS for kind in (KINDS[:2] if c == "detect" else KINDS)]


@pytest.mark.parametrize(("command", "kind"), UNREADABLE)
def test_a_file_that_cannot_be_used_is_said_in_one_line(apu, command, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    suffix = {"convert": ".npz", "detect": ".png", "ask": ".png"}.get(command, ".json")
    path = tmp_path / f"given{suffix}"
    if kind == "an empty folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"empty": b"", "wrong": b'{"a": 1}', "binary": bytes(range(256))}[kind])
    before = set(tmp_path.iterdir())
    code, out, err = apu(command, path.name, *READERS[command])
    assert code == (1 if command == "parse" and kind in ("empty", "wrong") else 2), (out, err)
    assert err.count("\n") <= 1 and "Traceback" not in out + err and "Errno" not in out + err
    if code == 2:
        assert err.startswith(f"apu {command}: ") and len(err) > len(f"apu {command}: x") + 10 and out == ""
        assert "interrupted" not in err
    assert set(tmp_path.iterdir()) == before


def broken(kind: str, folder: Path) -> str:
    """Break the second scene of a folder; what the message must name."""
    path = folder / "hug_again.json"
    data = json.loads(path.read_text())
    if kind == "not JSON":
        path.write_text('{"schema_version": 1,\n "image": }')
        return "line 2"
    if kind == "key":
        del data["people"][1]["keypoints"]
        expected = "people[1]"
    elif kind == "region":
        data["contacts"][0]["map"]["pairs"][0][0] = 75
        expected = "75"
    elif kind == "person":
        data["contacts"][0]["person_b"] = 2
        expected = "person_b"
    elif kind == "skeleton":
        data["people"][0]["keypoints"]["skeleton"] = "octopus"
        expected = "octopus"
    elif kind == "joints missing":
        del data["people"][0]["keypoints"]["xy"][3]
        expected = "25"
    elif kind == "parameter":
        data["people"][0]["initial"]["parameters"]["wings"] = [0.0]
        expected = "wings"
    elif kind == "size":
        data["people"][1]["initial"]["parameters"]["body_pose"] = [0.0] * 69
        expected = "69"
    elif kind == "3D joints":
        data["people"][1]["initial"]["joints"] = {"names": ["beak", "tail"], "xyz": [[0, 0, 1], [0, 1, 1]]}
        expected = "beak"
    elif kind == "picture":
        Image.new("RGB", (10, 10)).save(folder / "small.png")
        data["image"]["path"] = "small.png"
        expected = "10 x 10"
    path.write_text(json.dumps(data))
    return expected


BROKEN = "not JSON;key;region;person;skeleton;joints missing;parameter;size;3D joints;picture"


def test_bad_scenes_are_listed_and_the_others_are_fitted(apu, scenes, quick):
    """Each kind of mistake in a folder of its own, then all in one beside a good scene."""
    said = {}
    for kind in BROKEN.split(";"):
        save_scene(demo_scene(), scenes / "hug_again.json")
        said[kind] = broken(kind, scenes)
        (scenes / "hug_again.json").rename(scenes / f"{kind.replace(' ', '_')}.json")
    out_folder = scenes.parent / "out"
    code, out, err = apu("fit", scenes, "-o", out_folder, "--preset", quick, "--no-pictures")
    assert code == 1 and "hug" in out
    for kind, words in said.items():
        (line,) = [line for line in err.splitlines() if f"{kind.replace(' ', '_')}.json" in line]
        assert line.startswith("apu fit: note: ") and words in line, err
    assert {p.name for p in out_folder.iterdir()} == {"hug.npz", "hug.json", "hug.glb"}


def test_where_no_scene_can_be_used_nothing_is_written(apu, scenes, quick):
    said = broken("key", scenes)
    (scenes / "hug.json").write_text("{")
    code, out, err = apu("fit", scenes, "-o", scenes.parent / "out", "--preset", quick)
    assert (code, out) == (2, "") and "hug.json" in err and "1 more" in err and err.count("\n") == 1
    assert sorted(p.name for p in scenes.parent.iterdir()) == ["scenes"]
    code, _, err = apu("fit", scenes / "hug_again.json", "-o", scenes.parent / "out", "--preset", quick)
    assert code == 2 and said in err


def test_bad_options_of_fit(apu, scenes, quick, tmp_path):
    out = tmp_path / "out"
    for option, value, said in (
        ("--body", "SMPLX_NOBODY.npz", "SMPLX_NOBODY.npz"),
        ("--regions", "map.npz", "map.npz"),
        ("--device", "abacus", "abacus"),
        ("--preset", "worst", "worst"),
    ):
        code, _, err = apu("fit", scenes, "-o", out, option, value)
        assert code == 2 and said in err and err.count("\n") == 1, err
    empty = tmp_path / "empty"
    empty.mkdir()
    code, _, err = apu("fit", empty, "-o", out)
    assert code == 2 and "no .json" in err
    assert apu("fit", scenes, "-o", scenes)[0] == 2
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    code, _, err = apu("fit", scenes, "-o", in_the_way, "--preset", quick)
    assert code == 2 and "is a file" in err


def test_fit_leaves_all_results_of_a_folder(apu, scenes, quick, tmp_path):
    code, out, _ = apu("fit", scenes, "-o", tmp_path / "out", "--preset", quick)
    assert code == 0 and "hug_again" in out
    names = {f"{stem}.{kind}" for stem in ("hug", "hug_again") for kind in ("npz", "json", "glb", "png")}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    fitted, start = load_parameters(tmp_path / "out" / "hug.npz")
    assert fitted["body_pose"].shape == start["body_pose"].shape == (2, 63)
    assert np.abs(fitted["body_pose"] - start["body_pose"]).max() > 0
    record = json.loads((tmp_path / "out" / "hug.json").read_text())
    assert record["preset"]["name"] == "quick" and record["verdict"]["reason"]
    again = load_parameters(tmp_path / "out" / "hug_again.npz")[0]
    np.testing.assert_allclose(again["transl"], fitted["transl"], atol=1e-5)

    other = tmp_path / "plain"
    assert apu("fit", scenes / "hug.json", "-o", other, "--preset", quick, "--no-pictures")[0] == 0
    assert {p.name for p in other.iterdir()} == {"hug.npz", "hug.json", "hug.glb"}


def test_fit_writes_a_log_of_every_loss(apu, scenes, quick, tmp_path):
    log = tmp_path / "fit.jsonl"
    code, _, err = apu(
        "fit", scenes, "-o", tmp_path / "out", "--preset", quick, "--no-pictures", "--log", log
    )
    assert code == 0, err
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 2 * 3 and {line["stage"] for line in lines} == {"short"}
    assert set(lines[0]["terms"]) == {"keypoints", "contact"}
    record = json.loads((tmp_path / "out" / "hug.json").read_text())
    assert record["stages"][0]["loss"] == lines[-2]["loss"]
    code, _, err = apu("fit", scenes, "-o", tmp_path / "out2", "--preset", quick, "--log", scenes)
    assert code == 2 and err.startswith("apu fit: ") and not (tmp_path / "out2").exists()


@pytest.mark.long
def test_fit_films_each_scene(apu, scenes, quick, tmp_path):
    films = tmp_path / "films"
    arguments = ("--preset", quick, "--no-pictures", "--film", films)
    code, out, err = apu("fit", scenes, "-o", tmp_path / "out", *arguments)
    assert code == 0 and f"films in {films}" in " ".join(out.split()), err
    assert {p.name for p in films.iterdir()} == {"hug.webp", "hug_again.webp"}
    for path in films.iterdir():
        with Image.open(path) as film:
            assert film.format == "WEBP" and film.n_frames == 3  # of three iterations
    plain = load_parameters(tmp_path / "out" / "hug.npz")[0]
    assert apu("fit", scenes, "-o", tmp_path / "plain", "--preset", quick, "--no-pictures")[0] == 0
    for name, value in load_parameters(tmp_path / "plain" / "hug.npz")[0].items():
        np.testing.assert_array_equal(value, plain[name])

    code, _, err = apu("fit", scenes, "-o", tmp_path / "out2", "--preset", quick, "--film", quick)
    assert code == 2 and "is a file" in err and err.count("\n") == 1 and not (tmp_path / "out2").exists()


def test_a_scene_that_cannot_be_started_has_no_film(apu, scenes, quick, tmp_path):
    data = json.loads((scenes / "hug_again.json").read_text())
    data["people"][0]["initial"]["parameters"]["transl"] = [1e30, 0, 3]
    (scenes / "hug_again.json").write_text(json.dumps(data))
    films = tmp_path / "films"
    arguments = ("--preset", quick, "--no-pictures", "--film", films)
    assert apu("fit", scenes, "-o", tmp_path / "out", *arguments)[0] == 1
    assert {p.name for p in films.iterdir()} == {"hug.webp"}


def test_presets_are_listed_printed_saved_and_used(apu, scenes, tmp_path):
    code, out, _ = apu("presets")
    assert code == 0 and all(name in out for name in PRESET_NAMES)
    code, out, _ = apu("presets", "best")
    assert code == 0 and Preset.from_dict(json.loads(out)) == load_preset("best")
    preset = json.loads(out)
    preset["stages"] = [{**stage, "max_iterations": 1} for stage in preset["stages"]]
    (tmp_path / "mine.json").write_text(json.dumps(preset))
    code, _, err = apu("presets", tmp_path / "mine.json", "-o", tmp_path / "copy.json")
    assert code == 0 and load_preset(tmp_path / "copy.json") == Preset.from_dict(preset), err
    code, _, err = apu(
        "fit",
        scenes / "hug.json",
        "-o",
        tmp_path / "out",
        "--preset",
        tmp_path / "copy.json",
        "--no-pictures",
    )
    assert code == 0, err
    code, _, err = apu("presets", "good")
    assert code == 2 and err.startswith("apu presets: no preset 'good'; there is paper")
    code, _, err = apu("presets", "best", "-o", tmp_path)
    assert code == 2 and err.count("\n") == 1


def test_fit_reads_scenes_line_by_line(apu, scenes, quick, tmp_path):
    hug = json.dumps(json.loads((scenes / "hug.json").read_text()) | {"name": "first"})
    lines = tmp_path / "scenes.jsonl"
    lines.write_text(hug + "\n" + hug.replace('"first"', '"second"') + "\n")
    out = tmp_path / "out"
    assert apu("fit", lines, "-o", out, "--preset", quick, "--no-pictures")[0] == 0
    assert {p.stem for p in out.iterdir()} == {"first", "second"}

    lines.write_text(hug + "\n" + hug + "\n")
    code, _, err = apu("fit", lines, "-o", out, "--preset", quick, "--no-pictures")
    assert code == 1 and "line 2: the name 'first' stands there twice" in err
    lines.write_text(hug.replace('"first"', '"../first"') + "\n")
    assert "cannot name a file" in apu("fit", lines, "-o", tmp_path / "none", "--preset", quick)[2]
    lines.write_text("\n")
    assert "holds no scenes" in apu("fit", lines, "-o", tmp_path / "none", "--preset", quick)[2]
    assert not (tmp_path / "none").exists()


def test_doctor_finds_nothing_wrong_here(apu):
    code, out, err = apu("doctor")
    assert code == 0, err
    for word in ("torch", "reference", "free", "SMPL-X", "75 regions"):
        assert word in out


def test_doctor_tells_every_back_end_and_what_auto_takes(apu, monkeypatch):
    from apu_losses.geometry import describe

    monkeypatch.setenv("COLUMNS", "250")
    rows = [line.split() for line in apu("doctor")[1].splitlines()]
    for line in describe():
        said = next(row for row in rows if row[:2] == ["kernels", line.name])
        assert said[2] == ("ok" if line.available else "problem" if line.name == "cpu" else "absent")
        assert " ".join(said[3:]).startswith(line.reason)
        assert all(" ".join(said).count(kind) == 1 for kind in line.auto_for)


@pytest.mark.parametrize(("found", "said"), [("2.6.0+cpu", True), ("2.13.0", False), ("3.0.dev1", False)])
def test_doctor_says_what_the_tests_were_not_run_with(found, said, monkeypatch):
    from apu_losses.app import doctor

    monkeypatch.setattr(doctor, "version", lambda name: found)
    (detail,) = (one.detail for one in doctor._packages() if one.name == "torch")
    assert detail.startswith(found) and ("older than 2.13" in detail) == said


def test_doctor_says_what_is_wrong(apu, monkeypatch):
    from apu_contacts.regions import RegionMap

    def gone(*_: object) -> None:
        raise FileNotFoundError("free.npz")

    monkeypatch.setattr(RegionMap, "load", gone)
    code, out, err = apu("doctor")
    assert code == 1 and "free.npz" in out and "1 problem" in err


@pytest.mark.long
def test_demo_leaves_its_files_and_does_not_need_them_absent(quick, tmp_path):
    folder = tmp_path / "apu_demo"
    said: list[tuple[float, str]] = []
    done = run_demo(folder, preset=str(quick), progress=lambda share, doing: said.append((share, doing)))
    assert {p.name for p in folder.iterdir()} == set(FILES) == {p.name for p in done.files}
    shares = [share for share, _ in said]
    assert shares[0] == 0 and shares[-1] == 1 and shares == sorted(shares)
    size = Image.open(folder / "overlay_after.png").size
    assert size == (done.scene.width, done.scene.height)
    meshes = trimesh.load(folder / "people.glb").geometry
    assert set(meshes) == {"person_0", "person_1"} and all(mesh.is_watertight for mesh in meshes.values())

    (folder / "mine.txt").write_text("kept")
    filmed = run_demo(folder, preset=str(quick), film=True)
    assert (folder / "mine.txt").read_text() == "kept"
    assert [p.name for p in filmed.files] == [*FILES, FILM]
    with Image.open(folder / FILM) as film:
        assert film.n_frames == 3


@pytest.mark.long
def test_the_demo_starts_apart_and_ends_in_contact(tmp_path):
    done = run_demo(tmp_path / "demo")
    before, after = done.result.before, done.result.after
    assert min(before.contact_distance) > 0.05
    assert max(after.contact_distance) < 0.02
    assert max(after.keypoint_error) < 0.5 * max(before.keypoint_error)
    assert done.result.verdict.kept
    assert max(after.pose_change_max) < 60 and max(map(abs, after.stature_change)) < 0.05
    assert max(after.shape_change) < 2  # at 4 and more of these units people are skin and bone


def test_parse_explains_and_says_whether_it_read_all(apu, tmp_path):
    answer = {
        "interaction": "hug",
        "people": {"person_left": "a", "person_right": "b"},
        "orientation": "front to front",
        "contacts": [
            {
                "body_part_person_left": {"part_name": "hand", "body_side": "left"},
                "body_part_person_right": {"part_name": "back", "body_side": "right"},
                "confidence": 0.7,
            }
        ],
    }
    path = tmp_path / "answer.txt"
    path.write_text(json.dumps(answer))
    code, out, _ = apu("parse", path)
    assert code == 0 and "left hand" in out
    path.write_text("the weather is fine")
    assert apu("parse", path)[0] == 1
    path.write_text("\x1b[2J\x1b]0;owned\x07the weather")
    code, out, _ = apu("parse", path)
    assert code == 1 and "\x1b" not in out and "\x07" not in out
    code, _, err = apu("parse", tmp_path / "gone.txt")
    assert code == 2 and "gone.txt" in err and err.count("\n") == 1


def test_a_second_file_of_results_without_its_option_is_refused(apu, tmp_path):
    out = tmp_path / "answers.jsonl"
    code, _, complaint = apu("ask", "two.jsonl", "-o", out, "--model", "m", "--batch-in", "one.jsonl")
    assert code == 2 and "two.jsonl" in complaint and "--batch-in" in complaint and not out.exists()


def test_ask_without_what_it_needs(apu, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    picture = tmp_path / "two.png"
    Image.new("RGB", (8, 8)).save(picture)
    for arguments, said in (
        ([], "--model"),
        ([picture, "--model", "m"], "-o FILE"),
        ([picture, "-o", tmp_path / "answers.jsonl", "--model", "m", "--no-example"], ""),
        ([tmp_path / "gone.png", "--model", "m", "--batch-out", tmp_path / "requests"], "gone.png"),
        ([picture, "-o", tmp_path / "answers.jsonl", "--model", "m", "--samples", 3], "temperature 0"),
        ([picture, "-o", tmp_path / "answers.jsonl", "--model", "m", "--api-key-env", "NO_KEY"], "NO_KEY"),
        ([picture, "-o", tmp_path / "answers.jsonl", "--model", "m", "--max-cost", 1], "price"),
    ):
        code, _, err = apu("ask", *arguments)
        assert code == 2 and said in err and err.strip().count("\n") == 0, err
    assert not (tmp_path / "answers.jsonl").exists()
    code, out, _ = apu("ask", picture, "--model", "m", "--batch-out", tmp_path / "requests", "--no-example")
    assert code == 0 and all(Path(line).is_file() for line in out.splitlines())
