"""The report in a browser: its pixels, its console, its filters; wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium, visit
from pair_records import record

from apu_losses.bodies import load_body
from apu_losses.bodies.identity import body_identity
from apu_losses.report import write_report

pytest.importorskip("pyarrow", reason="data sets are Parquet: the extra [parquet]")
FILL = {"light": (0, 114, 178), "dark": (86, 180, 233)}
"""The colour of bars after the fit (page.css)."""


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    made = [record(n, kept=n % 3 > 0, source="street" if n % 2 else "beach") for n in range(10)]
    for row in made:
        row["interaction"] = '<b>high</b> "five"' if row["interaction"] == "high five" else row["interaction"]
    return made


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> Path:
    from apu_losses.dataset.shard import ShardIndex, write_shard

    folder, body = tmp_path_factory.mktemp("report"), load_body()
    rows[1]["provenance"]["body_identity"] = body_identity(body)
    (folder / "set").mkdir()
    images = [{"name": r["image"]["name"], "source": r["source"], "pairs": 1, "problem": ""} for r in rows]
    write_shard(folder / "set", ShardIndex(0, images=images), rows)
    write_report(folder / "set", folder / "page.html", body)
    return folder / "page.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_it_is_seen_and_the_console_is_silent(browser: Any, page: Path, size: str, scheme: str) -> None:
    with visit(browser, page, size, scheme) as seen:
        ground = np.median(seen.pixels().reshape(-1, 3), 0)
        assert (ground > 230).all() if scheme == "light" else (ground < 60).all()
        for part in ("svg.chart", "#rejections table", "svg.matrix"):
            picture = seen.pixels(part)
            share = (np.abs(picture - FILL[scheme]).max(-1) < 60).mean()
            assert share > 0.001, f"{part} shows no bars"
        ink = seen.pixels("h1")
        assert np.abs(ink - ground).max() > 150, "the title can be read"
        images = seen.page.locator("article img")
        images.last.scroll_into_view_if_needed()
        for number in range(images.count()):
            images.nth(number).scroll_into_view_if_needed()
        assert images.evaluate_all("all => all.every(i => i.complete && i.naturalWidth > 0)")
        wide = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        content, window = seen.page.evaluate(wide)
        assert content <= window, "nothing has to be scrolled sideways"
        assert not seen.said and not seen.asked


def test_filters_show_the_right_pairs(browser: Any, page: Path, rows: list[dict[str, Any]]) -> None:
    with visit(browser, page) as seen:

        def shown() -> list[str]:
            return seen.page.locator("article:visible h3").all_text_contents()

        def wanted(right: Any) -> list[str]:
            return sorted(row["id"] for row in rows if right(row))

        assert sorted(shown()) == wanted(lambda row: True)
        seen.page.select_option("[name=verdict]", "rejected")
        assert sorted(shown()) == wanted(lambda row: not row["verdict"]["kept"])
        assert f"{len(shown())} of 10" in seen.page.inner_text("#shown")
        seen.page.select_option("[name=source]", "street")
        assert sorted(shown()) == wanted(lambda r: not r["verdict"]["kept"] and r["source"] == "street")
        seen.page.click("button[type=reset]")
        seen.page.locator("article:not([hidden])").nth(9).wait_for()  # its policy forbids to wait by a script
        seen.page.select_option("[name=interaction]", '<b>high</b> "five"')
        assert sorted(shown()) == wanted(lambda row: row["interaction"].startswith("<b>"))
        seen.page.select_option("[name=interaction]", "")
        seen.page.fill("[name=words]", "IMAGE-003 hug")
        assert shown() == [row["id"] for row in rows if "image-003" in row["id"]]
        seen.page.fill("[name=words]", "")
        seen.page.select_option("[name=sort]", "keypoints")
        worst = sorted(rows, key=lambda row: -max(row["after"]["keypoint_error"]))
        assert shown() == [row["id"] for row in worst]
        seen.page.click("#rejections a >> nth=0")
        rule = seen.page.input_value("[name=rule]")
        seen.page.locator("article:not([hidden])").nth(9).wait_for(state="detached")
        assert sorted(shown()) == wanted(lambda row: rule in row["verdict"]["reasons"])
        assert not seen.said


def test_without_scripts_all_is_there(browser: Any, page: Path) -> None:
    with visit(browser, page, java_script_enabled=False) as seen:
        assert seen.page.locator("article").count() == 10 and not seen.page.is_visible("#filters")
