"""The definitions of LenslessPiCam that imported models keep, against values worked out by hand."""

import math

import pytest
import torch

from lensless.errors import InputError
from lensless.interop.lenslesspicam.compensation import PiCamCompensation
from lensless.interop.lenslesspicam.inversions import (
    PiCamAdjoint,
    PiCamSpatiallyVaryingAdjoint,
    PiCamUnrolledADMM,
    picam_grid,
    picam_spectrum,
)
from lensless.interop.lenslesspicam.multi_wiener import PiCamMultiWiener, circular_wiener, widen
from lensless.interop.lenslesspicam.processors import (
    PiCamBackgroundSubtraction,
    PiCamProcessor,
    PiCamTransformerProcessor,
    surround,
)
from lensless.interop.lenslesspicam.psf import PiCamPSFCorrection, PiCamScaledPSF, PiCamStoredPSF
from lensless.models.architecture import KNOWN, describe, restore
from lensless.models.drunet import DRUNet
from lensless.models.restormer import Restormer
from lensless.physics.convolution import LenslessConvolution


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def point(size: tuple[int, int], row: int, column: int) -> torch.Tensor:
    psf = torch.zeros(3, *size)
    psf[:, row, column] = 1
    return psf


UNET = {"widths": (2, 3), "blocks": 1}
EXAMPLES = [
    PiCamAdjoint(),
    PiCamBackgroundSubtraction(PiCamProcessor(DRUNet(4, **UNET))),
    PiCamCompensation((4, 6, 8)),
    PiCamMultiWiener((2, 4, 6), psf_channels=3),
    PiCamPSFCorrection(PiCamStoredPSF((1, 3, 5, 7)), processor=PiCamProcessor(DRUNet(4, **UNET)), residual=True),
    PiCamProcessor(DRUNet(6, **UNET), legacy=True),
    PiCamScaledPSF(1.7, single_channel=True),
    PiCamSpatiallyVaryingAdjoint((4, 3, 5, 7)),
    PiCamStoredPSF((1, 3, 5, 7)),
    PiCamTransformerProcessor(Restormer(dim=8, blocks=(1, 1, 1, 1), heads=(1, 1, 1, 1))),
    PiCamUnrolledADMM(2),
]


def test_every_part_can_be_named_by_a_card():
    known = {target.rpartition(".")[2] for target in KNOWN if ".interop.lenslesspicam." in target}
    assert {type(part).__name__ for part in EXAMPLES} == known


@pytest.mark.parametrize("part", EXAMPLES, ids=lambda part: type(part).__name__)
def test_a_part_comes_back_from_its_description(part):
    again = restore(describe(part))
    assert describe(again) == describe(part)
    assert {name: value.shape for name, value in again.state_dict().items()} == {
        name: value.shape for name, value in part.state_dict().items()
    }


class FirstChannels(torch.nn.Module):
    """A network that returns its first three channels and keeps what it was given."""

    out_channels, multiple = 3, 8

    def __init__(self, in_channels: int = 4):
        super().__init__()
        self.in_channels = in_channels

    def forward(self, x, features=None):
        self.given, self.features = x, features
        return x[:, :3]


@pytest.mark.parametrize(
    ("size", "padded", "corner"),
    [((40, 48), (48, 56), (4, 4)), ((37, 50), (40, 56), (1, 3)), ((45, 59), (48, 64), (1, 2))],
)
def test_images_are_surrounded_by_zeros(size, padded, corner):
    x = images(2, 3, *size)
    around, window = surround(x)
    assert tuple(around.shape[-2:]) == padded
    assert torch.equal(around[window], x)
    assert around.sum() == x.sum()
    assert torch.equal(around[..., corner[0] :, corner[1] :][..., : size[0], : size[1]], x)


def test_a_processor_divides_by_the_maximum_and_adds_a_noise_map():
    network = FirstChannels()
    processor = PiCamProcessor(network)
    torch.nn.init.constant_(processor.level, 51)
    x = images(2, 3, 9, 14) * torch.tensor([1.0, 7.0]).reshape(2, 1, 1, 1) - 0.2
    out = processor(x)
    torch.testing.assert_close(out, x.clamp(min=0))
    assert network.given[:, :3].amax((1, 2, 3)).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert torch.equal(network.given[:, 3], torch.full((2, 16, 16), 0.2))  # 51 / 255, in the margin too


def test_a_processor_gives_the_background_undivided():
    network = FirstChannels(in_channels=6)
    processor = PiCamProcessor(network)
    x, background = 4 * images(1, 3, 9, 14), images(1, 3, 9, 14)
    processor(x, background=background)
    _, window = surround(x)
    assert torch.equal(network.given[:, 3:][window], background)
    assert list(processor.parameters()) == []
    with pytest.raises(InputError, match="takes one"):
        processor(x)
    with pytest.raises(InputError, match="takes none"):
        PiCamProcessor(FirstChannels())(x, background=background)
    with pytest.raises(InputError, match="4 or 6 input channels"):
        PiCamProcessor(FirstChannels(in_channels=3))


def test_a_legacy_processor_multiplies_by_the_maximum_of_each_channel():
    processor = PiCamProcessor(FirstChannels(), legacy=True)
    x = images(2, 3, 9, 14)
    torch.testing.assert_close(processor(x), x * x.amax((2, 3), keepdim=True))


def test_features_are_stretched_to_the_coarsest_scale():
    network = FirstChannels()
    PiCamProcessor(network)(images(1, 3, 64, 80), features=images(1, 5, 2, 2))
    assert tuple(network.features.shape) == (1, 5, 9, 11)


def test_a_transformer_processor_pads_behind_and_clips():
    network = FirstChannels(in_channels=3)
    processor = PiCamTransformerProcessor(network)
    x = 3 * images(1, 3, 9, 16) - 1
    assert torch.equal(processor(x), x.clamp(0, 1))
    assert tuple(network.given.shape[-2:]) == (16, 16)
    assert not network.given[..., 9:, :].any()
    with pytest.raises(InputError, match="takes none"):
        processor(x, background=x)


def test_backgrounds_are_subtracted_and_clipped():
    y, background = 2 * images(1, 3, 9, 14), images(1, 3, 9, 14).flip(-1)
    plain = PiCamBackgroundSubtraction()(y, background)
    assert torch.equal(plain, (y - background).clamp(0, 1))
    through_identity = PiCamBackgroundSubtraction(PiCamProcessor(FirstChannels()))(y, background)
    torch.testing.assert_close(through_identity, plain)


def test_psfs_are_brought_to_the_norm_of_training():
    psf = images(2, 3, 9, 14)
    scaled = PiCamScaledPSF(2.0)(psf)
    assert scaled.flatten(1).norm(dim=1).tolist() == pytest.approx([2, 2])
    torch.testing.assert_close(scaled[1] / scaled[1].max(), psf[1] / psf[1].max())
    gray = PiCamScaledPSF(single_channel=True)(psf)
    assert torch.equal(gray[:, 0], gray[:, 2])
    torch.testing.assert_close(gray[1, 0] / gray[1, 0].max(), psf[1].sum(0) / psf[1].sum(0).max())
    with pytest.raises(InputError, match="norm"):
        PiCamScaledPSF(0.0)


def test_a_corrected_psf_is_not_normalised_again():
    psf = images(1, 3, 9, 14)
    source, processor = PiCamScaledPSF(), PiCamProcessor(FirstChannels())
    unit = source(psf)
    torch.testing.assert_close(PiCamPSFCorrection(source, processor=processor, residual=False)(psf), unit)
    torch.testing.assert_close(PiCamPSFCorrection(source, processor=processor, residual=True)(psf), 2 * unit)


@pytest.mark.parametrize(
    ("size", "grid", "centre"),
    [((40, 56), (80, 120), (20, 28)), ((135, 240), (270, 480), (68, 120)), ((45, 59), (90, 120), (23, 30))],
)
def test_the_grid_and_the_centre_of_a_psf(size, grid, centre):
    fft = picam_grid(size)
    assert fft.shape == grid
    torch.testing.assert_close(picam_spectrum(point(size, *centre), fft), torch.ones(3, *fft.spectrum_shape) + 0j)


def test_an_odd_grid_is_replaced_by_an_even_one():
    # 2 * 38 - 1 = 75 is 5-smooth
    assert picam_grid((38, 38)).shape == (80, 80)


def test_the_trainable_inversion_is_an_adjoint_of_small_gain():
    y = images(2, 3, 40, 56)
    found = PiCamAdjoint()(y, LenslessConvolution(point((40, 56), 20, 28)))
    torch.testing.assert_close(found, y / math.sqrt(80 * 120))
    shifted = PiCamAdjoint()(y, LenslessConvolution(point((40, 56), 21, 28)))
    torch.testing.assert_close(shifted[..., :-1, :], y[..., 1:, :] / math.sqrt(80 * 120))
    assert not shifted[..., -1, :].abs().gt(1e-7).any()


def test_adjoints_are_blended_by_inverse_distance():
    y, size = torch.ones(1, 3, 8, 10), (8, 10)
    inversion = PiCamSpatiallyVaryingAdjoint((4, 3, *size))
    camera = LenslessConvolution(point(size, 4, 5))
    with torch.no_grad():
        for region, gain in enumerate((1.0, 2.0, 3.0, 4.0)):
            inversion.stored_psf[region] = gain * point(size, 4, 5)
        found = inversion(y, camera)[0, 0] * math.sqrt(16 * 20)
    # the regions' centres are (2, 2), (2, 7), (6, 2) and (6, 7); on one of them its own PSF has all the weight
    assert found[2, 7].item() == pytest.approx(2, abs=0.02)
    assert found[6, 7].item() == pytest.approx(4, abs=0.02)
    # from (4, 4) the left ones are sqrt(8) away, the right ones sqrt(13)
    near, far = 1 / math.sqrt(8), 1 / math.sqrt(13)
    expected = ((1 + 3) * near + (2 + 4) * far) / (2 * near + 2 * far)
    assert found[4, 4].item() == pytest.approx(expected, rel=1e-4)
    with pytest.raises(InputError, match="square number"):
        PiCamSpatiallyVaryingAdjoint((5, 3, 8, 10))


def test_the_wiener_filter_is_circular_and_loses_a_column_of_odd_widths():
    x = images(1, 2, 6, 8)
    psf = torch.zeros(1, 2, 6, 8)
    psf[..., 3, 4] = 1
    torch.testing.assert_close(circular_wiener(x, psf, torch.tensor(0.0)), x)
    torch.testing.assert_close(circular_wiener(x, psf, torch.tensor(1.0)), x / 2)
    torch.testing.assert_close(circular_wiener(x, psf.roll(1, -1), torch.tensor(0.0)), x.roll(-1, -1))
    assert tuple(circular_wiener(x[..., :7], psf[..., :7], torch.tensor(0.1)).shape) == (1, 2, 6, 6)
    assert tuple(circular_wiener(x[..., :5, :], psf[..., :5, :], torch.tensor(0.1)).shape) == (1, 2, 5, 8)


def test_a_lost_column_is_given_back_at_the_right():
    x = torch.ones(1, 1, 2, 4)
    wider = widen(x, (3, 7))
    assert wider[0, 0].tolist() == [[0, 1, 1, 1, 1, 0, 0]] * 2 + [[0] * 7]


def test_the_multi_wiener_network_has_the_published_number_of_weights():
    model = PiCamMultiWiener((32, 64, 128, 256, 436), psf_channels=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == 8_106_693


def test_compensation_features_are_halved_once_a_block():
    branch = PiCamCompensation((4, 6, 8)).eval()
    y = images(2, 3, 24, 40)
    with torch.no_grad():
        features = branch(y, [y, y + 1, y + 2])
        assert tuple(features.shape) == (2, 8, 3, 5)
        assert torch.equal(branch(y, [y, y + 1]), features)  # the last iterate is the post-processor's
        assert not torch.equal(branch(y, [y, y]), features)


def test_processors_take_any_size():
    processor = PiCamProcessor(DRUNet(widths=(4, 5, 6, 7), blocks=1))
    assert processor(images(1, 3, 17, 40)).shape == (1, 3, 17, 40)
