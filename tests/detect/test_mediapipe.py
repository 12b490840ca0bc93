"""MediaPipe as it is installed, or as it is missing; what it sees is looked at where its package is."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from apu_contacts.detect.mediapipe_pose import MediapipeDetector, same_person


def broken(**options: object) -> None:
    """What protobuf 5 says to MediaPipe 0.10.14."""
    raise AttributeError("'SymbolDatabase' object has no attribute 'GetPrototype'")


def test_a_protobuf_that_is_too_new_is_named(monkeypatch):
    package = SimpleNamespace(solutions=SimpleNamespace(pose=SimpleNamespace(Pose=broken)))
    monkeypatch.setitem(sys.modules, "mediapipe", package)
    with pytest.raises(ImportError, match=r"protobuf .*GetPrototype.*pip install 'protobuf>=4\.25,<5'"):
        MediapipeDetector()


def test_its_absence_is_said_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'apu-losses\[mediapipe\]'"):
        MediapipeDetector()


def test_the_same_person_twice_is_one():
    points = np.random.default_rng(0).uniform(0, 100, (33, 2))
    assert same_person(points + 1.0, points)
    assert not same_person(points + 50.0, points)


def test_nobody_is_seen_on_a_grey_picture():
    pytest.importorskip("mediapipe", reason="the extra [mediapipe]")
    found = MediapipeDetector()(np.full((240, 320, 3), 127, np.uint8))
    assert found.xy.shape == (0, 33, 2)
