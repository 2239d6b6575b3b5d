"""What a model card may say about modules, and what it may not."""

import importlib
import json
import sys

import pytest
import torch
from torch import nn

from lensless.errors import InputError
from lensless.models.architecture import KNOWN, describe, restore
from lensless.models.background import BackgroundSubtraction, LearnedBackgroundSubtraction
from lensless.models.compensation import CompensationBranch
from lensless.models.drunet import DRUNet
from lensless.models.modular import ModularReconstruction
from lensless.models.processor import Processor
from lensless.models.psf_correction import PSFCorrection
from lensless.models.restormer import Restormer
from lensless.models.unet import LightUNet
from lensless.recon.admm import ADMM
from lensless.recon.multi_wiener import MultiWiener
from lensless.recon.prox import TotalVariation
from lensless.recon.spatially_varying import SpatiallyVaryingDeconvolution
from lensless.recon.trainable_inversion import SeparableTrainableInversion, TrainableInversion
from lensless.recon.unrolled import NoiseAwareADMM, UnrolledADMM, UnrolledFISTA
from lensless.recon.wiener import Wiener

WIENER = "lensless.recon.wiener.Wiener"
DRUNET = {"widths": (2, 3), "blocks": 1}
# every class, and every argument away from its default
EXAMPLES = [
    DRUNet(2, out_channels=1, features=5, residual=False, **DRUNET),
    Restormer(2, out_channels=1, dim=8, blocks=(1, 1, 1, 2), refinement_blocks=1, heads=(1, 1, 2, 4), expansion=2.0),
    LightUNet(3, out_channels=2, **DRUNET),
    Processor(DRUNet(6, out_channels=3, **DRUNET), background=True, nonnegative=False),
    CompensationBranch((2, 4), channels=1, multiple=2),
    PSFCorrection(DRUNet(4, **DRUNET), residual=False),
    BackgroundSubtraction(),
    LearnedBackgroundSubtraction(DRUNet(4, **DRUNET)),
    ADMM(7, tau=1e-3, nonnegative=False, mu1=0.2, mu2=0.3, mu3=0.4, tolerance=1e-3, record_every=2, progress=True),
    UnrolledADMM(3, tau=0.2, mu1=0.3, mu2=0.4, mu3=0.5),
    NoiseAwareADMM(3, tau=0.2, mu1=0.3, mu2=0.4, mu3=0.5),
    UnrolledFISTA(4, step_size=0.7),
    Wiener(0.5),
    TrainableInversion(0.1, channels=2, filter_shape=(3, 5)),
    SeparableTrainableInversion((5, 6), scene_shape=(3, 4), channels=1, k=0.2),
    MultiWiener((2, 4), channels=2, psf_channels=2, k=0.3),
    SpatiallyVaryingDeconvolution((2, 5, 7), regions=2, k=0.1),
    ModularReconstruction(
        UnrolledADMM(2),
        pre=Processor(LightUNet(4, **DRUNET)),
        post=Processor(DRUNet(4, features=4, **DRUNET)),
        psf_correction=PSFCorrection(LightUNet(3, **DRUNET)),
        background=BackgroundSubtraction(),
        compensation=CompensationBranch((3, 4), multiple=2),
    ),
]


def known_class(target):
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_there_is_an_example_of_every_class():
    own = [target for target in KNOWN if ".interop." not in target]  # those have tests of their own
    assert {type(part) for part in EXAMPLES} == {known_class(target) for target in own}


@pytest.mark.parametrize("part", EXAMPLES, ids=lambda part: type(part).__name__)
def test_a_part_comes_back_from_json_as_it_was(part):
    description = json.loads(json.dumps(describe(part)))
    again = restore(description)
    assert type(again) is type(part)
    assert describe(again) == description
    if isinstance(part, nn.Module):
        shapes = {name: tensor.shape for name, tensor in part.state_dict().items()}
        assert {name: tensor.shape for name, tensor in again.state_dict().items()} == shapes


def test_a_description_reads_like_a_configuration():
    model = ModularReconstruction(Wiener(0.01), post=Processor(LightUNet(4, widths=(4, 8), blocks=1)))
    assert describe(model) == {
        "_target_": "lensless.models.modular.ModularReconstruction",
        "inversion": {"_target_": WIENER, "k": 0.01},
        "pre": None,
        "post": {
            "_target_": "lensless.models.processor.Processor",
            "network": {
                "_target_": "lensless.models.unet.LightUNet",
                "in_channels": 4,
                "out_channels": 3,
                "widths": [4, 8],
                "blocks": 1,
            },
            "background": False,
            "nonnegative": True,
        },
        "psf_correction": None,
        "background": None,
        "compensation": None,
    }


@pytest.mark.parametrize("target", ["os.system", "antigravity.fly", "lensless.tasks.simulate.run", "DRUNet"])
def test_nothing_else_is_imported_or_called(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("antigravity", None)
    for description in (
        {"_target_": target, "command": "touch ran"},
        {"_target_": "lensless.models.processor.Processor", "network": {"_target_": target}},
    ):
        with pytest.raises(InputError, match=f"_target_: '{target}' is not known"):
            restore(description)
    assert "antigravity" not in sys.modules
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("lensless.recon.wiener.Wiener", "architecture: expected a section with a _target_, got 'lensless.recon"),
        ({"k": 1.0}, "architecture: expected a section with a _target_"),
        ({"_target_": ["lensless.recon.wiener.Wiener"]}, "expected a section with a _target_"),
        ({"_target_": WIENER, "kk": 1.0}, "argument of Wiener: 'kk' is not known; did you mean k"),
        ({"_target_": WIENER, "k": -1.0}, "Wiener cannot be made .* expected a positive number"),
        ({"_target_": WIENER, "k": "a"}, "Wiener cannot be made of this description"),
        ({"_target_": "lensless.models.processor.Processor"}, "Processor cannot be made .*'network'"),
        (
            {
                "_target_": "lensless.models.modular.ModularReconstruction",
                "post": {"_target_": "lensless.models.processor.Processor", "network": {"_target_": "x"}},
            },
            r"architecture\.post\.network\._target_: 'x' is not known",
        ),
        ({"_target_": "lensless.models.drunet.DRUNet", "widths": [4, -8]}, "DRUNet cannot be made"),
    ],
)
def test_a_wrong_description_is_refused_with_its_place(description, message):
    with pytest.raises(InputError, match=message):
        restore(description)


def test_what_a_card_cannot_name_is_not_described():
    with pytest.raises(InputError, match=r"expected parts of this library, .* got torch.nn.modules.conv.Conv2d"):
        describe(ModularReconstruction(post=nn.Conv2d(1, 1, 1)))
    with pytest.raises(InputError, match=r"got builtins.function"):
        describe(ADMM(callback=lambda iteration, estimate: None))
    with pytest.raises(InputError, match=r"got lensless.recon.prox.TotalVariation"):
        describe(TotalVariation(0.1))
    with pytest.raises(InputError, match=r"got torch.Tensor"):
        describe(Wiener(torch.tensor(0.5)))
