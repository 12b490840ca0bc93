"""Pictures of `apu report` for the documentation: the page of a data set, wide and light, narrow and dark.

`python tools/render_report.py DATASET` writes `docs/images/report*.jpg` of a data set of `apu generate`. It
needs a Chromium and the extras [parquet] and [browser].
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

OUT = Path(__file__).parents[1] / "docs" / "images"
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
WINDOWS: dict[str, dict[str, Any]] = {
    "report.jpg": {"width": 1180, "height": 1000, "scheme": "light", "at": "#counts"},
    "report_pairs.jpg": {"width": 1180, "height": 760, "scheme": "light", "at": "#pairs"},
    "report_phone.jpg": {"width": 390, "height": 844, "scheme": "dark", "at": "#pairs"},
}


def shots(page: Path) -> dict[str, Image.Image]:
    """Return what the windows show of a page.

    Raises:
        ImportError: no Playwright.
        RuntimeError: no browser.
    """
    from playwright.sync_api import Error, sync_playwright

    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    found = {}
    with sync_playwright() as play:
        try:
            browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        except Error as error:
            raise RuntimeError(str(error).splitlines()[0]) from None
        for name, window in WINDOWS.items():
            size = {"width": window["width"], "height": window["height"]}
            context = browser.new_context(viewport=size, color_scheme=window["scheme"])
            tab = context.new_page()
            tab.goto(page.resolve().as_uri())
            tab.evaluate("at => document.querySelector(at).scrollIntoView()", window["at"])
            tab.wait_for_timeout(800)  # pictures are decoded when they come into sight
            found[name] = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
            context.close()
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, nargs="?", help="as `apu generate` writes it")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--check", action="store_true", help="an empty data set, and nothing is written")
    options = parser.parse_args()
    if options.dataset is None and not options.check:
        parser.error("name a data set of `apu generate`")
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            body = None
            if options.check:
                from apu_losses.dataset import ShardIndex, write_shard

                options.dataset = place / "empty"
                options.dataset.mkdir()
                write_shard(options.dataset, ShardIndex(0), [])
                WINDOWS.pop("report_pairs.jpg")
            else:
                from apu_losses.bodies import load_body

                body = load_body()
            from apu_losses.report import ReportOptions, write_report

            write_report(options.dataset, place / "page.html", body, ReportOptions(title="Pairs of people"))
            found = shots(place / "page.html")
    except (ImportError, RuntimeError) as error:
        sys.exit(f"not run: {error}")
    for name, picture in found.items():
        if options.check:
            print(f"drew {name}: {picture.width} x {picture.height} pixels; nothing written")
        else:
            picture.save(options.out / name, quality=84, optimize=True)
            print(f"{options.out / name}: {picture.width} x {picture.height} pixels")


if __name__ == "__main__":
    main()
