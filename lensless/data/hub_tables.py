"""Tables through Hugging Face's `datasets`, which is imported when one is opened (extra ``datasets``)."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lensless.errors import InputError, require

if TYPE_CHECKING:
    from datasets import Dataset


def local_tables(root: Path) -> dict[str, Dataset]:
    """The splits in `data/SPLIT-*.parquet` below ``root``. Raises InputError where there is no such file."""
    datasets = import_datasets()
    files: dict[str, list[str]] = {}
    for file in sorted(root.glob("data/*.parquet")):
        files.setdefault(file.name.split("-")[0].removesuffix(".parquet"), []).append(str(file))
    require(bool(files), f"{root}: expected data/SPLIT-*.parquet, found none; is the download complete?")
    return dict(datasets.load_dataset("parquet", data_files=files))


def hub_tables(name: str | None, revision: str | None) -> dict[str, Dataset]:
    """The splits of a data set of the hub. Raises ConnectionError naming it where it cannot be had."""
    require(name is not None, "samples: expected the name of a data set of the hub, or a folder with its parquet files")
    datasets = import_datasets()
    try:
        return dict(datasets.load_dataset(name, revision=revision))
    except (OSError, datasets.exceptions.DatasetNotFoundError) as error:
        raise ConnectionError(
            f"{name}: could not be had from the hub ({error}). Try again when online, it resumes; or state the folder "
            "of a downloaded copy"
        ) from error


def import_datasets() -> ModuleType:
    """The library `datasets`. Raises InputError where the extra is not installed."""
    try:
        import datasets
    except ImportError:
        raise InputError("this data set needs the extra datasets; pip install 'lensless-torch[datasets]'") from None
    return datasets


def image_column(tables: dict[str, Dataset], column: str) -> dict[str, Dataset]:
    """One column of every split, its images as bytes. Raises InputError where it is missing or holds no images."""
    image = import_datasets().Image
    for split, table in tables.items():
        kind = table.features.get(column)
        require(
            isinstance(kind, image),
            f"{split}: expected a column {column!r} of images, got {'none' if kind is None else kind}; the columns are "
            f"{', '.join(table.features)}",
        )
    return {
        split: table.select_columns([column]).cast_column(column, image(decode=False))
        for split, table in tables.items()
    }


def hub_file(name: str, file: str, revision: str | None) -> str:
    """Path of one file of a data set of the hub, downloaded where it is not there yet."""
    from huggingface_hub import hf_hub_download

    return hf_hub_download(name, file, repo_type="dataset", revision=revision)
