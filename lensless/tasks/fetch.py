"""`lensless fetch NAME`: public sample data into the cache folder, by URL and sha256."""

from pathlib import Path

import pooch
from omegaconf import DictConfig, OmegaConf

from lensless.errors import check_name
from lensless.resources import resource_dir
from lensless.tasks.download import fetch_files

PATHS = ("folder",)
POSITIONAL = "name"


def run(cfg: DictConfig) -> int:
    """Download the data set ``cfg.name``, or list what there is."""
    cards = {path.stem: OmegaConf.load(path) for path in sorted(resource_dir("datasets").glob("*.yaml"))}
    if cfg.name is None:
        for name, card in cards.items():
            print(f"{name:<28}{card.summary} ({card.licence})")
        return 0
    check_name("name", str(cfg.name), list(cards))
    card = cards[cfg.name]
    folder = (Path(cfg.folder).expanduser() if cfg.folder else pooch.os_cache("lensless")) / cfg.name
    for path in fetch_files(folder, {name: (file.url, file.sha256) for name, file in card.files.items()}):
        print(path)
    print(f"\n{card.source}, {card.licence}\n{card.layout.strip()}\n\n{card.example.format(folder=folder).strip()}")
    return 0
