"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Write ``content`` to a temporary name in the same folder, down to the disk, and rename it to ``file``.

    Synced, because a power cut after a rename alone can leave an empty file under the new name.
    Raises OSError, such as a full disk, and leaves what was there.
    """
    partial = file.with_name(f".{file.name}.partial")
    try:
        with open(partial, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, file)
    except OSError as error:  # a full disk names no file by itself
        raise OSError(error.errno, error.strerror, str(file)) from error
    finally:
        partial.unlink(missing_ok=True)
