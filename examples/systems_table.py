"""Every ready camera, simulated and reconstructed by the two commands, and how well: the README's table.

For each NAME in configs/system:

    lensless simulate system=NAME scenes=SCENES n=N seed=0 out=OUT/NAME
    lensless reconstruct psf=OUT/NAME/psfs/000.npy measurement=OUT/NAME/measurements ground_truth=OUT/NAME/scenes
        recon=admm recon.iterations=200 output=OUT/reconstructed/NAME

and the mean over the N scenes of PSNR = 10 log10(1 / mean((x^ - x)^2)) dB and SSIM, without any fit. All cameras see
the same pictures at the same places. They differ in more than the mask: each has its own distance and field of view.

    python examples/systems_table.py                    scikit-image's photographs, two places each; minutes
    python examples/systems_table.py --scenes photos/   any folder, file or quoted glob of pictures
"""

import argparse
import json
from pathlib import Path

import numpy as np

from lensless.cli import main as lensless
from lensless.physics.system import system_names


def scores(name: str, out: Path, *, simulate: list[str], reconstruct: list[str]) -> list[dict[str, float]]:
    """The metrics of each scene; ``simulate`` and ``reconstruct`` are further words of the two commands."""
    data, results = out / name, out / "reconstructed" / name
    command(["simulate", f"system={name}", f"out={data}", *simulate])
    inputs = [f"psf={data}/psfs/000.npy", f"measurement={data}/measurements", f"ground_truth={data}/scenes"]
    command(["reconstruct", *inputs, f"output={results}", "recon.progress=false", *reconstruct])
    return [json.loads(file.read_text(encoding="utf-8"))["metrics"] for file in sorted(results.glob("*.json"))]


def command(words: list[str]) -> None:
    """Run one `lensless` command; it says itself what is wrong."""
    if code := lensless(words):
        raise SystemExit(code)


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Markdown, the best mean PSNR first."""
    columns = {name: np.array([[one["psnr"], one["ssim"]] for one in rows]) for name, rows in found.items()}
    lines = ["| system | PSNR / dB | worst and best scene | SSIM |", "|---|---:|---:|---:|"]
    for name, values in sorted(columns.items(), key=lambda item: -item[1][:, 0].mean()):
        (psnr, ssim), low, high = values.mean(0), values[:, 0].min(), values[:, 0].max()
        lines.append(f"| `{name}` | {psnr:.1f} | {low:.1f}, {high:.1f} | {ssim:.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", default="skimage", help="a folder, file or quoted glob of pictures, or skimage")
    parser.add_argument("--n", type=int, default=8, help="scenes for each system")
    parser.add_argument("--out", type=Path, default=Path("outputs/systems"), help="folder for data and results")
    options = parser.parse_args()
    simulate = [f"scenes={options.scenes}", f"n={options.n}", "seed=0"]
    reconstruct = ["recon=admm", "recon.iterations=200"]
    found = {}
    for name in system_names():
        found[name] = scores(name, options.out, simulate=simulate, reconstruct=reconstruct)
    print(table(found))


if __name__ == "__main__":
    main()
