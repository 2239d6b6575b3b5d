import pytest
import torch

from lensless.errors import InputError
from lensless.training.curves import Curves, curve, read_curves, training_figure


def logged(file, *, steps=0, upto):
    curves = Curves(file, steps=steps)
    curves.begin()
    for step in range(steps, upto):
        curves.log_metrics({"train/loss": 1 / (step + 1), "epoch": 0}, step)
    curves.log_metrics({"val/psnr": 20.5}, upto - 1)


def test_numbers_are_read_back(tmp_path):
    logged(tmp_path / "curves.csv", upto=3)
    assert (tmp_path / "curves.csv").read_text().splitlines()[:2] == ["step,name,value", "0,train/loss,1.0"]
    rows = read_curves(tmp_path / "curves.csv")
    assert curve(rows, "train/loss") == ([0, 1, 2], [1, 1 / 2, 1 / 3])
    assert curve(rows, "val/psnr") == ([2], [20.5])


def test_a_run_that_goes_on_drops_what_came_after_its_checkpoint(tmp_path):
    logged(tmp_path / "whole.csv", upto=6)
    logged(tmp_path / "killed.csv", upto=5)
    with (tmp_path / "killed.csv").open("a") as file:
        file.write("5,train/lo")  # a line that was cut
    logged(tmp_path / "killed.csv", steps=3, upto=6)
    assert (tmp_path / "killed.csv").read_text() == (tmp_path / "whole.csv").read_text()


def test_a_cut_line_is_left_out(tmp_path):
    logged(tmp_path / "curves.csv", upto=2)
    with (tmp_path / "curves.csv").open("a") as file:
        file.write("2,train/loss,0.1")
    assert [step for step, *_ in read_curves(tmp_path / "curves.csv")] == [0, 1, 1]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a part of the path is a file"):
        Curves(tmp_path / "file" / "curves.csv", steps=0).begin()


def test_the_figure_has_the_curves_and_the_pictures(tmp_path):
    rows = [(0, "train/loss", 2.0), (4, "val/loss", 1.0), (4, "val/psnr", 21.0), (9, "train/loss", 1.5)]
    picture = torch.rand(3, 30, 50, generator=torch.Generator().manual_seed(0))
    loss, quality, pictures = training_figure(rows, picture).axes
    assert [line.get_xydata().tolist() for line in loss.lines] == [[[0, 2], [9, 1.5]], [[4, 1]]]
    assert quality.lines[0].get_xydata().tolist() == [[4, 21]]
    torch.testing.assert_close(torch.tensor(pictures.images[0].get_array()).movedim(-1, 0), picture)
