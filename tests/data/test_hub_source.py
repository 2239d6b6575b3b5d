"""The public tables in small, through the real loader: their columns, splits, labels and sizes."""

from dataclasses import replace

import cv2
import imagecodecs
import numpy as np
import pytest
import torch

from lensless.data.card import load_card
from lensless.data.dataset import PairedDataset, load_dataset
from lensless.data.splits import split_indices
from lensless.data.stored import stored_bytes
from lensless.errors import InputError

datasets = pytest.importorskip("datasets", reason="needs the extra datasets")

# name: rows of train and test, measurement, scenes, PSF file and its size, columns besides
LAYOUTS = {
    "diffusercam": ((3, 2), (54, 96), [(54, 96)], ("psf.tiff", (54, 96)), ()),
    "tapecam": ((3, 2), (76, 101), [(375, 500), (500, 333)], ("psf.png", (608, 808)), ()),
    "digicam": ((3, 2), (76, 101), [(375, 500)], None, ()),
    "digicam_multimask": ((85, 15), (19, 25), [(60, 80)], None, ("mask_label",)),
    "digicam_celeba": ((3, 2), (76, 101), [(218, 178)], ("psf_measured.png", (608, 808)), ()),
    "multilens_ambient": ((3, 2), (62, 62), [(375, 500)], ("psf.png", (124, 124)), ("ambient",)),
}


def encoded(random, size, suffix=".png", dtype=np.uint8):
    pixels = random.integers(0, np.iinfo(dtype).max, (*size, 3), dtype)
    return {"bytes": cv2.imencode(suffix, pixels)[1].tobytes(), "path": None}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Where `datasets` unpacks tables."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("huggingface"))


def write(folder, name, *, change=None):
    """A downloaded copy of the table ``name`` with few rows."""
    rows, measurement, scenes, psf, besides = LAYOUTS[name]
    random = np.random.default_rng(0)
    (folder / "data").mkdir()
    for split, count in zip(("train", "test"), rows, strict=True):
        # of a hundred masks, the first 15 are for testing
        labels = range(15) if split == "test" else range(15, 100)
        table = {
            "lensless": [encoded(random, measurement) for _ in range(count)],
            "lensed": [encoded(random, scenes[row % len(scenes)], ".jpg") for row in range(count)],
            "ambient": [encoded(random, measurement) for _ in range(count)],
            "mask_label": [labels[row % len(labels)] for row in range(count)],
        }
        table = {column: cells for column, cells in table.items() if column in ("lensless", "lensed", *besides)}
        if change is not None:
            change(split, table)
        kinds = {column: datasets.Image() for column in table if column != "mask_label"}
        if "mask_label" in table:
            kinds["mask_label"] = datasets.Value("int64")
        made = datasets.Dataset.from_dict(table, features=datasets.Features(kinds))
        # two files, as large tables have them
        half = count // 2
        for part, chosen in enumerate((range(half), range(half, count))):
            made.select(chosen).to_parquet(folder / "data" / f"{split}-0000{part}-of-00002.parquet")
    if psf is not None:
        counts = np.zeros((*psf[1], 3), np.uint16)
        counts[psf[1][0] // 2, psf[1][1] // 2] = 60000
        cv2.imwrite(str(folder / psf[0]), counts)
    return folder


def small(name, folder):
    """The shipped card, without the number of rows that the whole table has."""
    card = load_card(name, folder=folder)
    rules = {split: {"rows": None} if "rows" in rule else rule for split, rule in card.splits.items()}
    return replace(card, splits=rules)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_public_table_is_read_by_its_card(tmp_path, name):
    rows, measurement, _, psf, besides = LAYOUTS[name]
    card = small(name, write(tmp_path, name))
    source = card.open()
    splits = split_indices(card.splits, source)
    assert len(splits["test"]) == rows[1]
    assert len(splits["train"]) + len(splits["validation"]) == rows[0]
    sample = PairedDataset(source, indices=splits["test"], alignment=card.alignment)[1]
    assert sample.measurement.shape == (3, *measurement)
    assert 0 <= float(sample.measurement.min()) < float(sample.measurement.max()) <= 1
    if card.fit_scenes:
        assert sample.scene.shape == (3, *card.alignment.size)
    assert (sample.background is not None) == ("ambient" in besides)
    if psf is not None:
        centre = tuple(side // 2 for side in measurement)
        assert sample.psf.shape == sample.measurement.shape
        assert torch.equal(sample.psf[:, *centre], torch.ones(3))


def test_labels_come_from_the_column_or_else_from_the_row(tmp_path):
    card = small("digicam_multimask", write(tmp_path, "digicam_multimask"))
    splits = split_indices(card.splits, card.open())
    labels = card.open().labels
    assert set(labels[splits["test"]]) == set(range(15))
    assert min(labels[splits["train"]]) == 15 and max(labels) == 99
    bare = replace(card, samples={**card.samples, "mask": None, "masks": 10}).open()
    assert bare.labels.tolist() == [row % 10 for row in range(15)] + [row % 10 for row in range(85)]


def test_labels_never_decode_an_image(tmp_path):
    def spoil(split, table):
        for cell in table["lensless"][1:]:
            cell["bytes"] = b"not an image"

    card = small("digicam_multimask", write(tmp_path, "digicam_multimask", change=spoil))
    source = card.open()
    assert len(source.labels) == 100
    assert len(PairedDataset(source, indices=[3, 4]).labels) == 2
    with pytest.raises(InputError, match=r"test\[1\]: lensless: cannot be decoded"):
        source.stored("measurement", 1)


def test_a_table_with_rows_missing_is_not_taken_for_whole(tmp_path):
    write(tmp_path, "tapecam")
    with pytest.raises(InputError, match="expected 21250 samples in train, got 3; is the data set complete"):
        load_dataset("tapecam", folder=tmp_path)


def test_a_missing_column_or_file_is_named(tmp_path):
    def rename(split, table):
        table["target"] = table.pop("lensed")

    with pytest.raises(InputError, match=r"expected data/SPLIT-\*.parquet, found none"):
        load_dataset("tapecam", folder=tmp_path)
    write(tmp_path, "tapecam", change=rename)
    with pytest.raises(InputError, match="test: expected a column 'lensed' of images, got none; the columns are"):
        load_dataset("tapecam", folder=tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp"])
def test_bytes_of_any_lossless_kind_give_their_pixels_in_rgb(suffix):
    pixels = np.random.default_rng(1).integers(0, 255, (5, 7, 3), np.uint8)
    content = imagecodecs.webp_encode(pixels, lossless=True)
    if suffix != ".webp":
        content = cv2.imencode(suffix, pixels[..., ::-1])[1].tobytes()
    assert np.array_equal(stored_bytes(content, "x"), pixels)
    with pytest.raises(InputError, match="row: cannot be decoded"):
        stored_bytes(content[:30], "row")


def test_sixteen_bits_stay_sixteen_bits():
    pixels = np.random.default_rng(1).integers(0, 65535, (5, 7, 3), np.uint16)
    content = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    assert np.array_equal(stored_bytes(content, "x"), pixels)
