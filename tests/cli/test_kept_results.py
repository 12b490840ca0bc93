"""Results are kept, gone on with, and never written over anything else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from fit_contents import contents

from apu_contacts.files import exclusive
from apu_losses.bodies import load_body
from apu_losses.fitting import load_parameters

SHM = Path("/dev/shm")


@pytest.fixture
def fit(apu, scenes, quick, tmp_path):
    """`apu fit` of the four scenes in batches of two."""

    def run(*more: object, out: object = tmp_path / "out", given: object = scenes):
        fixed = ("--preset", quick, "--no-pictures", "--batch-size", 2)
        return apu("fit", given, "-o", out, *fixed, *more)

    return run


def test_what_is_there_is_kept_and_the_rest_is_fitted(fit, scenes, tmp_path):
    assert fit("--log", tmp_path / "log")[0] == 0
    whole, log = contents(tmp_path / "out"), (tmp_path / "log").read_bytes()
    before = (tmp_path / "out" / "s0.npz").stat().st_mtime_ns
    for name in ("s1", "s2", "s3"):
        for path in (tmp_path / "out").glob(f"{name}.*"):
            path.unlink()
    code, out, err = fit("--log", tmp_path / "log")
    assert code == 0 and "(1 were there already)" in out, err
    assert contents(tmp_path / "out") == whole and (tmp_path / "log").read_bytes() == log
    assert (tmp_path / "out" / "s0.npz").stat().st_mtime_ns == before
    code, out, _ = fit()
    assert code == 0 and "(4 were there already)" in out and "s3" in out


def test_results_made_otherwise_are_refused_and_replaced_when_told(fit, scenes, quick, tmp_path):
    assert fit()[0] == 0
    before = contents(tmp_path / "out")
    preset = json.loads(quick.read_text())
    preset["stages"][0]["max_iterations"] = 1
    (tmp_path / "other.json").write_text(json.dumps(preset))
    code, out, err = fit("--preset", tmp_path / "other.json")
    assert code == 2 and "'s0' made otherwise (another preset)" in err and "--overwrite" in err
    assert contents(tmp_path / "out") == before
    data = json.loads((scenes / "s1.json").read_text())
    data["people"][0]["keypoints"]["xy"][0][0] += 1
    (scenes / "s1.json").write_text(json.dumps(data))
    code, _, err = fit()
    assert code == 2 and "'s1' made otherwise (another scene)" in err
    code, out, err = fit("--overwrite")
    assert code == 0 and "(3 were there already)" in out
    after = contents(tmp_path / "out")
    assert {name for name in after if after[name] != before[name]} == {"s1.npz", "s1.json", "s1.glb"}


@pytest.mark.parametrize("name", ["s2.npz", "s2.json", "s2.glb"])
def test_files_of_somebody_else_are_left_alone(fit, name, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text('{"mine": 1}')
    code, out, err = fit()
    assert code == 2 and out == "" and f"out/{name} is there already" in err, err
    assert contents_of_one(tmp_path / "out") == {name: '{"mine": 1}'}
    (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / name).mkdir()
    for more in ((), ("--overwrite",)):
        code, out, err = fit(*more)
        assert code == 2 and f"{name} is a folder" in err
        assert [p.name for p in (tmp_path / "out").iterdir()] == [name]


def contents_of_one(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_folder_may_lie_on_another_file_system(fit, scenes, tmp_path):
    if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        (tmp_path / "link").symlink_to(folder)
        code, _, err = fit(out=tmp_path / "link", given=scenes / "s0.json")
        assert code == 0, err
        assert {p.name for p in Path(folder).iterdir()} == {"s0.npz", "s0.json", "s0.glb"}


def test_a_folder_in_use_is_refused(fit, tmp_path):
    (tmp_path / "out").mkdir()
    with exclusive(tmp_path / "out"):
        code, out, err = fit()
    assert code == 2 and out == "" and "another process" in err and not list((tmp_path / "out").iterdir())


def test_results_that_cannot_be_written_fail_alone(scenes, quick, tmp_path):
    """A write that fails half-way, as on a full disk: each scene is named, and no half results are left."""
    pytest.importorskip("resource")
    program = (
        "import resource, sys; from apu_losses.app.cli import main\n"
        "sys.argv = ['apu', *sys.argv[1:]]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY)); main()"
    )
    arguments = ["fit", str(scenes), "-o", "out", "--preset", str(quick), "--no-pictures"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    for number in range(4):
        assert f"note: s{number}: results not written" in done.stderr
    assert not list((tmp_path / "out").iterdir())


def test_there_and_back_as_the_page_prints_it(apu, fit, scenes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fit(out="out", given=scenes / "s0.json")[0] == 0
    code, out, err = apu("convert", "out/s0.npz", "--to", "free", "-o", "there.npz")
    assert code == 0 and "there.npz written" in out, err
    code, out, err = apu("convert", "there.npz", "--from", "free", "--to", "free", "-o", "back.npz")
    assert code == 0, err
    fitted, back = load_parameters("out/s0.npz")[0], load_parameters("back.npz")[0]
    assert set(fitted) == set(back)
    body = load_body("free")
    import torch

    meshes = [
        body.pose({n: torch.tensor(v, dtype=torch.float32) for n, v in each.items()}).vertices()
        for each in (fitted, back)
    ]
    assert (meshes[0] - meshes[1]).norm(dim=-1).max() < 0.002
    # a result of fit is not one of convert, and neither is written over the other
    code, _, err = apu("convert", "back.npz", "--to", "free", "-o", "out/s0.npz")
    assert code == 2 and "is there already and is not a result of apu convert" in err
    assert apu("convert", "out/s0.npz", "--to", "free", "-o", "there.npz")[0] == 0


def test_parameters_of_another_body_are_refused(apu, fit, scenes, tmp_path):
    """The same file name and parameters, another surface: it says so, instead of "residual 0"."""
    assert fit(given=scenes / "s0.json")[0] == 0
    path = tmp_path / "out" / "s0.npz"
    with np.load(path) as file:
        arrays = dict(file)
    assert str(arrays["body"]) == "free" and len(str(arrays["body_identity"])) == 32
    for changes, said in (
        (
            {"body": np.array("TALL"), "body_identity": np.array("0" * 32)},
            "of the body 'TALL', not of 'free'",
        ),
        ({"body_identity": np.array("0" * 32)}, "'free' of another shape"),
    ):
        np.savez(tmp_path / "x.npz", **{**arrays, **changes})
        code, _, err = apu("convert", tmp_path / "x.npz", "--to", "free", "-o", tmp_path / "y.npz")
        assert code == 2 and said in err and "--from" in err, err
    # files of earlier versions have their record beside them
    old = {name: value for name, value in arrays.items() if not name.startswith("body_i") and name != "body"}
    np.savez(tmp_path / "x.npz", **old)
    (tmp_path / "x.json").write_text(json.dumps({"apu_losses": "0.1", "body": "TALL"}))
    code, _, err = apu("convert", tmp_path / "x.npz", "--to", "free", "-o", tmp_path / "y.npz")
    assert code == 2 and "of the body 'TALL'" in err


def test_a_changed_preset_is_the_users(apu, tmp_path):
    path = tmp_path / "mine.json"
    assert apu("presets", "best", "-o", path)[0] == apu("presets", "paper", "-o", path)[0] == 0
    preset = json.loads(path.read_text())
    preset["filter_pixels"] = 7
    path.write_text(json.dumps(preset))
    code, _, err = apu("presets", "best", "-o", path)
    assert code == 2 and "not an unchanged preset" in err and json.loads(path.read_text()) == preset
    assert apu("presets", "best", "-o", path, "--overwrite")[0] == 0
