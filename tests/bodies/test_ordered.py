"""Products that do not depend, to the bit, on what stands beside them."""

from __future__ import annotations

import pytest
import torch

from apu_losses.bodies import load_body
from apu_losses.bodies.ordered import ordered_matmul, sparse_mix, steady_matmul


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_short_products_are_those_of_the_library():
    a, b = drawn(5, 4, 7), drawn(5, 7, 9, seed=1)
    torch.testing.assert_close(ordered_matmul(a, b), a @ b)
    torch.testing.assert_close(ordered_matmul(a[..., :1], b[:, :1]), a[..., :1] @ b[:, :1])


@pytest.mark.bits
@pytest.mark.parametrize("size", [1, 2, 3, 16, 169])
def test_an_entry_keeps_its_bits_whatever_the_number_of_columns(size):
    a, b = drawn(40, 6, 7), drawn(40, 7, 200, seed=1)
    assert torch.equal(ordered_matmul(a, b[..., :size]), ordered_matmul(a, b)[..., :size])


def test_a_sparse_mix_is_the_dense_sum():
    weights = drawn(6, 20) * (drawn(6, 20, seed=1) > 1)
    weights[2] = 0
    values = drawn(3, 20, 3, 5, seed=2)
    torch.testing.assert_close(sparse_mix(weights, values), torch.einsum("km,nmcd->nkcd", weights, values))
    assert not sparse_mix(torch.zeros(4, 20), values).any()


@pytest.mark.bits
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 30])
def test_a_row_is_the_same_in_any_batch(count):
    rows, matrix = drawn(30, 162), drawn(162, 3000, seed=1)
    torch.testing.assert_close(steady_matmul(rows[:count], matrix), rows[:count] @ matrix)
    assert torch.equal(steady_matmul(rows[:count], matrix), steady_matmul(rows, matrix)[:count])


@pytest.mark.bits
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_posed_body_and_its_gradient_are_the_same_in_any_batch(count):
    body = load_body()
    names = {"betas": 10, "global_orient": 3, "body_pose": 63, "transl": 3}
    full = {name: 0.3 * drawn(12, size, seed=i) for i, (name, size) in enumerate(names.items())}

    def look(rows):
        params = {name: value[:rows].clone().requires_grad_() for name, value in full.items()}
        posed = body.pose(params)
        vertices, keypoints = posed.vertices(), body.keypoints(posed, "body25")
        (vertices.square().sum() + keypoints.square().sum()).backward()
        return [vertices, keypoints, *(value.grad for value in params.values())]

    for few, many in zip(look(count), look(12), strict=True):
        assert torch.equal(few, many[:count])
