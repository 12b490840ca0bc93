"""The design that is counted, against the conditional of a normal distribution written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from apu_losses.prior import GaussianDesign, PriorLayout


@pytest.fixture(scope="module")
def layout():
    return PriorLayout(("left_hip", "right_hip"), (("betas", 2),))


@pytest.fixture(scope="module")
def data(layout):
    generator = torch.Generator().manual_seed(0)
    size = 2 * layout.size
    root = torch.randn(size, size, generator=generator, dtype=torch.float64) / 4
    x = torch.randn(300, size, generator=generator, dtype=torch.float64) @ root + 0.3
    c = x + 0.4 * torch.randn(300, size, generator=generator, dtype=torch.float64)
    return x.reshape(300, 2, -1), c.reshape(300, 2, -1)


def conditional(joint_mean, joint_cov, seen_index, seen):
    """``E[rest | seen]`` of a normal distribution, by Schur's complement."""
    rest = np.setdiff1d(np.arange(len(joint_mean)), seen_index)
    gain = joint_cov[np.ix_(rest, seen_index)] @ np.linalg.inv(joint_cov[np.ix_(seen_index, seen_index)])
    return joint_mean[rest] + gain @ (seen - joint_mean[seen_index])


def test_it_is_the_conditional_of_pair_estimate_and_noise(layout, data):
    x, c = data
    design = GaussianDesign(layout).double()
    ridge = 0.2
    design.fit(x, c, ridge=ridge)
    every = [torch.cat([v, v.flip(1)]) for v in (x, c)]
    every = [torch.cat([v, layout.mirror(v)]).flatten(1).numpy() for v in every]
    both = np.concatenate(every, 1)
    mean, cov = both.mean(0), np.cov(both.T, bias=True)
    n = 2 * layout.size
    # an estimate that is off by what was seen, and by the ridge along what was not
    own, given, cross = cov[:n, :n], cov[n:, n:], cov[:n, n:]
    gain = np.eye(n) + (cross - given) @ np.linalg.inv(given + ridge**2 * np.eye(n))
    centred = both - mean
    rest = centred[:, :n] - centred[:, n:] @ gain.T
    left = rest.T @ rest / len(rest) + 0.02**2 * np.eye(n)
    alone_cov = own + 0.02**2 * np.eye(n)
    for t in (5, 200, 700):
        kept = float(design.schedule.kept[t])
        to = np.sqrt(kept)
        noisy, seen = x[0].flatten().numpy() + 0.1, c[0].flatten().numpy()
        answers = []
        for middle, wide in ((mean[:n] + gain @ (seen - mean[n:]), left), (mean[:n], alone_cov)):
            joint_cov = np.block([[wide, to * wide], [to * wide, kept * wide + (1 - kept) * np.eye(n)]])
            joint_mean = np.concatenate([middle, to * middle])
            answers.append(conditional(joint_mean, joint_cov, np.arange(n, 2 * n), noisy))
        told, alone = answers
        time = torch.tensor([t])
        as_pair = torch.tensor(noisy).reshape(1, 2, -1)
        found = design(as_pair, time, c[:1])
        np.testing.assert_allclose(found.flatten().numpy(), told, atol=1e-8)
        np.testing.assert_allclose(design(as_pair, time).flatten().numpy(), alone, atol=1e-8)
        nothing = design(as_pair, time, c[:1], torch.zeros(1, 2, 4, dtype=torch.bool))
        np.testing.assert_allclose(nothing.flatten().numpy(), alone, atol=1e-8)


def test_weights_count_as_repetitions(layout, data):
    x, c = (v[:40] for v in data)
    weighted, repeated = GaussianDesign(layout).double(), GaussianDesign(layout).double()
    weighted.fit(x, c, torch.cat([torch.full((20,), 3.0), torch.ones(20)]))
    repeated.fit(*(torch.cat([v[:20], v[:20], v]) for v in (x, c)))
    for name, value in weighted.state_dict().items():
        if "axes" not in name:  # of which only the signs may differ
            torch.testing.assert_close(value, repeated.state_dict()[name], atol=1e-9, rtol=0)


def test_an_estimate_is_believed_where_nothing_was_seen(layout, data):
    """With a ridge without end nothing but the mean error is taken off."""
    x, c = data
    design = GaussianDesign(layout).double()
    design.fit(x, c + 0.2, ridge=1e6)
    every = [torch.cat([v, v.flip(1)]) for v in (x, c + 0.2)]
    mean = torch.cat([every[0] - every[1], layout.mirror(every[0]) - layout.mirror(every[1])]).mean(0)
    found = design(x[:5], torch.full((5,), 999), c[:5] + 0.2)
    torch.testing.assert_close(found, c[:5] + 0.2 + mean, atol=2e-3, rtol=0)
