"""`lensless simulate system=NAME scenes=FOLDER n=... out=FOLDER`: a data set of measurements of known scenes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from tqdm import tqdm

from lensless.data.folder import DatasetFolder
from lensless.data.scenes import PictureError, find_licence, list_pictures
from lensless.data.simulation import Sample, Simulation, held_out_masks, one_thread
from lensless.data.workers import in_workers
from lensless.errors import InputError, require
from lensless.physics.system import System
from lensless.tasks.compose import build
from lensless.tasks.multirun import multirun
from lensless.tasks.records import fingerprint
from lensless.tasks.shards import of_shard
from lensless.versions import versions

PATHS = ("scenes", "out")
POSITIONAL = None

# sample i depends on none of these
NOT_IN_THE_SAMPLES = ("scenes", "licence", "n", "out", "shard", "workers", "skip_corrupt")
RULES = {
    "mask": "sample i has mask i mod n_masks; mask m is drawn from the seed mask_seed + m",
    "picture": "sample i has picture (j + j div lcm(n_masks, pictures)) mod pictures, j = i mod (n_masks * pictures)",
    "random": "position and noise of sample i are drawn from numpy.random.SeedSequence([seed, i])",
    "split": "by mask alone, pictures come in both: test masks are the first test_masks of "
    "numpy.random.default_rng(seed).permutation(n_masks)",
}


def run(cfg: DictConfig) -> int:
    """Make the samples of this shard that are not there yet, and the card once all shards are done.

    Raises what is wrong with the configuration or, unless ``cfg.skip_corrupt``, with a picture.
    """
    for name, least in (("n", 1), ("n_masks", 1), ("mask_seed", 0), ("seed", 0), ("workers", 0)):
        require(cfg[name] >= least, f"{name}: expected a whole number >= {least}, got {cfg[name]}")
    indices = of_shard(range(cfg.n), cfg.shard)
    pictures = list_pictures(cfg.scenes)
    test = held_out_masks(cfg.seed, masks=cfg.n_masks, count=cfg.test_masks)
    folder = DatasetFolder(Path(cfg.out).expanduser())
    card = make_card(cfg, pictures, test)
    simulation = Simulation(
        system(cfg, 0),
        psf=folder.psf,
        masks=cfg.n_masks,
        pictures=pictures,
        placement=build(cfg.placement, "placement"),
        encoding=cfg.encoding,
        seed=cfg.seed,
    )
    folder.begin(card)
    missing = [index for index in indices if not folder.has(index)]
    make_masks(cfg, folder, {simulation.mask(index) for index in missing})
    make_samples(cfg, folder, simulation, missing, test)
    print(f"{len(missing)} samples made, {len(indices) - len(missing)} were there: {folder.root}")
    if folder.finish(cfg.n, card):
        print(f"all {cfg.n} are there, {folder.card_file}")
    else:
        print("other shards are still to be made; the last one completes card.json")
    return 0


def make_masks(cfg: DictConfig, folder: DatasetFolder, masks: set[int]) -> None:
    """Write the PSFs of those ``masks`` that the folder does not have."""
    missing = sorted(mask for mask in masks if not folder.psf_file(mask).exists())
    for mask, light in in_workers(partial(mask_light, cfg), missing, workers=cfg.workers, unit="mask"):
        folder.write_mask(mask, *light)


def make_samples(
    cfg: DictConfig, folder: DatasetFolder, simulation: Simulation, indices: list[int], test: list[int]
) -> None:
    """Write the samples with these numbers. Raises InputError for a bad picture unless ``cfg.skip_corrupt``."""
    for index, sample in in_workers(partial(attempt, simulation), indices, workers=cfg.workers, unit="sample"):
        if not isinstance(sample, PictureError):
            folder.write_sample(index, sample, split="test" if sample.mask in test else "train")
        elif cfg.skip_corrupt:
            tqdm.write(f"sample {index} skipped: {sample}")
            folder.skip_sample(index, str(sample))
        else:
            raise InputError(f"{sample}; skip_corrupt=true goes on without sample {index}")


def make_card(cfg: DictConfig, pictures: Sequence[Path], test: list[int]) -> dict[str, Any]:
    """What the card says besides the samples. Raises InputError for several masks of a system that has only one."""
    settings = OmegaConf.to_container(cfg, resolve=True)
    if cfg.n_masks > 1 and resolved_system(cfg, 0) == resolved_system(cfg, 1):
        raise InputError(
            f"n_masks: the mask of {cfg.system.name} is not drawn from a seed, so all {cfg.n_masks} would be the same; "
            "take 1, or a system with a random mask"
        )
    decisive = {name: value for name, value in settings.items() if name not in NOT_IN_THE_SAMPLES}
    names = [[picture.name, picture.stat().st_size] for picture in pictures]
    return {
        "fingerprint": fingerprint({**decisive, "pictures": names}, []),
        "licence": cfg.licence or find_licence(cfg.scenes, pictures),
        "pictures": [name for name, _ in names],
        "test_masks": test,
        "rules": RULES,
        "config": settings,
        "versions": versions(),
    }


def resolved_system(cfg: DictConfig, mask: int) -> dict[str, Any]:
    """The section `system` with the seed of mask number ``mask`` filled in."""
    seeded = OmegaConf.merge(cfg, {"mask_seed": cfg.mask_seed + mask})
    return OmegaConf.to_container(seeded.system, resolve=True)


def system(cfg: DictConfig, mask: int) -> System:
    """The system with mask number ``mask``."""
    return build(OmegaConf.create(resolved_system(cfg, mask)), "system")


def mask_light(cfg: DictConfig, mask: int) -> tuple[Tensor, Tensor | None]:
    """PSF of mask number ``mask``, and its ambient light if there is any, both (C, h, w)."""
    with one_thread():
        camera = system(cfg, mask)
        return camera.psf, camera.background if camera.ambient else None


def attempt(simulation: Simulation, index: int) -> Sample | PictureError:
    """Sample ``index``, or what is wrong with its picture."""
    try:
        return simulation[index]
    except PictureError as error:
        return error


if __name__ == "__main__":  # see configs/simulate.yaml
    multirun("simulate")
