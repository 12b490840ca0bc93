"""Numbers of a device are judged without waiting for it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import trimesh

import apu_losses as al
from apu_contacts import ContactMap, RegionMap
from apu_losses.numerics import late_look, precision


class Number:
    """A number of a device that is not there: whoever asks for its value waits for the device."""

    def __init__(self, value: float) -> None:
        self.device, self.value = torch.device("cuda", 0), value

    def __float__(self) -> float:
        raise AssertionError("waited for the device")


class Copy:
    """Arrives when the test says so."""

    sent: list[Copy]

    def __init__(self, number: Number) -> None:
        self.value, self.arrived = number.value, False
        self.sent.append(self)

    def read(self) -> float | None:
        return self.value if self.arrived else None


@pytest.fixture
def copies(monkeypatch) -> list[Copy]:
    monkeypatch.setattr(late_look, "CudaCopy", Copy)
    monkeypatch.setattr(late_look, "_under_way", {})
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    Copy.sent = []
    return Copy.sent


def test_a_later_call_is_told_and_nobody_waits(copies):
    told: list[float] = []
    for value in (1.0, 2.0, 3.0):
        late_look.look_late("far", Number(value), told.append)
    assert told == [] and [copy.value for copy in copies] == [1.0]  # one number is under way at a time
    copies[0].arrived = True
    late_look.look_late("far", Number(4.0), told.append)
    assert told == [1.0] and [copy.value for copy in copies] == [1.0, 4.0]
    late_look.look_late("far", Number(5.0), told.append)
    assert told == [1.0], "each number is judged once"


def test_questions_do_not_wait_for_each_other(copies):
    told: list[float] = []
    late_look.look_late("far", Number(1.0), told.append)
    late_look.look_late("rounded", Number(2.0), told.append)
    copies[1].arrived = True
    late_look.look_late("rounded", Number(3.0), told.append)
    assert told == [2.0]


def test_nothing_is_looked_at_while_a_graph_is_recorded(copies, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    late_look.look_late("far", Number(1.0), pytest.fail)
    assert copies == []


def test_on_the_host_a_number_is_judged_at_once():
    told: list[float] = []
    late_look.look_late("far", torch.tensor(7.0), told.append)
    assert told == [7.0]


def far_pair(device: str, dtype: torch.dtype) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    ball = trimesh.creation.icosphere(2, 0.3)
    vertices = torch.tensor(np.asarray(ball.vertices))[None] + 5e3
    away = torch.tensor([0.4, 0.0, 0.0], dtype=torch.float64)
    return np.asarray(ball.faces), vertices.to(device, dtype), (vertices + away).to(device, dtype)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_far_bodies_on_a_gpu_are_spoken_of_by_the_loss_that_sees_them():
    precision._warn_of_distance.cache_clear()
    faces, a, b = far_pair("cuda", torch.float32)
    with pytest.warns(RuntimeWarning, match="4096 m from the origin"):
        al.MinimumDistanceLoss(faces)(a, b)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_half_precision_on_a_gpu_is_spoken_of_without_waiting():
    precision._warn_of_rounding.cache_clear()
    regions = RegionMap.load("free")
    loss, contacts = al.SoftContactLoss(regions), ContactMap([(3, 26)])
    vertices = torch.zeros(1, regions.vertex_count, 3, device="cuda", dtype=torch.bfloat16) + 4
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        loss(vertices, vertices + 1, contacts)  # lays out, and looks at the bodies
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            loss(vertices, vertices + 1, contacts)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize()
        loss(vertices, vertices + 1, contacts)
    assert [each for each in seen if "31 mm at 4 m" in str(each.message)]
