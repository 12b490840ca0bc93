"""The Python on the first screen runs as printed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import apu_contacts as ac
from apu_losses.app.demo import demo_scene
from apu_losses.bodies import load_body
from apu_losses.fitting import load_preset, save_scene

ROOT = Path(__file__).resolve().parents[1]
ANSWER = """Here is what I see.
```json
{
 "interaction": "side hug",
 "people": {"person_left": "a taller woman", "person_right": "a woman"},
 "orientation": "side to side",
 "contacts": [
  {
   "body_part_person_left": {"part_name": "hand", "body_side": "left"},
   "body_part_person_right": {"part_name": "upper arm", "body_side": "left"},
   "confidence": 0.9
  },
  {
   "body_part_person_left": {"part_name": "back", "body_side": "left"},
   "body_part_person_right": {"part_name": "hand", "body_side": "right"},
   "confidence": 0.7
  }
 ]
}
```"""


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def links(path: Path) -> list[str]:
    found = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    return [target for target in found if "://" not in target]


def test_the_first_screen_runs():
    (code,) = python_blocks(ROOT / "README.md")
    scene = demo_scene()
    generator = torch.Generator().manual_seed(0)
    verts_a = torch.rand(2, 12242, 3, generator=generator).requires_grad_()
    # the preset as printed takes minutes; its first steps show that it runs
    preset = load_preset("paper")
    preset = replace(preset, stages=tuple(replace(stage, max_iterations=2) for stage in preset.stages))
    names = {
        "text": ANSWER,
        "keypoints_a": scene.people[0].keypoints,
        "keypoints_b": scene.people[1].keypoints,
        "verts_a": verts_a,
        "verts_b": torch.rand(2, 12242, 3, generator=generator),
        "scenes": [scene],
        "preset": preset,
    }
    assert code.count('preset="paper"') == 1
    code = code.replace('preset="paper"', "preset=preset")
    exec(compile(code, "README.md", "exec"), names)

    loss = names["loss"]
    assert loss.shape == (2,) and (loss > 0).all()
    loss.sum().backward()
    assert verts_a.grad is not None and verts_a.grad.abs().sum() > 0
    assert isinstance(names["cmap"], ac.ContactMap) and len(names["cmap"]) > 0
    assert np.isfinite(names["result"][0].after.keypoint_error).all()


@pytest.mark.parametrize(
    "page",
    ["README.md", "CONTRIBUTING.md", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/**/*.md")))],
)
def test_links_lead_somewhere(page):
    path = ROOT / page
    broken = [target for target in links(path) if not (path.parent / target).exists()]
    assert not broken


@pytest.mark.parametrize("page", ["pictures.md", "scene_files.md"])
def test_the_pages_code_runs(page, tmp_path, monkeypatch):
    body = load_body()
    vertices = body.pose({"transl": torch.tensor([[-0.4, 0.0, 3.0], [0.4, 0.0, 3.0]])}).vertices()
    names = {
        "vertices": vertices.numpy(),
        "faces": body.faces.numpy(),
        "photo": np.zeros((480, 640, 3), dtype=np.uint8),
    }
    monkeypatch.chdir(tmp_path)
    save_scene(demo_scene(), "hug.json")
    blocks = python_blocks(ROOT / "docs" / page)
    assert blocks
    for code in blocks:
        exec(compile(code, page, "exec"), names)
    assert {p.name for p in tmp_path.iterdir()} - {"hug.json"}, "the page writes files"
