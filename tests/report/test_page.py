"""The page of a data set: what stands on it, that a stranger's words stay words, and its pictures."""

from __future__ import annotations

import io
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from pair_records import record, write_set
from PIL import Image
from typer.testing import CliRunner

from apu_losses.app.cli import app
from apu_losses.bodies import load_body
from apu_losses.bodies.identity import body_identity
from apu_losses.report import ReportOptions, is_report, write_report
from apu_losses.report.pictures import PairArtist

pytest.importorskip("pyarrow", reason="data sets are Parquet: the extra [parquet]")
EVIL = "<script>alert(1)</script>\"'&"


class Elements(HTMLParser):
    """Tags with their attributes, and the text of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_shows_the_set_and_asks_nobody(tmp_path: Path) -> None:
    rows = write_set(tmp_path / "set", range(9), source=EVIL)
    done = write_report(tmp_path / "set", tmp_path / "page.html", options=ReportOptions(title=EVIL))
    assert (done.pairs, done.shown) == (9, 9) and is_report(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    page = Elements(text)
    assert len(page.of("script")) == 1 and EVIL not in text and EVIL in page.text
    cards = page.of("article")
    assert len(cards) == 9 and {card["data-source"] for card in cards} == {EVIL}
    kept = sum(row["verdict"]["kept"] for row in rows)
    assert sum(card["data-verdict"] == "kept" for card in cards) == kept
    for tag, attributes in page.tags:
        for name in ("src", "href", "action", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert "http://" not in text and "https://" not in text and "@import" not in text


def test_a_set_without_pairs_is_a_page_too(tmp_path: Path) -> None:
    from apu_losses.dataset.shard import ShardIndex, write_shard

    (tmp_path / "set").mkdir()
    images = [{"name": "a", "source": "s", "pairs": 0, "problem": "nobody is in it"}]
    write_shard(tmp_path / "set", ShardIndex(0, images=images), [])
    write_report(tmp_path / "set", tmp_path / "page.html")
    page = Elements((tmp_path / "page.html").read_text())
    assert "a: nobody is in it" in page.text and not page.of("article")


def pixels(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(b64decode(address.partition(",")[2]))).convert("RGB")).astype(int)


def test_a_pair_is_drawn_with_its_own_body_alone(tmp_path: Path) -> None:
    body, row = load_body(), record(1)
    for place, name in enumerate(("person_a", "person_b")):
        row[name]["parameters"]["transl"] = [0.5 * place - 0.25, 0.0, 3.0]
    row["provenance"]["body_identity"] = body_identity(body)
    photo = tmp_path / "photo.png"
    Image.new("RGB", (640, 480), (10, 200, 10)).save(photo)
    row["image"] |= {"path": str(photo), "digest": None}
    shown = PairArtist(body, 120).draw(row)
    assert list(shown.pictures) == ["photograph", "fitted, with detected keypoints", "from the left"]
    assert not shown.notes
    flat, fitted, side = (pixels(address) for address in shown.pictures.values())
    assert np.abs(flat - (10, 200, 10)).max() < 12  # the photograph, as it is
    for picture in (fitted, side):
        blue = (picture[..., 2] > picture[..., 0] + 40).mean()
        orange = (picture[..., 0] > picture[..., 2] + 40).mean()
        assert blue > 0.01 and orange > 0.01
    assert [pixels(a).shape[0] for a in shown.pictures.values()] == [120, 120, 120]

    row["image"]["digest"] = "0" * 64
    other = PairArtist(body, 120).draw(row)
    assert "photograph" not in other.pictures and "another picture now" in other.notes[0]
    row["provenance"]["body_identity"] = "1" * 32
    assert list(PairArtist(body, 120, photographs=False).draw(row).pictures) == ["detected keypoints"]


def test_the_command_writes_a_page_and_replaces_no_other_file(tmp_path: Path) -> None:
    write_set(tmp_path / "set", range(4))
    page = tmp_path / "page.html"
    call = ["report", str(tmp_path / "set"), "-o", str(page)]
    first = CliRunner().invoke(app, [*call, "--pairs", "0"])
    assert first.exit_code == 0 and "0 of 4 pairs" in first.output
    assert CliRunner().invoke(app, [*call, "--pairs", "2", "--no-photographs"]).exit_code == 0
    page.write_text("mine")
    refused = CliRunner().invoke(app, call)
    assert refused.exit_code != 0 and page.read_text() == "mine"
    assert CliRunner().invoke(app, [*call, "--overwrite", "--pairs", "0"]).exit_code == 0
