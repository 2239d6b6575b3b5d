"""Where a model is: in a folder, shipped with this library, or in a repository on the hub."""

from pathlib import Path

from lensless.errors import require
from lensless.models.hub import REPOSITORY, download

SHIPPED = Path(__file__).parent / "shipped"


def names() -> list[str]:
    """The models that come with this library."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/card.json"))


def locate(name_or_path: str | Path, *, revision: str | None, files: tuple[str, ...]) -> Path:
    """The folder of a model: the path of one, a name among :func:`names`, or "OWNER/NAME" on the hub.

    revision: the hub's commit, also as "OWNER/NAME@REVISION"; without one an existing folder goes first. files: what
    is fetched. Raises InputError for an unknown name and for a hub model without its commit.
    """
    folder, name = Path(name_or_path).expanduser(), str(name_or_path)
    if revision is None:
        if folder.is_dir():
            return folder
        name, _, revision = name.partition("@")
    if REPOSITORY.fullmatch(name):
        return download(name, revision, files)
    require(
        name in names() and not revision,
        f"model: {name_or_path!s} is no folder, no OWNER/NAME@COMMIT on the hub and none of the shipped models: "
        f"{', '.join(names()) or 'there are none'}",
    )
    return SHIPPED / name
