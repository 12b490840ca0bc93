"""A headless Chromium for tests of pages, with what it said and asked for; skips where there is none."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="pages are looked at by the extra [browser]")
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    with api.sync_playwright() as play:
        try:
            # a sandbox needs rights that containers seldom give; the pages are our own
            browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        except api.Error as error:
            pytest.skip(f"no Chromium on this machine: {str(error).splitlines()[0]}")
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page that is open.

    Attributes:
        page: Playwright's page.
        said: what its console said, errors and all.
        asked: addresses that it asked for, its own and those of data left out.
    """

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def pixels(self, selector: str = "") -> np.ndarray:
        """``(H, W, 3)`` of what is seen, or of one element."""
        shot = self.page.locator(selector).first.screenshot() if selector else self.page.screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


@contextmanager
def visit(
    browser: Any, path: Path, size: str = "desktop", scheme: str = "light", **more: Any
) -> Iterator[Visit]:
    """Open a file in a window of a desktop's or a telephone's size."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **more)
    found = Visit(context.new_page())
    address = path.resolve().as_uri()
    found.page.on("console", lambda message: found.said.append(message.text))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("data:", address)) else found.asked.append(request.url)
        ),
    )
    found.page.goto(address)
    try:
        yield found
    finally:
        context.close()
