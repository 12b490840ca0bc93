"""The command `apu evaluate` as a person types it."""

from __future__ import annotations

import json
import re
import sys

import dataset_layouts as layouts
import numpy as np
import pytest

from apu_losses.app import cli
from apu_losses.evaluation import LSP14


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


@pytest.fixture
def chi3d(tmp_path, scenes):
    """CHI3D's layout, and two methods' joints: one exact, one that misses a frame."""
    keys = layouts.write_chi3d(tmp_path / "data", scenes[:2])
    rng = np.random.default_rng(0)
    for number, key in enumerate(keys):
        joints = np.stack(
            [layouts.joints_by_name(scenes[number // 2])[n.replace("_top", "")] for n in LSP14], 1
        )
        layouts.write_fit(tmp_path / "exact", key, joints=joints)
        if number:
            layouts.write_fit(tmp_path / "rough", key, joints=joints + rng.normal(0, 0.05, joints.shape))
    return tmp_path


def test_one_command_prints_the_fields_table_with_the_own_rows(apu, chi3d):
    arguments = ["evaluate", "--protocol", "chi3d", "--data", chi3d / "data"]
    methods = ["--fits", chi3d / "exact", "--fits", f"Rough guess={chi3d / 'rough'}", "--resamples", 20]
    code, out, err = apu(*arguments, *methods)
    assert (code, err) == (0, "")
    assert "> exact" in out
    assert "> Rough guess" in out
    assert "3 of 4 frames solved, 1 without a fit" in out
    assert "published figures are of 440 of 504" in out
    assert "not like for like" in out
    target = chi3d / "report.json"
    code, out, _ = apu(*arguments, *methods, "--format", "json", "-o", target)
    assert (code, out) == (0, f"{target} written\n")
    data = json.loads(target.read_text())
    exact, rough = data["methods"]
    assert exact["metrics"]["joint_pa"]["mean"] == pytest.approx(0, abs=1e-3)
    assert 40 < rough["metrics"]["joint_pa"]["mean"] < 100
    assert (exact["metrics"]["joint_pa"]["frames"], rough["metrics"]["joint_pa"]["frames"]) == (4, 3)
    assert exact["metrics"]["joint_pa"]["on_frames_all_solved"]["frames"] == 3
    target.write_text("mine")
    code, _, err = apu(*arguments, *methods, "-o", target)
    assert code == 2
    assert "report.json" in err
    assert target.read_text() == "mine"


@pytest.mark.parametrize("form", ["text", "markdown", "latex", "json"])
def test_published_tables_need_no_data(apu, form):
    code, out, _ = apu("evaluate", "--protocol", "ntu", "--format", form)
    assert code == 0
    assert "Contact prior" in out or "contact prior" in out
    assert "92.5" in out


HERE = "--data DIR --fits FITS"
TWICE = "--data DIR --fits a=DIR --fits a=DIR"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("ntu120", "protocol must be one of ntu, hi4d, chi3d, flickrci3d, got 'ntu120'"),
        ("ntu --data DIR", "--data and --fits go together; ntu needs a folder with nturgb"),
        ("ntu --format html", "--format must be one of text, markdown, latex, json"),
        ("ntu --data DIR --fits nowhere", "nowhere: no such folder; --fits names"),
        ("ntu --data DIR --fits DIR", "DIR: holds no fits; expected FRAME.npz"),
        ("ntu --data none --fits FITS", "none: no such folder; expected NTU RGB"),
        (f"ntu {HERE}", "expected files such as nturgb.*found note"),
        (f"hi4d {HERE}", "DIR: expected pair00/, found note.txt; --data names the folder"),
        (f"chi3d {HERE}", "s03: no such folder; expected the pair s03"),
        (f"flickrci3d {HERE}", "expected the part 'test'.*found note"),
        (f"ntu {TWICE}", "two methods are called 'a'"),
        ("ntu --order any", "--order must be given or either, got 'any'"),
    ],
)
def test_what_is_missing_is_named(apu, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "DIR").mkdir()
    (tmp_path / "DIR" / "note.txt").write_text("")
    layouts.write_fit(tmp_path / "FITS", "x", joints=np.zeros((2, 14, 3)))
    code, out, err = apu("evaluate", "--protocol", *arguments.split())
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert re.search(message, err), err


def test_fits_under_other_names_or_of_something_else_are_named(apu, chi3d):
    layouts.write_fit(chi3d / "other", "frame_000001", joints=np.zeros((2, 14, 3)))
    arguments = ["evaluate", "--protocol", "chi3d", "--data", chi3d / "data", "--fits"]
    code, _, err = apu(*arguments, chi3d / "other")
    assert code == 2
    assert "no fit for any of the 4 frames of CHI3D; expected names such as s03_" in err
    assert "found frame_000001.npz" in err
    for name, arrays, message in (
        ("a", {"joints": np.zeros((3, 14, 3))}, r"joints must be numbers of shape (2, N, 3)"),
        ("b", {"joints": np.zeros((2, 17, 3))}, "17 joints without joint_names"),
        ("c", {"pose": np.zeros((2, 63))}, "expected vertices, joints, or parameters of the body 'free'"),
    ):
        for file in (chi3d / "exact").iterdir():
            layouts.write_fit(chi3d / name, file.stem, **arrays)
        code, _, err = apu(*arguments, chi3d / name)
        assert code == 2
        assert message in err
