"""The pages of tasks: every block is run as it stands, with small files of the kinds that the pages name.

Commands get options that make them short, and a server on this machine in place of the page's.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from typer.testing import CliRunner

from apu_losses.app.cli import app
from apu_losses.bodies import load_body

PAGES = Path(__file__).resolve().parents[1] / "docs" / "tasks"
SERVER = "http://localhost:8000/v1"


class Page:
    """A page whose blocks are run one after the other, in one folder and one namespace."""

    def __init__(self, name: str) -> None:
        text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
        self.blocks = re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        assert self.blocks and {kind for kind, _ in self.blocks} <= {"sh", "python", "toml"}
        self.names: dict[str, Any] = {}
        self.said = ""

    def run(self, server: str = "", change: Callable[[list[str]], list[str]] = lambda words: words) -> None:
        for kind, code in self.blocks:
            if kind == "toml":
                name = code.splitlines()[0].removeprefix("# ")
                Path(name).write_text(code, encoding="utf-8")
            elif kind == "python":
                exec(compile(code, "page", "exec"), self.names)
            else:
                for line in code.splitlines():
                    self.call(change(shlex.split(line.replace(SERVER, server))))

    def call(self, words: list[str]) -> None:
        assert words[0] == "apu"
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, f"{words}: {done.output} {done.exception}"
        self.said += done.output


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def two_meshes(in_a_folder: Path) -> torch.Tensor:
    """One.ply and two.ply: two people side by side, the left hand of one in the right hand of the other."""
    body = load_body()
    vertices = body.pose({"transl": torch.tensor([[0.0, 0.0, 3.0], [1.5, 0.0, 3.02]])}).vertices()
    for name, points in zip(("one", "two"), vertices, strict=True):
        mesh = trimesh.Trimesh(points.numpy(), body.faces.numpy(), process=False)
        mesh.export(in_a_folder / f"{name}.ply")
    return vertices


def test_every_page_has_a_test() -> None:
    tested = {
        name.removeprefix("test_").removesuffix("_page") for name in globals() if name.endswith("_page")
    }
    assert tested == {path.stem for path in PAGES.glob("*.md")} - {"index"}


@pytest.mark.long
def test_unpenetrate_page(two_meshes: torch.Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    page = Page("unpenetrate")
    page.run()
    before, after = page.names["before"], page.names["after"]
    assert before.depth > 0.015 and after.depth < 0.5 * before.depth
    assert any({part.part_a, part.part_b} == {"hand"} for part in after.parts)
    moved = trimesh.load("one_apart.ply", process=False).vertices - two_meshes[0].numpy()
    assert np.ptp(moved, 0).max() < 1e-4 and np.abs(moved).max() < 0.2  # as a whole, and not far
    assert "cm" in capsys.readouterr().out


def test_contact_map_page(two_meshes: torch.Tensor) -> None:
    page = Page("contact_map")
    page.run()
    assert "left hand touches right hand" in page.said and str(page.names["found"].parts[0]) in page.said
    with np.load("contacts.npz") as file:
        assert file["dense"].sum() == len(file["pairs"]) == len(page.names["cmap"])
    assert Path("touches.json").is_file() and Path("touches.png").is_file()


def test_contact_in_your_loss_page(two_meshes: torch.Tensor) -> None:
    page = Page("contact_in_your_loss")
    a, b = (v[None].clone().requires_grad_() for v in two_meshes)
    page.names |= {"verts_a": a, "verts_b": b, "your_loss": 0.0}
    page.run()
    contact = page.names["contact"]
    moved = a.detach() - 0.01 * a.grad / a.grad.norm()
    assert contact(moved, b.detach(), page.names["touching"]) < contact(a, b, page.names["touching"])


@pytest.fixture
def photographs(in_a_folder: Path) -> list[str]:
    from line_setup import photos

    return photos(in_a_folder / "photos", 2)


def test_annotate_page(photographs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from line_setup import answering

    pytest.importorskip("openai", reason="a server is asked by the extra [lvlm]")
    page = Page("annotate")
    with answering(photographs) as server:
        page.run(server.url)
    assert server.asked == 2 and page.names["answer"].contacts
    assert len(page.names["cmap"]) > 0 and "hand" in capsys.readouterr().out


@pytest.mark.long
def test_build_a_dataset_page(photographs: list[str]) -> None:
    from line_setup import answering

    for extra in ("openai", "pyarrow"):
        pytest.importorskip(extra, reason="the extras [lvlm] and [parquet]")
    short = {"fit.preset": "short.json", "propose.start": "estimate", "ask.example": "false"}

    def change(words: list[str]) -> list[str]:
        options = [word for name, value in short.items() for word in ("--set", f"{name}={value}")]
        return [*words, *options] if words[1] == "generate" else words

    page = Page("build_a_dataset")
    with answering(photographs) as server:
        page.run(server.url, change)
    assert page.names["batch"]["parameters"]["body_pose"].shape == (2, 2, 63)
    assert "0 problems" in page.said and Path("report.html").stat().st_size > 20_000


@pytest.mark.long
def test_train_a_prior_page() -> None:
    pytest.importorskip("safetensors", reason="priors are kept by the extra [prior]")
    page = Page("train_a_prior")
    page.run(change=lambda words: [*words, "--steps", "2"])
    assert page.names["vertices"].shape[0] == 4 and torch.isfinite(page.names["vertices"]).all()
    assert Path("with_prior.json").is_file()


def test_evaluate_on_hi4d_page(capsys: pytest.CaptureFixture[str]) -> None:
    import dataset_layouts as layouts

    from apu_losses.synthetic import load_truth_scenes

    scenes = load_truth_scenes("held_out", per_type=1)[:1]
    (key, other) = layouts.write_hi4d(Path("Hi4D"), scenes)
    camera = layouts.hi4d_camera(Path("Hi4D"), 0)
    named = layouts.joints_by_name(scenes[0])
    joints = np.stack(list(named.values()), 1) @ camera[:, :3].T + camera[:, 3]
    layouts.write_fit(Path("fits"), key, joints=joints, joint_names=np.array(list(named)))
    page = Page("evaluate_on_hi4d")
    page.run()
    assert f"{key} 0.0 mm" in capsys.readouterr().out
    assert f"without a fit: {other}" in page.said
    assert "tabular" in Path("table.tex").read_text()
