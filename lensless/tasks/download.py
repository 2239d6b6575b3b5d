"""Downloads that resume: a pooch downloader that keeps the unfinished part of a file."""

import os
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from lensless.errors import InputError

CHUNK = 1 << 16
TIMEOUT_SECONDS = 30


def fetch_files(folder: Path, files: dict[str, tuple[str, str]]) -> list[Path]:
    """Put ``files``, {name in the folder: (URL, sha256)}, into ``folder``; those already there and whole stay.

    Raises ConnectionError naming the URL and the folder where a file cannot be had, and keeps what had arrived of
    it for the next call; raises InputError for a file with another sha256, and removes it.
    """
    store = pooch.create(
        path=folder,
        base_url="",
        registry={name: f"sha256:{digest}" for name, (_, digest) in files.items()},
        urls={name: url for name, (url, _) in files.items()},
    )
    found = []
    for name, (url, _) in files.items():
        try:
            found.append(Path(store.fetch(name, downloader=_Resuming(folder / f"{name}.part"))))
        except requests.RequestException as error:
            raise ConnectionError(
                f"{name}: could not be downloaded from {url} ({_reason(error)}). Run the same command again when "
                f"online, it resumes; or put the file there by hand: {folder / name}"
            ) from error
        except ValueError as error:
            raise InputError(f"{name}: what came from {url} is something else and was removed; {error}") from error
    return found


class _Resuming:
    """Download into ``part``, from where an earlier call was cut off, then hand the whole file to pooch."""

    def __init__(self, part: Path):
        self.part = part

    def __call__(self, url: str, output_file: str, _: pooch.Pooch) -> None:
        have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as reply:
            if reply.status_code == requests.codes.requested_range_not_satisfiable:
                # nothing is missing: the cut came between the last byte and the check of the hash
                os.replace(self.part, output_file)
                return
            reply.raise_for_status()
            resumed = reply.status_code == requests.codes.partial_content
            total = int(reply.headers.get("Content-Length", 0)) + (have if resumed else 0)
            with (
                open(self.part, "ab" if resumed else "wb") as file,
                tqdm(
                    total=total or None, initial=have if resumed else 0, unit="B", unit_scale=True, leave=False,
                    desc=self.part.stem,
                ) as bar,
            ):
                for chunk in reply.iter_content(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
        os.replace(self.part, output_file)


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    return type(error).__name__
