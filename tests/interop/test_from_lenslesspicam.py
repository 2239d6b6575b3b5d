"""Models that LenslessPiCam published: its numbers where the reference is at hand, and what is refused."""

import importlib.util
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from lensless.errors import InputError
from lensless.interop.from_lenslesspicam import from_lenslesspicam
from lensless.models.drunet import DRUNet
from lensless.models.pretrained import Model
from lensless.physics.convolution import LenslessConvolution

ROOT = Path(__file__).parents[2]


def load_parity():
    spec = importlib.util.spec_from_file_location("parity", ROOT / "benchmarks" / "parity.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


parity = load_parity()
CASES = [case.name for case in parity.cases(parity.REFERENCE)]
needs_reference = pytest.mark.skipif(not CASES, reason=f"no reference models at {parity.REFERENCE}")


def reconstruct(model, y, psf, background=None):
    with torch.no_grad():
        return model(y, LenslessConvolution(psf), background=background)


@needs_reference
def test_there_is_a_case_for_every_part():
    assert len(CASES) == 27


@pytest.mark.parametrize("name", CASES or [pytest.param("", marks=needs_reference)])
def test_a_published_model_gives_its_numbers(name):
    for array, (deviation, tolerance) in parity.deviations(parity.REFERENCE / name).items():
        assert deviation < tolerance, array


@needs_reference
@pytest.mark.parametrize("name", ["mmcn_unet", "unet_mwdn", "svdecon_unet", "u5_transformer", "u5_unet_learned_sub"])
def test_a_saved_model_is_the_imported_one(name, tmp_path):
    _, arrays = parity.read_case(parity.REFERENCE / f"ckpt_{name}")
    inputs = arrays["y"], arrays["psf"], arrays.get("background")
    model = from_lenslesspicam(parity.REFERENCE / f"ckpt_{name}" / "checkpoint")
    model.save(tmp_path)
    again = Model.from_pretrained(tmp_path)
    assert torch.equal(reconstruct(again.reconstruction, *inputs), reconstruct(model.reconstruction, *inputs))


@needs_reference
@pytest.mark.parametrize("name", ["u5_ft_psf", "u5_unet_psf_snr", "trainable_inv_unet_psf3d", "svdecon_unet"])
def test_a_model_with_a_psf_of_its_own_ignores_the_cameras(name):
    case = parity.REFERENCE / f"ckpt_{name}"
    _, arrays = parity.read_case(case)
    model = from_lenslesspicam(case / "checkpoint").reconstruction
    other = torch.rand(arrays["psf"].shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(reconstruct(model, arrays["y"], arrays["psf"]), reconstruct(model, arrays["y"], other))
    with pytest.raises(InputError, match="fits no other sensor"):
        reconstruct(model, arrays["y"][..., :-1], arrays["psf"][..., :-1])


@needs_reference
def test_the_scale_of_the_psf_does_not_matter():
    case = parity.REFERENCE / "ckpt_unet_u5"
    _, arrays = parity.read_case(case)
    model = from_lenslesspicam(case / "checkpoint").reconstruction
    expected = reconstruct(model, arrays["y"], arrays["psf"])
    torch.testing.assert_close(reconstruct(model, arrays["y"], 0.01 * arrays["psf"]), expected, rtol=1e-4, atol=1e-5)


def u5(**changes):
    """Configuration and weights of an unrolled ADMM of three iterations, as short as early ones are."""
    settings = {"method": "unrolled_admm", "unrolled_admm": {"n_iter": 3}}
    weights = {f"_{name}_p": torch.tensor([1e-4, 2e-4, -3e-4]) for name in ("mu1", "mu2", "mu3", "tau")}
    return {"reconstruction": settings | changes}, weights


def with_post(widths=(4, 5, 6, 7), blocks=2):
    """The same with a UNetRes post-processor, whose layers have the names of DRUNet."""
    config, weights = u5(post_process={"network": "UnetRes", "depth": blocks, "nc": list(widths)})
    network = DRUNet(widths=widths, blocks=blocks)
    weights |= {f"post_process_model.{name}": value for name, value in network.state_dict().items()}
    return config, weights | {"post_process_param": torch.tensor([2.5])}


def published(folder: Path, config: dict, weights: dict) -> Path:
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(config), folder / ".hydra" / "config.yaml")
    torch.save(OrderedDict(weights), folder / "recon_epochBEST")
    return folder


def measure(size=(15, 22)):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, *size, generator=generator), torch.rand(3, *size, generator=generator) ** 6


def test_weights_arrive_where_they_belong(tmp_path):
    config, weights = with_post()
    model = from_lenslesspicam(published(tmp_path, config, weights)).reconstruction
    assert model.inversion.mu3.tolist() == weights["_mu3_p"].tolist()
    assert model.post.level.item() == 2.5
    assert torch.equal(model.post.network.m_tail.weight, weights["post_process_model.m_tail.weight"])
    assert not model.training


def test_names_of_data_parallel_are_the_same_names(tmp_path):
    config, weights = with_post()
    plain = from_lenslesspicam(published(tmp_path / "plain", config, weights)).reconstruction
    doubled = {f"module.{name.replace('model.', 'model.module.')}": value for name, value in weights.items()}
    parallel = from_lenslesspicam(published(tmp_path / "parallel", config, doubled)).reconstruction
    y, psf = measure()
    assert torch.equal(reconstruct(parallel, y, psf), reconstruct(plain, y, psf))


def test_an_imported_model_can_be_trained_on(tmp_path):
    model = from_lenslesspicam(published(tmp_path, *with_post())).reconstruction.train()
    y, psf = measure()
    target = torch.rand(y.shape, generator=torch.Generator().manual_seed(2))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        loss = (model(y, LenslessConvolution(psf)) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in model.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_a_fine_tuned_model_has_the_networks_of_its_parent(tmp_path):
    config, weights = with_post()
    parent = published(tmp_path / "parent", config, weights)
    weights = {name: 2 * value for name, value in weights.items()}
    child = published(tmp_path / "child", u5(init="hf:tapecam:mirflickr:U5+Unet")[0], weights)
    model = from_lenslesspicam(child, parent=parent).reconstruction
    assert model.post.level.item() == 5.0
    with pytest.raises(InputError, match=r"parent: .* was fine-tuned from hf:tapecam:mirflickr:U5\+Unet"):
        from_lenslesspicam(child)
    with pytest.raises(InputError, match="was not fine-tuned"):
        from_lenslesspicam(parent, parent=child)


@pytest.mark.parametrize(
    ("widths", "blocks", "weights"),
    [((4, 8, 16, 32), 4, 127_740), ((32, 64, 112, 128), 4, 3_913_696), (None, 2, 17_010_624)],
)
def test_networks_have_the_stated_number_of_weights(tmp_path, widths, blocks, weights):
    config, _ = with_post(blocks=blocks)
    config["reconstruction"]["post_process"]["nc"] = widths and list(widths)
    network = DRUNet(widths=widths or (64, 128, 256, 512), blocks=blocks)
    state = {f"post_process_model.{name}": value for name, value in network.state_dict().items()}
    folder = published(tmp_path, config, u5()[1] | state | {"post_process_param": torch.ones(1)})
    imported = from_lenslesspicam(folder).reconstruction
    assert sum(parameter.numel() for parameter in imported.post.network.parameters()) == weights


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def write_pickle(path: Path, bomb: Bomb):
    path.write_bytes(pickle.dumps({"_mu1_p": bomb}, protocol=2))


def write_torch(path: Path, bomb: Bomb):
    torch.save({"_mu1_p": bomb}, path)


@pytest.mark.parametrize("write", [write_pickle, write_torch])
def test_pickled_code_is_refused_and_never_run(tmp_path, write):
    folder, trace = published(tmp_path / "model", *u5()), tmp_path / "trace"
    write(folder / "recon_epochBEST", Bomb(trace))
    with pytest.raises(InputError, match="refused"):
        from_lenslesspicam(folder)
    assert not trace.exists()


def test_pickled_code_in_a_psf_is_refused_and_never_run(tmp_path):
    trace = tmp_path / "trace"
    learned = published(tmp_path / "learned", *u5())
    np.save(learned / "psf_epochBEST.npy", np.array([Bomb(trace)], dtype=object), allow_pickle=True)
    config, weights = u5()
    noisy = published(tmp_path / "noisy", config | {"files": {"psf_snr": 20}}, weights)
    torch.save(Bomb(trace), noisy / "psf.pt")
    for folder in (learned, noisy):
        with pytest.raises(InputError, match="nothing in it was run"):
            from_lenslesspicam(folder)
    assert not trace.exists()


@pytest.mark.parametrize("file", ["recon_epochBEST", "psf_epochBEST.npy", "psf.pt"])
@pytest.mark.parametrize("kept", [0, 0.3, 0.9])
def test_a_file_that_was_cut_off_is_named(tmp_path, file, kept):
    config, weights = u5()
    folder = published(tmp_path, config | {"files": {"psf_snr": 0}}, weights)
    if file == "psf.pt":
        torch.save(torch.ones(1, 15, 22, 3), folder / file)
    elif file == "psf_epochBEST.npy":
        np.save(folder / file, np.ones((15, 22, 3), dtype=np.float32))
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match=file):
        from_lenslesspicam(folder)


def test_weights_of_another_architecture_are_listed_by_what_is_wrong(tmp_path):
    config, weights = with_post()
    weights["post_process_model.m_tail.weight"] = torch.zeros(3, 9, 3, 3)
    weights["attention.weight"] = weights.pop("post_process_model.m_head.weight")
    with pytest.raises(InputError) as caught:
        from_lenslesspicam(published(tmp_path, config, weights))
    message = str(caught.value)
    assert "1 missing there: post.network.m_head.weight" in message
    assert "1 unknown here: attention.weight" in message
    assert "1 of another shape: post.network.m_tail.weight (3, 9, 3, 3) instead of (3, 4, 3, 3)" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "unroled_admm"}, "did you mean unrolled_admm"),
        ({"method": None}, "known: unrolled_admm"),
        ({"unrolled_admm": {}}, "n_iter"),
        ({"unrolled_admm": {"n_iter": 0}}, "iterations: expected at least 1"),
        ({"post_process": {"network": "DruNet"}}, "'DruNet' is not known"),
        ({"post_process": {"network": "UnetRes", "depth": 2, "nc": "wide"}}, "no model can be made"),
        ({"post_process": "UnetRes"}, "no model can be made"),
        ({"pre_process": {"network": "Restormer"}, "unetres_input_background": True}, "expected UnetRes"),
        ({"integrated_background_subtraction": True}, "integrated_background_subtraction: models that use it"),
        ({"compensation": [4, 6, 8]}, "compensation: expected an unrolled inversion"),
        ({"method": "svdeconvnet"}, "needs its PSFs"),
    ],
)
def test_a_configuration_that_means_no_model_is_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        from_lenslesspicam(published(tmp_path, *u5(**changes)))


def test_a_folder_without_configuration_says_that_it_is_hidden(tmp_path):
    with pytest.raises(InputError, match="hidden"):
        from_lenslesspicam(tmp_path)
    folder = published(tmp_path / "model", *u5())
    for content in ("a: [1, ", "- 1\n", "seed: 0\n"):
        (folder / ".hydra" / "config.yaml").write_text(content)
        with pytest.raises(InputError, match=r"config\.yaml"):
            from_lenslesspicam(folder)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    config, weights = u5()
    weights["_tau_p"] = torch.tensor([1e-4, float("nan"), 1e-4])
    with pytest.raises(InputError, match="_tau_p"):
        from_lenslesspicam(published(tmp_path, config, weights))


def test_a_camera_that_does_not_fit_is_refused(tmp_path):
    model = from_lenslesspicam(published(tmp_path, *u5())).reconstruction
    y, psf = measure()
    with pytest.raises(InputError, match="colour camera"):
        reconstruct(model, y[:, :1], psf[:1])
    with pytest.raises(InputError, match="colour camera"):
        model(y, LenslessConvolution(psf, scene_shape=(17, 30)))


def test_the_card_says_how_the_model_was_trained(tmp_path):
    config, weights = with_post()
    config["files"] = {"dataset": "tape", "single_channel_psf": True, "n_files": None}
    config["alignment"] = {"crop": {"vertical": [1, 9]}}
    card = from_lenslesspicam(published(tmp_path / "model", config, weights), psf_norm=1.7, licence="CC-BY-4.0").card
    assert card.summary == "LenslessPiCam's unrolled_admm + UnetRes"
    assert card.licence == "CC-BY-4.0"
    assert card.data == {"dataset": "tape", "single_channel_psf": True}
    assert card.alignment == {"alignment": {"crop": {"vertical": [1, 9]}}}
    assert any("here it is 1.7" in note for note in card.notes)
    np.save(tmp_path / "model" / "psf_epochBEST.npy", np.ones((15, 22, 3), dtype=np.float32))
    assert from_lenslesspicam(tmp_path / "model").card.psf["shape"] == [1, 3, 15, 22]
