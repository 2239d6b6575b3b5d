"""The compensation branch: its shapes and size by hand, its indifference to exposure, its training in a model."""

import pytest
import torch
from torch.nn.functional import interpolate, mse_loss

from lensless.errors import InputError
from lensless.models.compensation import CompensationBranch
from lensless.models.drunet import DRUNet
from lensless.models.modular import ModularReconstruction
from lensless.models.processor import Processor
from lensless.physics.convolution import LenslessConvolution
from lensless.recon.unrolled import UnrolledADMM


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def branch(widths: tuple[int, ...] = (4, 6, 8), **options) -> CompensationBranch:
    torch.manual_seed(0)
    return CompensationBranch(widths, **options).eval()


@pytest.mark.parametrize(("multiple", "shape"), [(1, (13, 18)), (2, (7, 9)), (4, (4, 5))])
def test_features_fit_the_coarsest_scale_of_the_post_processor(multiple: int, shape: tuple[int, int]):
    iterates = [uniform(2, 3, 13, 18, seed=i) for i in range(3)]
    assert branch(multiple=multiple)(uniform(2, 3, 13, 18), iterates).shape == (2, 8, *shape)


def test_size():
    """A pair of convolutions n -> m -> m has 9 n m + 9 m^2 + 4 m weights."""

    def pair(n: int, m: int) -> int:
        return 9 * n * m + 9 * m**2 + 4 * m

    expected = pair(3, 4) + pair(4 + 3, 6) + pair(6 + 3, 8) + 2 * pair(3, 3)
    assert sum(parameter.numel() for parameter in branch(multiple=4).parameters()) == expected


def test_with_convolutions_that_pass_everything_on_the_iterates_come_out_averaged():
    """B_1 made to pass on the iterate, R to add nothing: what comes out is the first iterate, halved in size."""
    compensation = branch((2, 3), multiple=2)
    for parameter in compensation.parameters():
        parameter.data.zero_()
    for block, first_input in ((compensation.branch[1][0:3], 2), (compensation.branch[1][3:6], 0)):
        for channel in range(3):
            block[0].weight.data[channel, first_input + channel, 1, 1] = 1
        block[1].weight.data.fill_((1 + block[1].eps) ** 0.5)
    y, iterates = uniform(2, 3, 7, 10), [uniform(2, 3, 7, 10, seed=i) for i in (1, 2)]
    found = compensation(y, iterates)
    padded = torch.cat([iterates[0], iterates[0][:, :, -1:]], 2)
    averaged = padded.unflatten(2, (4, 2)).mean(3).unflatten(3, (5, 2)).mean(4)
    torch.testing.assert_close(found, averaged / torch.cat(iterates, 1).mean((1, 2, 3), keepdim=True))


def test_exposure_changes_nothing():
    y, iterates = uniform(2, 3, 13, 18), [uniform(2, 3, 13, 18, seed=i) for i in range(3)]
    compensation = branch(multiple=4)
    expected = compensation(y, iterates)
    torch.testing.assert_close(compensation(4 * y, [4 * x for x in iterates]), expected, rtol=0, atol=0)
    torch.testing.assert_close(compensation(y, [x / 8 for x in iterates]), expected, rtol=0, atol=0)
    assert not torch.allclose(compensation(y, [x / (i + 1) for i, x in enumerate(iterates)]), expected)


def test_an_inversion_that_ends_in_darkness_gives_finite_features():
    y = uniform(1, 3, 13, 18)
    assert bool(torch.isfinite(branch(multiple=4)(y, [y, y, 0 * y])).all())
    assert bool(torch.isfinite(branch(multiple=4)(0 * y, [0 * y] * 3)).all())


def test_trains_in_a_model_that_it_keeps_equivariant():
    psf = uniform(1, 21, 27, seed=5) ** 20
    camera = LenslessConvolution((psf / psf.sum()).expand(3, -1, -1).contiguous())
    x = interpolate(uniform(3, 3, 4, 5), size=(21, 27), mode="bilinear")
    y = camera(x)
    torch.manual_seed(0)
    model = ModularReconstruction(
        UnrolledADMM(3),
        compensation=CompensationBranch((4, 6, 8), multiple=4),
        post=Processor(DRUNet(4, widths=(4, 6, 8), blocks=1, features=8)),
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        loss = mse_loss(model(y, camera), x)
        optimiser.zero_grad()
        loss.backward()
        assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in model.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert all(bool(parameter.grad.any()) for parameter in model.compensation.parameters())
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(model(2 * y, camera), 2 * model(y, camera), rtol=1e-5, atol=1e-6)


def test_refuses_iterates_and_sizes_that_do_not_fit():
    y = uniform(1, 3, 13, 18)
    with pytest.raises(InputError, match=r"iterates: expected 3 of \(B, 3, H, W\) .* got 2 of \(1, 3, 13, 18\)"):
        branch(multiple=2)(y, [y, y])
    with pytest.raises(InputError, match=r"got 3 of \(1, 3, 12, 18\), \(1, 3, 13, 18\) for a measurement"):
        branch(multiple=2)(y, [y, y[:, :, 1:], y])
    with pytest.raises(InputError, match="multiple: expected a power of two, at most 4 with 3 widths, got 8"):
        CompensationBranch((4, 6, 8))
    with pytest.raises(InputError, match="multiple: expected a power of two"):
        CompensationBranch((4, 6, 8), multiple=3)
    with pytest.raises(InputError, match=r"widths: expected at least two, got \(4,\)"):
        CompensationBranch((4,))
