"""Bodies as rows: boxes, and points put back in their places."""

from __future__ import annotations

import pytest
import torch

from apu_losses.functional.rows import bounding_boxes, gather_points, spread_points


@pytest.mark.parametrize("count", [1, 63, 64, 65, 300])
def test_bounding_boxes(count):
    vertices = torch.randn(3, count, 3, generator=torch.Generator().manual_seed(count))
    low, high = bounding_boxes(vertices)
    assert torch.equal(low, vertices.amin(1)) and torch.equal(high, vertices.amax(1))
    vertices[1, count // 2, 2] = torch.nan
    vertices[2, -1, 0] = -torch.inf
    low, high = bounding_boxes(vertices)
    assert low.isnan().tolist() == [[False] * 3, [False, False, True], [False] * 3]
    assert torch.equal(low.isnan(), high.isnan()) and low[2, 0] == -torch.inf
    assert bounding_boxes(vertices[:0])[0].shape == (0, 3)


def test_points_go_back_where_they_were():
    vertices = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    rows, ids = torch.tensor([0, 1, 1]), torch.tensor([4, 0, 2])
    whole = spread_points(gather_points(vertices, rows, ids), rows, ids, 2, 5)
    assert torch.equal(whole[rows, ids], vertices[rows, ids]) and int((whole != 0).any(2).sum()) == 3
