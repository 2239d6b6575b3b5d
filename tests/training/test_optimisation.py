import pytest
import torch

from lensless.errors import InputError
from lensless.models.modular import ModularReconstruction
from lensless.models.processor import Processor
from lensless.models.unet import LightUNet
from lensless.recon.unrolled import UnrolledADMM
from lensless.recon.wiener import Wiener
from lensless.training.optimisation import Optimisation


def model():
    pre, post = (Processor(LightUNet(widths=(4, 8), blocks=1)) for _ in range(2))
    return ModularReconstruction(UnrolledADMM(2), pre=pre, post=post)


def test_the_rate_rises_linearly_and_falls_along_a_cosine():
    optimisation = Optimisation(warmup=4, final=0.1)
    factors = [optimisation.rate_factor(step, 24) for step in (0, 1, 3, 4, 14, 24, 99)]
    assert factors == pytest.approx([0.25, 0.5, 1, 1, 0.55, 0.1, 0.1])
    assert Optimisation(warmup=0).rate_factor(0, 10) == 1


def test_each_part_has_its_rate_and_only_convolutions_decay():
    reconstruction = model()
    optimisation = Optimisation(rate=2e-3, weight_decay=0.1, part_rates={"inversion": 10.0})
    optimiser = optimisation.optimiser(optimisation.choose_parts(reconstruction))
    rates = {group["name"]: group["lr"] for group in optimiser.param_groups}
    assert rates == pytest.approx({"pre": 2e-3, "inversion": 2e-2, "post": 2e-3})
    decayed = {id(p) for group in optimiser.param_groups if group["weight_decay"] for p in group["params"]}
    pre, inversion, post = reconstruction.pre, reconstruction.inversion, reconstruction.post
    others = (pre.noise_level, inversion.log_penalties, post.noise_level)
    assert decayed == {id(p) for p in reconstruction.parameters()} - {id(p) for p in others}
    every = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert sorted(every) == sorted(id(p) for p in reconstruction.parameters())


def test_a_step_without_gradient_leaves_a_part_as_it_is_in_spite_of_weight_decay():
    reconstruction = model()
    optimisation = Optimisation(weight_decay=0.5)
    optimiser = optimisation.optimiser(optimisation.choose_parts(reconstruction))
    before = [parameter.clone() for parameter in reconstruction.parameters()]
    optimiser.step()
    assert all(torch.equal(*pair) for pair in zip(before, reconstruction.parameters(), strict=True))


def test_parts_that_are_not_named_are_frozen():
    reconstruction = model()
    parts = Optimisation(train=["post"]).choose_parts(reconstruction)
    assert list(parts) == ["post"]
    trainable = {name: {p.requires_grad for p in part.parameters()} for name, part in reconstruction.parts().items()}
    assert trainable == {"pre": {False}, "inversion": {False}, "post": {True}}


def test_parts_wait_until_their_epoch():
    optimisation = Optimisation(unfreeze={"pre": 2, "inversion": 1})
    assert [optimisation.waiting(epoch) for epoch in range(3)] == [["pre", "inversion"], ["pre"], []]


@pytest.mark.parametrize("key", ["train", "part_rates", "unfreeze"])
def test_an_unknown_part_is_refused(key):
    named = ["posst"] if key == "train" else {"posst": 1}
    with pytest.raises(InputError, match=f"{key}: part: 'posst' is not known; did you mean post"):
        Optimisation(**{key: named}).choose_parts(model())


def test_a_model_without_anything_to_train_is_refused():
    with pytest.raises(InputError, match="expected a part with something to train, got none"):
        Optimisation().choose_parts(ModularReconstruction(Wiener()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0.0}, "rate: expected a number > 0"),
        ({"final": 1.5}, "final: expected a share"),
        ({"warmup": -1}, "warmup: expected steps"),
        ({"weight_decay": -1.0}, "weight_decay: expected"),
        ({"part_rates": {"pre": 0.0}}, "part_rates.pre: expected a factor > 0"),
        ({"unfreeze": {"pre": -1}}, "unfreeze.pre: expected an epoch"),
        ({"unfreeze": {"pre": 1}, "train": ["post"]}, "unfreeze.pre: expected one of the parts to train"),
        ({"train": []}, "train: expected at least one part"),
    ],
)
def test_wrong_settings_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Optimisation(**arguments).choose_parts(model())
