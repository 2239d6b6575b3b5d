"""The composition: what goes where, what it gives on the way, and how its parts are trained, kept and exchanged."""

import itertools

import pytest
import torch
from torch import nn

from lensless.errors import InputError
from lensless.models.background import BackgroundSubtraction, LearnedBackgroundSubtraction
from lensless.models.compensation import CompensationBranch
from lensless.models.drunet import DRUNet
from lensless.models.modular import ModularReconstruction
from lensless.models.processor import Processor
from lensless.models.psf_correction import PSFCorrection
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.separable import SeparableMask
from lensless.recon.admm import ADMM
from lensless.recon.multi_wiener import MultiWiener
from lensless.recon.unrolled import UnrolledADMM
from lensless.recon.wiener import Wiener

SHAPE = (13, 18)


def images(count, seed, channels=3):
    return torch.rand(count, channels, *SHAPE, generator=torch.Generator().manual_seed(seed))


def camera(count=1, seed=0):
    """Cameras with a PSF of a few bright points each."""
    psf = images(count, seed) ** 8
    return LenslessConvolution(psf / psf.sum((-2, -1), keepdim=True))


def network(seed, *, inputs=4, features=0):
    torch.manual_seed(seed)
    return DRUNet(inputs, widths=(4, 6), blocks=1, features=features)


def processor(seed, **options):
    return Processor(network(seed, **options))


def psf_correction():
    return PSFCorrection(network(3))


def full(**parts):
    chosen = {"inversion": UnrolledADMM(3), "pre": processor(0), "post": processor(1)} | parts
    return ModularReconstruction(**chosen)


@pytest.mark.parametrize("present", list(itertools.product([False, True], repeat=3)))
def test_it_is_the_composition_of_the_parts_that_are_present(present):
    candidates = {"pre": processor(0), "inversion": UnrolledADMM(3), "post": processor(1)}
    parts = {name: part for (name, part), there in zip(candidates.items(), present, strict=True) if there}
    model, y, physics = ModularReconstruction(**parts), images(2, 1), camera(2)
    x = parts["pre"](y) if "pre" in parts else y
    x = parts["inversion"](x, physics) if "inversion" in parts else x
    x = parts["post"](x) if "post" in parts else x
    assert torch.equal(model(y, physics), x)
    assert model.parts() == parts
    assert list(model.stages(y, physics)) == ["measurement", *["pre"] * present[0], "inversion", "image"]


def test_stages_are_every_intermediate_in_order():
    model = full(psf_correction=psf_correction(), background=BackgroundSubtraction())
    y, b, physics = images(1, 1), images(1, 2) / 8, camera()
    stages = model.stages(y, physics, background=b)
    assert list(stages) == ["measurement", "psf", "background_subtracted", "pre", "inversion", "image"]
    assert stages["measurement"] is y
    assert torch.equal(stages["psf"], model.psf_correction(physics.psf))
    assert torch.equal(stages["background_subtracted"], y - b)
    assert torch.equal(stages["pre"], model.pre(y - b))
    assert torch.equal(stages["inversion"], model.inversion(stages["pre"], LenslessConvolution(stages["psf"])))
    assert torch.equal(stages["image"], model.post(stages["inversion"]))
    assert torch.equal(stages["image"], model(y, physics, background=b))


@pytest.mark.parametrize("inversion", [UnrolledADMM(3), Wiener(), ADMM(4), MultiWiener((2, 4)).eval(), None])
def test_doubling_the_exposure_doubles_the_picture(inversion):
    model, y, physics = full(inversion=inversion), images(2, 1), camera(2)
    with torch.no_grad():
        torch.testing.assert_close(model(2 * y, physics), 2 * model(y, physics), rtol=1e-5, atol=1e-6)


def test_every_sample_may_have_a_camera_of_its_own():
    model, y, physics = full(psf_correction=psf_correction()), images(3, 1), camera(3)
    together = model(y, physics)
    for sample in range(3):
        alone = model(y[sample : sample + 1], LenslessConvolution(physics.psf[sample]))
        torch.testing.assert_close(together[sample : sample + 1], alone, rtol=1e-4, atol=1e-6)


def test_it_is_an_inversion_itself():
    inner, y, physics = full(post=None), images(1, 1), camera()
    assert torch.equal(ModularReconstruction(inner, post=processor(5))(y, physics), processor(5)(inner(y, physics)))


def test_early_exit_gives_the_iterate():
    model, y, physics = full(), images(1, 1), camera()
    iterates = model.inversion.iterates(model.pre(y), physics)
    for count, iterate in enumerate(iterates, start=1):
        stages = model.stages(y, physics, iterations=count)
        torch.testing.assert_close(stages["inversion"], iterate)
        torch.testing.assert_close(stages["image"], model.post(iterate))


def test_a_compensation_branch_gets_the_iterates_and_its_features_reach_the_end():
    branch = CompensationBranch((4, 4, 5), multiple=2)
    model = full(compensation=branch, post=processor(1, features=5)).eval()
    y, physics = images(1, 1), camera()
    iterates = model.inversion.iterates(model.pre(y), physics)
    expected = model.post(iterates[-1], features=branch(model.pre(y), iterates))
    assert torch.equal(model(y, physics), expected)
    for parameter in branch.parameters():
        nn.init.zeros_(parameter)
    assert not torch.equal(model(y, physics), expected)


def test_a_background_is_subtracted_or_a_further_input():
    y, b, physics = images(2, 1), images(2, 2) / 8, camera()
    plain = ModularReconstruction(Wiener(), background=BackgroundSubtraction())
    assert torch.equal(plain(y, physics, background=b), Wiener()(y - b, physics))
    learned = LearnedBackgroundSubtraction(network(4))
    assert torch.equal(
        ModularReconstruction(Wiener(), background=learned)(y, physics, background=b), Wiener()(learned(y, b), physics)
    )
    pre = Processor(network(0, inputs=6), background=True)
    assert torch.equal(ModularReconstruction(pre=pre)(y, physics, background=b), pre(y, background=b))


def steps(model, y, physics, target, *, count=3, **inputs):
    """Losses of a few steps of Adam."""
    model.train()
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 2e-3)
    losses = []
    for _ in range(count):
        optimiser.zero_grad()
        loss = (model(y, physics, **inputs) - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def snapshot(part):
    return {name: tensor.clone() for name, tensor in part.state_dict().items()}


def changed(part, before):
    """Names of what differs from the snapshot."""
    return {name for name, tensor in part.state_dict().items() if not torch.equal(tensor, before[name])}


def test_all_parts_learn_together():
    model = full(
        psf_correction=psf_correction(),
        background=LearnedBackgroundSubtraction(network(4)),
        compensation=CompensationBranch((4, 4, 5), multiple=2),
        post=processor(1, features=5),
    )
    physics, x = camera(2), images(2, 1)
    before = {name: snapshot(part) for name, part in model.parts().items()}
    losses = steps(model, physics(x) + 0.1, physics, x, count=8, background=torch.full_like(x, 0.1))
    assert losses[-1] < 0.9 * losses[0]
    for name, part in model.parts().items():
        assert changed(part, before[name]), name
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_a_frozen_part_stays_as_it_is_until_it_is_unfrozen():
    # its batch normalisation would follow the data even without a gradient
    model = ModularReconstruction(MultiWiener((2, 4)), post=processor(1))
    physics, x = camera(2), images(2, 1)
    model.freeze("inversion")
    frozen, free = snapshot(model.inversion), snapshot(model.post)
    steps(model, physics(x), physics, x)
    assert changed(model.inversion, frozen) == set()
    assert changed(model.post, free)
    model.unfreeze("inversion")
    steps(model, physics(x), physics, x)
    assert {"log_factor", "encoder.0.1.running_mean"} <= changed(model.inversion, frozen)


def test_a_part_is_taken_from_another_model_by_name():
    model, other = full(), full(pre=processor(7), post=processor(8))
    model.load_part("post", other)
    assert changed(model.post, snapshot(other.post)) == set()
    assert changed(model.pre, snapshot(other.pre))
    y, physics = images(1, 1), camera()
    model.pre, model.inversion = other.pre, other.inversion
    assert torch.equal(model(y, physics), other(y, physics))


def test_a_part_that_differs_is_not_taken():
    model = full()
    other = full(post=Processor(DRUNet(4, widths=(4, 6), blocks=2)))
    before = snapshot(model)
    with pytest.raises(InputError, match=r"'post' of the other model; .* unknown here: network\.m_down1\."):
        model.load_part("post", other)
    assert changed(model, before) == set()
    with pytest.raises(InputError, match="part: 'psot' is not known; did you mean post"):
        model.load_part("psot", other)
    with pytest.raises(InputError, match="part: 'post' is not known"):
        model.load_part("post", full(post=None))


def test_what_comes_before_an_inversion_without_gradient_cannot_be_trained():
    y, physics = images(1, 1), camera()
    for model in (full(inversion=ADMM(3)), full(inversion=ADMM(3), pre=None, psf_correction=psf_correction())):
        with pytest.raises(InputError, match=r"ADMM gives no gradient, .* use UnrolledADMM\(iterations=100\)"):
            model(y, physics)
        with torch.no_grad():
            expected = model(y, physics)
        model.freeze(next(iter(model.parts())))
        assert torch.equal(model(y, physics), expected)
        losses = steps(model, y, physics, images(1, 5), count=6)
        assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (full(inversion=Wiener()), {"iterations": 2}, "iterations: can be chosen for an unrolled .* got 2 for Wiener"),
        (full(), {"iterations": 4}, "iterations: expected 1 to 3, got 4"),
        (full(background=BackgroundSubtraction()), {}, "background: BackgroundSubtraction needs one, got none"),
        (full(pre=None), {"background": images(1, 2)}, "background: this model has no part that takes one"),
        (full(), {"background": images(1, 2)}, "background: the processor was made with background=False, got one"),
        (full(), {"background": images(1, 2)[..., 1:]}, r"background: expected \(B, 3, 13, 18\), got \(1, 3, 13, 17\)"),
        (full(), {"y": images(1, 1, channels=1)}, r"measurement: expected \(B, 3, 13, 18\), got \(1, 1, 13, 18\)"),
        (
            full(),
            {"y": images(1, 1, channels=1), "physics": LenslessConvolution(images(1, 0, channels=1))},
            r"expected \(B, 3, H, W\) for this network, got \(1, 1, 13, 18\)",
        ),
        (
            ModularReconstruction(),
            {"physics": LenslessConvolution(images(1, 0), scene_shape=(9, 10))},
            r"without an inversion the scene must have the sensor's shape \(3, 13, 18\), got \(3, 9, 10\)",
        ),
        (
            full(psf_correction=psf_correction()),
            {"physics": SeparableMask(torch.rand(3, 13, 9), right=torch.rand(3, 18, 7))},
            "PSF correction needs a LenslessConvolution, got SeparableMask",
        ),
    ],
)
def test_what_cannot_be_composed_says_so(model, inputs, message):
    y, physics = inputs.pop("y", images(1, 1)), inputs.pop("physics", camera())
    with pytest.raises(InputError, match=message), torch.no_grad():
        model(y, physics, **inputs)


@pytest.mark.parametrize("parts", [{"inversion": Wiener()}, {"inversion": None}, {"post": None}])
def test_a_compensation_branch_needs_an_unrolled_inversion_and_a_post_processor(parts):
    with pytest.raises(InputError, match="compensation: expected an unrolled inversion"):
        full(compensation=CompensationBranch((3, 4), multiple=2), **parts)


def test_autocast_to_bfloat16_agrees_and_the_inversion_stays_float32():
    model, y, physics = full(), images(1, 1), camera()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        stages = model.stages(y, physics)
    with torch.no_grad():
        expected = model(y, physics)
    assert stages["inversion"].dtype == torch.float32
    assert (stages["image"] - expected).norm() < 0.03 * expected.norm()


def test_compiled_it_gives_the_same():
    model, y, physics = ModularReconstruction(UnrolledADMM(1)), images(1, 1), camera()
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(model, backend="aot_eager")(y, physics), model(y, physics))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_gives_the_same():
    model, y, physics = full(), images(2, 1), camera(2)
    with torch.no_grad():
        expected = model(y, physics)
        found = model.cuda()(y.cuda(), physics.to("cuda")).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
