"""The stopping rule against numpy.polyfit."""

import numpy as np
import pytest
import torch

from apu_losses.fitting.solve.convergence import SlopeRule

WINDOW = 7
RNG = np.random.default_rng(3)
LOSSES = 50 * np.exp(-np.arange(60)[:, None] / [5.0, 12.0, 40.0]) + RNG.normal(0, 0.02, (60, 3)) + [5, 1, 9]


def decisions(rule: SlopeRule, losses: np.ndarray) -> np.ndarray:
    return np.array([rule.update(torch.as_tensor(row)).numpy() for row in losses])


def slopes(losses: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """Slope of the line through the last ``window`` losses; NaN while there are fewer, or just as many."""
    out = np.full(losses.shape, np.nan)
    for end in range(window, len(losses)):
        out[end] = np.polyfit(np.arange(window), losses[end - window + 1 : end + 1], 1)[0]
    return out


@pytest.mark.parametrize("limit", [0.003, 0.02, 0.3])
def test_absolute_rule_equals_polyfit(limit):
    expected = np.abs(slopes(LOSSES)) < limit
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(decisions(SlopeRule(3, WINDOW, None, limit), LOSSES), expected)


@pytest.mark.parametrize("limit", [0.001, 0.02])
def test_relative_rule_equals_polyfit(limit):
    expected = np.abs(slopes(LOSSES)) < limit * np.abs(LOSSES)
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(decisions(SlopeRule(3, WINDOW, limit, None), LOSSES), expected)


def test_either_rule_suffices_and_none_never_stops():
    absolute, relative = np.abs(slopes(LOSSES)) < 0.003, np.abs(slopes(LOSSES)) < 0.003 * np.abs(LOSSES)
    np.testing.assert_array_equal(decisions(SlopeRule(3, WINDOW, 0.003, 0.003), LOSSES), absolute | relative)
    assert not decisions(SlopeRule(3, WINDOW, None, None), LOSSES).any()


def test_kept_scenes_go_on_with_their_own_history():
    whole = decisions(SlopeRule(3, WINDOW, None, 0.02), LOSSES)
    rule = SlopeRule(3, WINDOW, None, 0.02)
    decisions(rule, LOSSES[:25])
    rule.keep(torch.tensor([0, 2]))
    np.testing.assert_array_equal(decisions(rule, LOSSES[25:40, [0, 2]]), whole[25:40, [0, 2]])
    rule.keep(torch.tensor([False, True]))
    np.testing.assert_array_equal(decisions(rule, LOSSES[40:, [2]]), whole[40:, [2]])


def test_a_rising_loss_has_not_converged():
    assert not decisions(SlopeRule(1, WINDOW, 1e-3, 1e-3), np.arange(30.0)[:, None]).any()


def test_a_level_loss_has_converged_once_the_window_is_full():
    done = decisions(SlopeRule(1, WINDOW, None, 1e-3), np.full((12, 1), 4.0))[:, 0]
    assert done.tolist() == [False] * WINDOW + [True] * 5
