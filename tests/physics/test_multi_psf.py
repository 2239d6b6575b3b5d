import pytest
import torch

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.multi_psf import MultiPSF, bilinear_weights


def uniform(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_bilinear_weights_by_hand():
    weights = bilinear_weights((5, 3), rows=[1, 3], columns=[0, 2])
    along_rows = torch.tensor([[1, 1, 0.5, 0, 0], [0, 0, 0.5, 1, 1]])
    along_columns = torch.tensor([[1, 0.5, 0], [0, 0.5, 1]])
    for k, (m, n) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        assert torch.equal(weights[k].float(), torch.outer(along_rows[m], along_columns[n]))


def test_bilinear_weights_are_a_partition_of_unity():
    weights = bilinear_weights((17, 23), rows=[2.3, 9, 15.5], columns=[4, 19.1])
    assert bool((weights >= 0).all())
    torch.testing.assert_close(weights.sum(0), torch.ones(17, 23, dtype=torch.float64), rtol=0, atol=1e-14)


def test_equal_psfs_make_a_shift_invariant_camera():
    psf, x = uniform(2, 5, 7), uniform(3, 2, 6, 9)
    weights = bilinear_weights((6, 9), rows=[1, 4], columns=[2, 5, 8])
    blended = MultiPSF(psf.expand(6, -1, -1, -1), weights=weights)(x)
    torch.testing.assert_close(blended, LenslessConvolution(psf, scene_shape=(6, 9))(x), rtol=0, atol=1e-12)


def test_a_point_between_two_regions_spreads_by_the_mean_of_their_psfs():
    psf, x = uniform(2, 1, 5, 7), torch.zeros(1, 1, 5, 7, dtype=torch.float64)
    x[..., 2, 3] = 1
    camera = MultiPSF(psf, weights=bilinear_weights((5, 7), rows=[2], columns=[1, 5]))
    torch.testing.assert_close(camera(x)[0], psf.mean(0), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (torch.ones(5, 7), r"expected a tensor \(K, H, W\), got \(5, 7\)"),
        (torch.full((3, 5, 7), 1 / 3), "expected 2, one for each PSF, got 3"),
        (torch.ones(2, 5, 7), "sums off by 1; divide them by weights.sum"),
        (torch.stack([torch.full((5, 7), 1.5), torch.full((5, 7), -0.5)]), "got a least value of -0.5"),
        (torch.full((2, 5, 7), torch.nan), "expected non-negative values that sum to 1"),
    ],
    ids=["ndim", "count", "sum", "negative", "nan"],
)
def test_refuses_bad_weights(weights, words: str):
    with pytest.raises(InputError, match="weights: .*" + words):
        MultiPSF(uniform(2, 1, 5, 7), weights=weights)


@pytest.mark.parametrize(("rows", "columns", "name"), [([3, 1], [2], "rows"), ([1], [], "columns")])
def test_refuses_centres_out_of_order(rows, columns, name: str):
    with pytest.raises(InputError, match=f"{name}: expected increasing positions in pixels"):
        bilinear_weights((5, 7), rows=rows, columns=columns)
