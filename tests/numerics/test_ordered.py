"""Products that do not depend, to the bit, on what stands beside them."""

from __future__ import annotations

import pytest
import torch

from apu_losses.bodies import load_body
from apu_losses.numerics.ordered import RowMatrix, SparseRows, ordered_matmul


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


@pytest.mark.parametrize("tail", [(), (3,), (3, 5)])
def test_a_sparse_mix_is_the_dense_sum(tail):
    weights = (drawn(6, 20) * (drawn(6, 20, seed=1) > 1)).double()
    weights[2] = 0
    values = drawn(3, 20, *tail, seed=2).double().requires_grad_()
    sparse = SparseRows.of(weights)
    torch.testing.assert_close(sparse.mix(values), torch.einsum("km,nm...->nk...", weights, values))
    assert torch.autograd.gradcheck(sparse.mix, values)
    assert torch.autograd.gradgradcheck(sparse.mix, values)
    torch.testing.assert_close(torch.func.vmap(lambda v: sparse.mix(v[None])[0])(values), sparse.mix(values))
    assert not SparseRows.of(torch.zeros(4, 20)).mix(drawn(3, 20, *tail)).any()
    with pytest.raises(ValueError, match="20 items in dimension 1, got 19"):
        sparse.mix(values[:, 1:])


@pytest.mark.bits
@pytest.mark.parametrize("count", [0, 1, 2, 7, 9, 30])
@pytest.mark.parametrize(("inner", "columns"), [(1, 1), (10, 165), (11, 165), (162, 3000)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_times_a_matrix_are_the_library_s_and_the_same_in_any_batch(count, inner, columns, dtype):
    rows, transposed = drawn(30, inner).to(dtype), drawn(columns, inner, seed=1).to(dtype)
    grad = drawn(30, columns, seed=2).to(dtype)
    matrix = RowMatrix(transposed)

    def look(first, last):
        some = rows[first:last].clone().requires_grad_()
        out = matrix.times(some)
        out.backward(grad[first:last])
        return out.detach(), some.grad

    few, gradient = look(0, count)
    torch.testing.assert_close(
        few.double(), rows[:count].double() @ transposed.T.double(), rtol=1e-5, atol=1e-5
    )
    expected = grad[:count].double() @ transposed.double()
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-5, atol=1e-4)
    for start in (0, 1, 30 - count):
        some, its_gradient = look(start, start + count)
        many, all_gradients = look(0, 30)
        assert torch.equal(some, many[start : start + count])
        assert torch.equal(its_gradient, all_gradients[start : start + count])


def test_derivatives_of_the_compiled_rows():
    rows, matrix = drawn(3, 7).double().requires_grad_(), RowMatrix(drawn(5, 7, seed=1).double())
    assert torch.autograd.gradcheck(matrix.times, rows)
    assert torch.autograd.gradgradcheck(matrix.times, rows)
    tangent = drawn(3, 7, seed=2).double()
    _, moved = torch.func.jvp(matrix.times, (rows.detach(),), (tangent,))
    torch.testing.assert_close(moved, matrix.times(tangent))
    flipped = matrix.flipped().times(drawn(2, 5).double())
    torch.testing.assert_close(flipped, drawn(2, 5).double() @ drawn(5, 7, seed=1).double())


@pytest.mark.bits
@pytest.mark.parametrize("lead", [(), (1,), (4,), (2, 4)])
def test_short_products_with_and_without_gradient_are_the_same_to_the_bit(lead):
    a, b = drawn(*lead, 3, 3), drawn(3, 11, seed=1)
    assert torch.equal(ordered_matmul(a, b), ordered_matmul(a.requires_grad_(), b).detach())


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
