"""`lensless import`: a published folder in, our format out."""

from pathlib import Path

import pytest
import torch

from lensless.cli import main
from lensless.models.pretrained import Model


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """An unrolled ADMM of two iterations, as LenslessPiCam writes it."""
    folder = tmp_path / "U2"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(
        "reconstruction:\n  method: unrolled_admm\n  unrolled_admm:\n    n_iter: 2\n"
    )
    weights = {f"_{name}_p": torch.tensor([1e-4, 3e-4]) for name in ("mu1", "mu2", "mu3", "tau")}
    torch.save(weights, folder / "recon_epochBEST")
    return folder


def test_import_writes_a_model_that_loads(published, tmp_path, capsys):
    output = tmp_path / "models" / "mine"
    assert main(["import", str(published), f"output={output}", "licence=MIT", "psf_norm=2"]) == 0
    assert sorted(path.name for path in output.iterdir()) == ["card.json", "model.safetensors"]
    model = Model.from_pretrained(output)
    assert model.card.licence == "MIT"
    assert model.reconstruction.psf_correction.norm == 2
    assert model.reconstruction.inversion.mu2.tolist() == pytest.approx([1e-4, 3e-4])
    assert "LenslessPiCam's unrolled_admm, 8 weights" in capsys.readouterr().out


def test_what_is_wrong_is_said_and_nothing_written(published, tmp_path, capsys):
    output = tmp_path / "mine"
    (published / "recon_epochBEST").write_bytes((published / "recon_epochBEST").read_bytes()[:300])
    assert main(["import", str(published), f"output={output}"]) == 2
    assert "cut off" in capsys.readouterr().err
    assert not output.exists()
    assert main(["import", str(published)]) == 2
    assert "output: expected a value" in capsys.readouterr().err
