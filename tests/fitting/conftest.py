"""One free body and one fitter's geometry for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from apu_losses.bodies import BodyModel, load_body
from apu_losses.fitting import SceneFitter


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body("free")


@pytest.fixture(scope="session")
def fitter_of(body: BodyModel) -> Callable[..., SceneFitter]:
    """``SceneFitter(body, ...)`` with the given options."""

    def build(preset: object, **options: object) -> SceneFitter:
        return SceneFitter(body, preset=preset, **options)  # type: ignore[arg-type]

    return build
