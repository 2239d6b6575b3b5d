"""Where `configs/` and `datasets/` are: inside the wheel, or in the checkout."""

from pathlib import Path


def resource_dir(name: str) -> Path:
    """Folder of the shipped resource ``name`` ("configs" or "datasets").

    Raises FileNotFoundError naming both places that were searched.
    """
    package = Path(__file__).resolve().parent
    places = (package / "_resources" / name, package.parent / name)
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"resource folder {name!r}: not in {places[0]} nor in {places[1]}")
