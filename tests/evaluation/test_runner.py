"""The runner: what is missing is computed, what is known is not, and records say what they are of."""

import pytest
import torch
from torch.utils.data import Dataset

from lensless.data.sample import Sample
from lensless.errors import InputError
from lensless.evaluation.contender import Contender
from lensless.evaluation.cost import measured
from lensless.evaluation.runner import TestSystem, missing_records
from lensless.models.background import BackgroundSubtraction
from lensless.models.modular import ModularReconstruction
from lensless.recon.wiener import Wiener

CPU = torch.device("cpu")


class Deltas(Dataset):
    """Scenes through a PSF that is a point: a Wiener filter with a small k gives them back."""

    shown = frozenset({"even", "odd"})

    def __init__(self, *, background=False, psf=True):
        self.background, self.psf = background, psf

    def __len__(self):
        return 5

    def __getitem__(self, index):
        psf = torch.zeros(3, 13, 16)
        psf[:, 6, 8] = 1
        scene = torch.rand(3, 13, 16, generator=torch.Generator().manual_seed(index))
        light = torch.full_like(scene, 0.25) if self.background else None
        return Sample(
            index=index,
            mask=0,
            measurement=scene if light is None else scene + light,
            scene=scene,
            psf=psf if self.psf else None,
            background=light,
            origin={"picture": "odd" if index % 2 else "even"},
        )


def system(**changes):
    return TestSystem("points", dataset=Deltas(**changes), identity=["points", changes])


WIENER = [Contender(f"k {k:g}", reconstruct=Wiener(k), identity={"k": k}) for k in (1e-6, 1.0)]


def run(contenders=WIENER, *, images=range(4), known=frozenset(), on=None, saved=None, version="1"):
    return list(
        missing_records(
            on or system(),
            contenders,
            images=images,
            known=set(known),
            lpips={},
            device=CPU,
            version=version,
            save=lambda *what: None if saved is None else saved.append(what),
        )
    )


def test_a_record_for_each_contender_and_image():
    lists = run()
    assert [len(lines) for lines in lists] == [4, 4]
    records = [record for lines in lists for record in lines]
    assert len({record["key"] for record in records}) == 8
    first = [(record["model"], record["image"], record["picture"]) for record in records[:2]]
    assert first == [("k 1e-06", 0, "even"), ("k 1e-06", 1, "odd")]
    for record in records[:4]:
        assert record["metrics"]["strict/psnr"] > 60
        assert record["metrics"]["reprojection"] < 1e-3
    for record in records[4:]:
        assert record["metrics"]["strict/psnr"] < 15  # k = 1 halves the picture
        assert record["metrics"]["affine/psnr"] > 40


def test_what_is_known_is_not_computed():
    records = [record for lines in run() for record in lines]
    known = {record["key"] for record in records if record["image"] != 2}
    again = [record for lines in run(known=known) for record in lines]
    assert [(record["model"], record["image"]) for record in again] == [("k 1e-06", 2), ("k 1", 2)]
    before = [record["metrics"]["strict/mse"] for record in records if record["image"] == 2]
    assert [record["metrics"]["strict/mse"] for record in again] == pytest.approx(before, rel=1e-3)
    assert run(known={record["key"] for record in records}) == []


@pytest.mark.parametrize("change", [{"version": "2"}, {"on": system(background=True)}])
def test_keys_change_with_what_decides_the_result(change):
    before = {record["key"] for lines in run() for record in lines}
    assert before.isdisjoint(record["key"] for lines in run(**change) for record in lines)


def test_a_background_is_subtracted_or_handed_to_who_takes_it():
    model = ModularReconstruction(Wiener(1e-6), background=BackgroundSubtraction())
    contenders = [WIENER[0], Contender("takes it", reconstruct=model, identity={})]
    for lines in run(contenders, on=system(background=True)):
        for record in lines:
            assert record["metrics"]["strict/psnr"] > 60


def test_pictures_are_handed_over():
    saved = []
    run(images=range(2), saved=saved)
    assert [what[:3] for what in saved if what[2] == 1] == [
        ("scene", "points", 1), ("measurement", "points", 1), ("k 1e-06", "points", 1), ("k 1", "points", 1),
    ]  # fmt: skip
    scene = next(what[3] for what in saved if what[0] == "scene")
    torch.testing.assert_close(next(what[3] for what in saved if what[0] == "k 1e-06"), scene, atol=1e-3, rtol=0)


def test_a_sample_without_psf_is_refused():
    with pytest.raises(InputError, match="points: scoring needs the psf of sample 0"):
        run(on=system(psf=False))


def test_cost_of_a_call():
    def call():
        return torch.zeros(50_000_000, dtype=torch.uint8) + 1

    result, cost = measured(call, CPU)
    assert int(result[0]) == 1
    assert cost.seconds > 0
    if cost.bytes is not None:
        assert 40_000_000 < cost.bytes < 400_000_000
