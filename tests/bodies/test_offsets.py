"""Vertices moved along directions of their own: the compiled path against its twin and a loop."""

from __future__ import annotations

import pytest
import torch

from apu_losses.bodies.offsets import offset_items


def drawn(dtype=torch.float64, *, shared):
    generator = torch.Generator().manual_seed(0)
    points, directions, values = (
        torch.randn(*shape, generator=generator, dtype=dtype) for shape in ((9, 3), (5, 3, 4), (3, 7))
    )
    places = None if shared else torch.randint(0, 7, (5, 4), generator=generator)
    entries = torch.tensor([0, 4, 4, -1, 2, 1, -1, 3, 4])
    return points, directions, places, entries, values[:, :4] if shared else values, torch.arange(9) % 3


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_is_what_a_loop_gives(backend, shared):
    points, directions, places, entries, values, rows = drawn(shared=shared)
    expected = points.clone()
    for k, e in enumerate(entries.tolist()):
        for f in range(4 if e >= 0 else 0):
            place = f if places is None else int(places[e, f])
            expected[k] += directions[e, :, f] * values[rows[k], place]
    got = offset_items(points, directions, places, entries, values, rows, backend)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_derivatives_are_those_of_finite_differences(backend, shared):
    points, directions, places, entries, values, rows = drawn(shared=shared)

    def moved(points, values):
        return offset_items(points, directions, places, entries, values, rows, backend)

    inputs = points.requires_grad_(), values.clone().requires_grad_()
    assert torch.autograd.gradcheck(moved, inputs)
    assert torch.autograd.gradgradcheck(moved, inputs)


def test_a_point_does_not_depend_on_the_others():
    points, directions, places, entries, values, rows = drawn(torch.float32, shared=False)
    whole = offset_items(points, directions, places, entries, values, rows)
    part = offset_items(points[4:6], directions, places, entries[4:6], values, rows[4:6])
    assert torch.equal(whole[4:6], part)
