"""Model folders on the Hugging Face hub, always at one commit."""

import importlib
import re
from pathlib import Path
from types import ModuleType

from lensless.errors import InputError, require

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")


def download(repository: str, revision: str, files: tuple[str, ...]) -> Path:
    """Folder in the hub's cache with these files of "OWNER/NAME" at one commit; no network where they are there.

    revision: the 40 hexadecimal digits of the commit, for a branch or a tag may change. Raises InputError for another
    revision, where the hub or the file cannot be reached, and where huggingface_hub is not installed.
    """
    require(
        COMMIT.fullmatch(revision) is not None,
        f"revision: expected the 40 hexadecimal digits of a commit, as in {repository}@COMMIT, got {revision!r}; the "
        "repository's page lists its commits under `History`",
    )
    hub, failures = _hub()
    try:
        paths = [hub.hf_hub_download(repository, name, revision=revision) for name in files]
    except failures as error:
        raise InputError(f"model: {repository}@{revision} cannot be fetched: {error}") from error
    return Path(paths[0]).parent


def upload(folder: Path, repository: str, files: tuple[str, ...], *, message: str, private: bool) -> str:
    """Put these files of a folder into "OWNER/NAME", which is made where it is missing; the commit's 40 digits.

    Raises InputError where the hub refuses or huggingface_hub is not installed; `hf auth login` sets the token.
    """
    require(REPOSITORY.fullmatch(repository) is not None, f"repository: expected OWNER/NAME, got {repository!r}")
    hub, failures = _hub()
    api = hub.HfApi()
    additions = [hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in files]
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.create_commit(repository, additions, commit_message=message)
    except failures as error:
        raise InputError(f"repository: {repository} cannot be written to: {error}") from error
    return commit.oid


def _hub() -> tuple[ModuleType, tuple[type[Exception], ...]]:
    """huggingface_hub, and what it raises where it is refused or cannot reach the hub."""
    try:
        hub = importlib.import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        raise InputError("model: the hub needs huggingface_hub; pip install 'lensless-torch[hub]'") from error
    return hub, (OSError, importlib.import_module("huggingface_hub.errors").HTTPError)
