"""The noise of a diffusion against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from apu_losses.prior import CosineSchedule, evenly_spaced


def test_noise_is_that_of_the_printed_schedule():
    """Figures of the original's schedule, measured on it."""
    expected = {0: 0.0064, 10: 0.0268, 20: 0.0434, 50: 0.091, 100: 0.169, 200: 0.320, 500: 0.713, 901: 0.988}
    schedule = CosineSchedule()
    assert {t: round(schedule.noise(t), 3) for t in expected} == {t: round(v, 3) for t, v in expected.items()}


def test_what_is_kept_is_the_cosine_where_no_step_is_cut():
    schedule = CosineSchedule(steps=100)
    for t in (0, 10, 60, 98):
        f = [math.cos((x / 100 + 0.008) / 1.008 * math.pi / 2) ** 2 for x in (0, t + 1)]
        assert float(schedule.kept[t]) == pytest.approx(f[1] / f[0], rel=1e-10)
    assert 0 < float(schedule.kept[99]) < 1e-6  # the last step is cut: nothing is divided by 0


def gaussian(seed=0, size=5):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(size, generator=generator, dtype=torch.float64)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64) / 2
    return mean, root @ root.T + 0.1 * torch.eye(size, dtype=torch.float64)


def optimal(schedule, mean, cov):
    """``E[x_0 | x_t]`` of a normal distribution, from its conditional."""

    def denoise(x, t):
        kept = schedule.kept[t[0]]
        noisy = kept * cov + (1 - kept) * torch.eye(len(mean), dtype=x.dtype)
        return mean + kept.sqrt() * torch.linalg.solve(noisy, (x - kept.sqrt() * mean).T).T @ cov

    return denoise


def test_ddim_carries_noise_to_where_the_flow_of_a_gaussian_does():
    """The flow of a normal distribution keeps each axis' count of standard deviations."""
    schedule = CosineSchedule()
    mean, cov = gaussian()
    spread, axes = torch.linalg.eigh(cov)
    noise = torch.randn(40, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    last = schedule.kept[-1]
    counts = (noise - last.sqrt() * mean) @ axes / (last * spread + 1 - last).sqrt()
    expected = mean + counts * spread.sqrt() @ axes.T
    errors = []
    for steps in (50, 200, 1000):
        found = schedule.sample(optimal(schedule, mean, cov), noise, evenly_spaced(1000, steps))
        errors.append(float((found - expected).abs().max()))
    assert errors[2] < 0.02 and errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_samples_have_the_mean_and_covariance_of_a_gaussian(eta):
    schedule = CosineSchedule()
    mean, cov = gaussian(3, 3)
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(20_000, 3, generator=generator, dtype=torch.float64)
    found = schedule.sample(
        optimal(schedule, mean, cov), noise, evenly_spaced(1000, 250), eta=eta, generator=generator
    )
    assert (found.mean(0) - mean).abs().max() < 0.03
    assert (found.T.cov() - cov).abs().max() < 0.04 * float(cov.abs().max())


def test_noise_is_added_in_the_printed_proportion():
    schedule = CosineSchedule()
    x, noise = torch.full((2, 3), 2.0).double(), torch.ones(2, 3).double()
    found = schedule.add_noise(x, torch.tensor([10, 500]), noise)
    for row, t in enumerate((10, 500)):
        kept = float(schedule.kept[t])
        assert float(found[row, 0]) == pytest.approx(2 * math.sqrt(kept) + math.sqrt(1 - kept), rel=1e-12)


def test_what_cannot_be_is_refused():
    schedule = CosineSchedule()
    with pytest.raises(ValueError, match="t must be 0 to 999, got 1000"):
        schedule.noise(1000)
    with pytest.raises(ValueError, match="times must be falling"):
        schedule.sample(lambda x, t: x, torch.zeros(1, 2), [10, 10])
    with pytest.raises(ValueError, match="steps must be at least 2"):
        CosineSchedule(steps=1)
    x = torch.zeros(1, 2)
    with pytest.raises(ValueError, match="each step needs some"):
        schedule.back(x, x, 10, 5, eta=1.0)
