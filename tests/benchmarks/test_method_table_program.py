"""The program that prints the table, on two of the scenes that come with the package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from apu_losses.fitting import Preset, Stage

SHORT = Preset(
    "short",
    {"keypoints": {}, "contact": {"over": "parts", "robust": 0.15}, "initial_pose": {}},
    (
        Stage(
            "one",
            {"keypoints": 0.02, "contact": 1e4, "initial_pose": 100.0},
            ("body_pose", "transl"),
            0.02,
            3,
        ),
    ),
)


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    SHORT.save(tmp_path / "short.json")
    return tmp_path / "short.json"


def test_the_quick_form_runs_and_resumes(
    preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import run_method_table

    arguments = ["--quick", "--scenes", "2", "--preset", str(preset), "--cache", str(tmp_path / "kept")]
    monkeypatch.setattr(sys, "argv", ["run_method_table.py", *arguments])
    tables = []
    for fitted in (6, 0):
        run_method_table.main()
        printed = capsys.readouterr().out
        assert printed.count(": block 1 of 1") == fitted
        tables.append(printed[printed.index("Synthetic scenes") :])
    assert tables[0] == tables[1]
    for label in ("initial estimate", "optimised, without contact", "minimum-distance heuristic"):
        assert f"| {label} |" in tables[0]
