from __future__ import annotations

import numpy as np
import pytest

from apu_losses.viz import contact_heat, distance_to_others, heat_colors, region_colors


def test_distance_between_concentric_spheres(sphere):
    inner, outer = sphere((0, 0, 0), 0.5), sphere((0, 0, 0), 0.6)
    for distance in distance_to_others([inner, outer]):
        np.testing.assert_allclose(distance, 0.1, atol=1e-9)


def test_the_nearest_of_several_others_counts(sphere):
    balls = [sphere((0, 0, 0), 0.1), sphere((1, 0, 0), 0.1), sphere((5, 0, 0), 0.1)]
    assert distance_to_others(balls)[0].min() == pytest.approx(0.8, abs=0.01)
    assert np.isinf(distance_to_others(balls[:1])[0]).all()


def test_nearer_is_redder():
    colors = heat_colors(np.array([0, 0.02, 0.04, 0.08, 1.0, np.inf]), reach=0.08)
    assert (np.diff(colors[:4, 1]) > 0).sum() >= 2
    np.testing.assert_array_equal(colors[3], colors[4])
    np.testing.assert_array_equal(colors[3], colors[5])
    assert colors[0, 0] > 3 * colors[0, 1]
    with pytest.raises(ValueError, match="reach"):
        heat_colors([0.1], reach=0)


def test_heat_is_where_the_bodies_touch(sphere):
    left, right = contact_heat([sphere((-0.3, 0, 2), name="a"), sphere((0.3, 0, 2), name="b")])
    assert (left.name, right.name) == ("a", "b")
    hottest = left.colors[:, 1].argmin()
    assert left.vertices[hottest, 0] == left.vertices[:, 0].max()


def test_regions_have_colors_that_differ_from_the_next_ones():
    colors = region_colors(np.arange(-1, 75))
    assert len({tuple(color) for color in np.round(colors, 3)}) == 76
    assert np.abs(np.diff(colors[1:], axis=0)).sum(1).min() > 0.3
    assert ((colors >= 0) & (colors <= 1)).all()
