"""A packed data set onto the Hugging Face hub."""

from pathlib import Path

from lensless.data.card import load_card
from lensless.data.check import check_files
from lensless.errors import InputError, require


def push(folder: Path, repository: str, *, private: bool = True, endpoint: str | None = None) -> str:
    """Upload a folder that :func:`lensless.data.pack.pack` wrote; returns the URL of the commit.

    The token is the one that `hf auth login` stored, or HF_TOKEN. repository: "owner/name", made where it is not there.
    private: whether a new one is. endpoint: of another hub. Raises InputError where the folder is not packed or not
    whole, and ConnectionError where the hub is not reached or refuses.
    """
    card = load_card(folder)
    files = (card.about or {}).get("files")
    require(bool(files), f"{folder}: expected a packed data set; run `lensless data pack` first")
    for problem in check_files(folder, {name: file["sha256"] for name, file in files.items()}):
        raise InputError(problem)
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise InputError("push needs the extra datasets; pip install 'lensless-torch[datasets]'") from None
    hub = HfApi(endpoint=endpoint)
    try:
        hub.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        done = hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            repo_type="dataset",
            commit_message=card.about["summary"],
        )
    except (HfHubHTTPError, OSError) as error:
        raise ConnectionError(f"{repository}: the hub did not take it ({error})") from error
    return done.commit_url
