import pytest
import torch

from lensless.errors import InputError
from lensless.physics.separable import SeparableMask


def test_rows_and_columns_by_hand():
    # L adds the two rows; R takes the third column twice
    camera = SeparableMask(torch.tensor([[1.0, 1.0]]), right=torch.tensor([[0.0, 0.0, 2.0], [1.0, 0.0, 0.0]]))
    y = camera(torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]]))
    assert y.tolist() == [[[[18.0, 5.0]]]]


def test_norm_is_that_of_the_strongest_channel():
    # channel 0: (3 * 5)^2, channel 1: (2 * 5)^2
    left = torch.stack([torch.diag(torch.tensor([3.0, 1.0])), torch.diag(torch.tensor([2.0, 2.0]))])
    camera = SeparableMask(left, right=torch.diag(torch.tensor([2.0, 5.0])))
    torch.testing.assert_close(camera.norm_squared(), torch.tensor([225.0]))


def test_svd_is_computed_once_and_anew_for_a_copy():
    left, right = torch.rand(2, 3, 7, 5), torch.rand(4, 6)
    camera = SeparableMask(left, right=right)
    assert camera.svd() is camera.svd()
    moved = camera.to(dtype=torch.float64)
    for (u, s, v), matrix in zip(moved.svd(), (moved.left, moved.right), strict=True):
        torch.testing.assert_close(u @ torch.diag_embed(s) @ v.mT, matrix)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (torch.ones(3, 5).short(), torch.ones(4, 6), "left: expected a floating-point .* torch.int16"),
        (torch.ones(3, 5), [[1.0]], "right: expected a floating-point tensor, got list"),
        (torch.ones(5), torch.ones(4, 6), r"left: expected \(sensor, scene\).* got \(5,\)"),
        (torch.ones(3, 5), torch.full((4, 6), torch.nan), "right: expected finite values"),
        (torch.zeros(3, 5), torch.ones(4, 6), "left: expected finite values that are not all zero"),
        (torch.ones(3, 3, 5), torch.ones(2, 4, 6), r"right: .* of left, \(3,\), or 1, got \(2,\)"),
    ],
    ids=["integer", "list", "ndim", "nan", "zeros", "channels"],
)
def test_refuses_bad_matrices(left, right, words: str):
    with pytest.raises(InputError, match=words):
        SeparableMask(left, right=right)
