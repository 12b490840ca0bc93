"""Levenberg-Marquardt against closed forms and scipy, and the independence of its rows."""

import numpy as np
import pytest
import scipy.optimize
import torch

from apu_losses.numerics.least_squares import levenberg_marquardt


def rosenbrock(x):
    return torch.stack([10 * (x[:, 1] - x[:, 0] ** 2), 1 - x[:, 0]], dim=-1)


def test_linear_problem_equals_the_normal_equations():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(3, 12, 5, generator=generator, dtype=torch.float64)
    b = torch.randn(3, 12, generator=generator, dtype=torch.float64)
    result = levenberg_marquardt(
        lambda x: (a @ x[..., None])[..., 0] - b, torch.zeros(3, 5, dtype=torch.float64)
    )
    expected = torch.linalg.lstsq(a, b[..., None]).solution[..., 0]
    torch.testing.assert_close(result.x, expected, atol=1e-6, rtol=0)
    assert result.converged.all()


def test_curve_fit_equals_scipy():
    t = np.linspace(0, 3, 40)
    y = 2.5 * np.exp(-1.3 * t) + 0.05 * np.sin(9 * t)
    tt, yy = torch.tensor(t), torch.tensor(y)
    ours = levenberg_marquardt(
        lambda x: x[:, :1] * torch.exp(-x[:, 1:] * tt) - yy, torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    )
    theirs = scipy.optimize.least_squares(lambda p: p[0] * np.exp(-p[1] * t) - y, [1.0, 1.0])
    np.testing.assert_allclose(ours.x[0].numpy(), theirs.x, rtol=1e-5)
    np.testing.assert_allclose(ours.cost[0].item(), theirs.cost, rtol=1e-9)


def test_curved_valley_is_followed_to_its_end():
    start = torch.tensor([[-1.2, 1.0], [3.0, 4.0]], dtype=torch.float64)
    result = levenberg_marquardt(rosenbrock, start, max_iterations=200, tolerance=1e-12)
    torch.testing.assert_close(result.x, torch.ones_like(start), atol=1e-5, rtol=0)


def test_a_row_does_not_depend_on_its_neighbours():
    start = torch.tensor([[-1.2, 1.0], [3.0, 4.0], [0.0, 5.0]])
    together = levenberg_marquardt(rosenbrock, start, max_iterations=25)
    alone = levenberg_marquardt(rosenbrock, start[1:2], max_iterations=25)
    torch.testing.assert_close(together.x[1:2], alone.x, atol=1e-5, rtol=1e-5)


def test_cost_never_rises_and_a_broken_row_stays_where_it_is():
    start = torch.tensor([[-1.2, 1.0], [float("nan"), 1.0]])
    result = levenberg_marquardt(rosenbrock, start, max_iterations=5)
    assert result.cost[0] < 0.5 * (rosenbrock(start[:1]) ** 2).sum()
    assert torch.isnan(result.x[1, 0]) and result.x[1, 1] == 1.0
    assert not result.converged[1]


def test_start_of_the_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"start must have shape \(N, D\)"):
        levenberg_marquardt(rosenbrock, torch.zeros(2))
