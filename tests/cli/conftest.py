"""The command as a person types it, and inputs that take seconds."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from apu_losses.app import cli
from apu_losses.app.demo import demo_scene
from apu_losses.fitting import Preset, Stage, save_scene


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


@pytest.fixture(scope="session")
def quick(tmp_path_factory) -> Path:
    """A preset of two steps: these tests are about files and messages, not about fits."""
    stage = Stage("short", {"keypoints": 0.02}, ("body_pose", "transl"), 0.03, 2)
    path = tmp_path_factory.mktemp("preset") / "quick.json"
    path.write_text(json.dumps(Preset("quick", {"keypoints": {}}, (stage,)).to_dict()))
    return path


@pytest.fixture
def scenes(tmp_path) -> Path:
    """A folder with four scenes that differ."""
    folder = tmp_path / "scenes"
    for number in range(4):
        save_scene(varied(number), folder / f"s{number}.json")
    return folder


def varied(number: int):
    """The demo's scene with its first person moved a little."""
    scene = demo_scene()
    first = scene.people[0]
    parameters = dict(first.initial.parameters)
    parameters["transl"] = parameters["transl"] + [0.01 * number, 0, 0]
    people = [replace(first, initial=replace(first.initial, parameters=parameters)), *scene.people[1:]]
    return replace(scene, people=people, name=f"s{number}")
