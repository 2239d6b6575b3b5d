import pytest
import torch

from lensless.errors import InputError
from lensless.physics.cfa import bayer_mask
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.valid_pixels import ValidPixels, unsaturated


def camera(*leading: int) -> LenslessConvolution:
    return LenslessConvolution(torch.rand(*leading, 5, 7, generator=torch.Generator().manual_seed(0)))


def test_what_an_ignored_pixel_holds_does_not_reach_the_adjoint():
    mask = torch.ones(5, 7)
    mask[1, 4] = 0
    y = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(1))
    hot = y.clone()
    hot[..., 1, 4] = 1e6
    masked = ValidPixels(camera(3), mask=mask)
    assert torch.equal(masked.adjoint(hot), masked.adjoint(y))


def test_a_bayer_sensor_is_a_mask_of_colours():
    mask = bayer_mask((5, 7), "GRBG")
    assert ValidPixels(camera(3), mask=mask).mask.shape == (1, 3, 5, 7)


def test_unsaturated_pixels_are_those_below_the_level():
    y = torch.tensor([[0.2, 0.99, 1.0], [torch.nan, -0.1, 1.3]])
    assert unsaturated(y, 1.0).tolist() == [[True, True, False], [False, True, False]]


@pytest.mark.parametrize(
    ("leading", "mask", "words"),
    [
        ((3,), torch.ones(5, 6), r"expected \(5, 7\), \(3 or 1, 5, 7\) or a batch .* got \(5, 6\)"),
        ((3,), torch.ones(2, 5, 7), r"got \(2, 5, 7\)"),
        ((3,), torch.ones(7), r"expected a tensor .* got \(7,\)"),
        ((3,), [[1]], "expected a tensor .* got list"),
        ((2, 3), torch.ones(4, 1, 5, 7), "expected 1 or 2 masks like the operator's PSFs, got 4"),
        ((3,), torch.full((5, 7), 0.5), "expected 0 .* and 1 .* alone"),
        ((3,), torch.zeros(5, 7), "expected at least one valid pixel"),
    ],
    ids=["size", "channels", "ndim", "list", "batch", "values", "none_valid"],
)
def test_refuses_a_bad_mask(leading, mask, words: str):
    with pytest.raises(InputError, match="mask: .*" + words):
        ValidPixels(camera(*leading), mask=mask)
