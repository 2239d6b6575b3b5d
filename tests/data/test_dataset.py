"""Pairs from folders of images, decoded once, with clear words for what is wrong with them."""

import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lensless.calibration.alignment import Alignment
from lensless.data.augment import Augment
from lensless.data.cache import cached
from lensless.data.card import load_card
from lensless.data.dataset import PairedDataset, load_dataset
from lensless.data.samplers import Loader, MaskBatchSampler
from lensless.data.source import Encoding
from lensless.data.wrapped import ResizedScenes, fit
from lensless.errors import InputError
from lensless.images.gamma import srgb_to_linear
from lensless.physics.convolution import LenslessConvolution

REAL = Path(__file__).parents[3] / "shared" / "data" / "diffusercam_mirflickr"


@pytest.fixture
def pairs(tmp_path):
    """Four pairs: 16-bit measurements 6 x 9, 8-bit scenes 5 x 7, and a finer PSF with a background."""
    random = np.random.default_rng(0)
    for name, dtype, size in (("lensless", np.uint16, (6, 9)), ("lensed", np.uint8, (5, 7))):
        (tmp_path / name).mkdir()
        for index in range(4):
            pixels = random.integers(0, np.iinfo(dtype).max, (*size, 3), dtype, endpoint=True)
            cv2.imwrite(str(tmp_path / name / f"im{index}.png"), pixels)
    psf = np.full((12, 18, 3), 0.25, np.float32)
    psf[6, 9] = 1.25
    np.save(tmp_path / "psf.npy", psf)
    (tmp_path / "card.yaml").write_text(
        "samples: {kind: images, psf: {name: psf.npy, background: 0.25}}\nalignment: {top_left: [1, 2], size: [5, 7]}\n"
    )
    return tmp_path


def test_files_are_paired_by_name_and_become_light(pairs):
    dataset = load_dataset(pairs, "all")
    assert len(dataset) == 4 and dataset.labels.tolist() == [0, 0, 0, 0]
    sample = dataset[2]
    stored = cv2.imread(str(pairs / "lensless/im2.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    torch.testing.assert_close(sample.measurement, torch.from_numpy(stored / np.float32(65535)).movedim(-1, 0))
    assert sample.scene.shape == (3, 5, 7) and sample.alignment.top_left == (1, 2)
    assert sample.origin["name"] == "lensless/im2.png"
    assert sample.psf is dataset[3].psf


def test_a_finer_psf_is_averaged_and_normalised(pairs):
    psf = load_dataset(pairs, "all").psf(0)
    expected = torch.zeros(3, 6, 9)
    expected[:, 3, 4] = 1
    torch.testing.assert_close(psf, expected)


def test_a_cache_holds_the_same_images_and_is_used_again(pairs, tmp_path):
    cache = tmp_path / "cache"
    plain, kept = load_dataset(pairs, "all"), load_dataset(pairs, "all", cache=cache)
    for one, other in zip(plain, kept, strict=True):
        assert torch.equal(one.measurement, other.measurement) and torch.equal(one.scene, other.scene)
    (place,) = cache.iterdir()
    assert np.load(place / "measurement.npy", mmap_mode="r").dtype == np.uint16
    written = (place / "measurement.npy").stat().st_mtime_ns
    load_dataset(pairs, "train", cache=cache)
    assert (place / "measurement.npy").stat().st_mtime_ns == written
    # another file, another cache
    cv2.imwrite(str(pairs / "lensless/im2.png"), np.zeros((6, 9, 3), np.uint16))
    assert float(load_dataset(pairs, "all", cache=cache)[2].measurement.max()) == 0
    assert len(list(cache.iterdir())) == 2


def test_a_cached_data_set_goes_to_workers_without_its_arrays(pairs, tmp_path):
    dataset = load_dataset(pairs, "all", cache=tmp_path / "cache")
    dataset[0]
    assert len(pickle.dumps(dataset)) < 20_000
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[1].scene, dataset[1].scene)
    loader = Loader(dataset, sampler=MaskBatchSampler(dataset.labels, batch_size=2, seed=1), workers=2)
    seen = {int(index) for batch in loader for index in batch.index}
    assert seen == {0, 1, 2, 3}


def test_an_augmentation_follows_the_epoch(pairs):
    dataset = load_dataset(pairs, "all", augment=Augment(seed=1, exposure=(0.5, 1.0)))
    plain = dataset.with_augment(None)
    first, second = dataset[0, 1], dataset[1, 1]
    assert first.index == second.index == 1
    assert not torch.equal(first.measurement, second.measurement)
    ratio = first.measurement / plain[1].measurement.clamp_min(1e-6)
    assert float(ratio.max() - ratio[ratio > 0].min()) < 1e-4


def test_splits_are_disjoint_and_named(pairs):
    parts = [set(load_dataset(pairs, split).indices) for split in ("train", "validation")]
    assert [len(part) for part in parts] == [3, 1] and parts[0].isdisjoint(parts[1])
    with pytest.raises(InputError, match="split: 'tset' is not known"):
        load_dataset(pairs, "tset")
    assert load_dataset(pairs, "all").subset([3, 0])[0].index == 3


def test_scenes_of_any_size_are_fitted_by_area():
    light = torch.zeros(3, 4, 4)
    light[:, :2] = 1
    counts = fit(light, (2, 6))
    assert counts.shape == (2, 6, 3) and counts.dtype == np.uint16
    assert counts[:, :, 0].tolist() == [[0, 0, 65535, 65535, 0, 0], [0] * 6]


def test_srgb_is_undone_before_averaging(pairs):
    card = load_card(pairs)
    card = replace(card, samples={**card.samples, "scene_encoding": "srgb"}, fit_scenes=True,
                   alignment=Alignment.region((0, 0), (1, 1)))  # fmt: skip
    source = card.open()
    assert isinstance(source, ResizedScenes)
    stored = cv2.imread(str(pairs / "lensed/im1.png"))[..., ::-1]
    mean = srgb_to_linear(torch.from_numpy(stored / np.float32(255))).mean((0, 1))
    # 5 x 7 fits into 1 x 1 by a seventh
    torch.testing.assert_close(source.light("scene", 1).flatten(), mean, atol=1e-4, rtol=0)


def test_integers_of_any_depth():
    light = Encoding(full_scale=4095, black_level=256).light(np.array([[[256]], [[4095]], [[0]]], np.uint16))
    torch.testing.assert_close(light.flatten(), torch.tensor([0.0, 1.0, -256 / 3839]))
    with pytest.raises(InputError, match="encoding: expected linear or srgb, got 'gamma'"):
        Encoding(encoding="gamma")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("lensless/im1.npy", np.full((6, 9, 3), np.nan, np.float32), "im1.npy: measurement: expected .* uint16"),
        ("lensless/im1.png", np.zeros((6, 8, 3), np.uint16), r"im1.png: measurement: expected \(6, 9, 3\) uint16"),
        ("lensed/im3.png", np.zeros((5, 7), np.uint8), r"im3.png: scene: expected \(5, 7, 3\) uint8 like the first"),
        ("lensed/im9.png", np.zeros((5, 7, 3), np.uint8), "no image named im9, which has a partner"),
    ],
)
def test_what_is_wrong_is_said_before_training(pairs, tmp_path, name, array, message):
    if name.endswith(".npy"):
        (pairs / name).with_suffix(".png").unlink()
        np.save(pairs / name, array)
    else:
        cv2.imwrite(str(pairs / name), array)
    with pytest.raises(InputError, match=message):
        load_dataset(pairs, cache=tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*"))


def test_nan_is_counted(pairs, tmp_path):
    for file in list((pairs / "lensless").iterdir()):
        array = np.ones((6, 9, 3), np.float32)
        if file.stem == "im2":
            array[0, :2, 1] = np.nan
        np.save(file.with_suffix(".npy"), array)
        file.unlink()
    with pytest.raises(InputError, match=r"im2.npy: measurement: expected finite values, got 2 NaN"):
        cached(load_card(pairs).open(), tmp_path / "cache")


def test_a_full_disk_is_noticed_before_any_work(pairs, tmp_path, monkeypatch):
    class Usage:
        free = 1000

    monkeypatch.setattr("lensless.data.cache.shutil.disk_usage", lambda _: Usage)
    with pytest.raises(InputError, match=r"cache: the measurements need 0.0 GB, .* has 0.0 GB left"):
        load_dataset(pairs, cache=tmp_path / "cache")


def test_a_psf_of_other_proportions_is_refused(pairs):
    np.save(pairs / "psf.npy", np.ones((12, 12, 3), np.float32))
    with pytest.raises(InputError, match=r"psf.npy: expected a PSF of the measurement's proportions, 6 x 9 or finer"):
        load_dataset(pairs)[0]


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/diffusercam_mirflickr")
def test_the_real_pairs_are_upright_in_rgb_and_obey_the_camera():
    card = load_card("diffusercam_mirflickr", folder=REAL)
    dataset = PairedDataset(replace(card, samples={**card.samples, "psf": "psf_recovered.npy"}).open())
    assert len(dataset) == len(load_dataset("diffusercam_mirflickr", "test", folder=REAL)) == 7
    sample = dataset[0]
    raw = np.load(REAL / "lensed" / f"{Path(sample.origin['name']).stem}.npy")
    assert torch.equal(sample.scene, torch.from_numpy(raw[::-1, :, ::-1].copy()).movedim(-1, 0))
    for sample in dataset:
        expected = LenslessConvolution(sample.psf[None])(sample.scene[None])[0]
        together = torch.stack([expected.flatten(), sample.measurement.flatten()])
        assert float(torch.corrcoef(together)[0, 1]) > 0.8
