"""The page in headless Chromium, from a file, as a reader opens it."""

import shutil

import cv2
import numpy as np
import pytest

from lensless.evaluation.claims import Answer
from lensless.evaluation.pictures import picture_file
from lensless.evaluation.report.files import write_report
from lensless.evaluation.results import read_results

webdriver = pytest.importorskip("selenium.webdriver", reason="needs the package selenium")
PROGRAMS = [shutil.which(name) for name in ("chromium", "chromedriver")]
if None in PROGRAMS:
    pytest.skip("needs Debian's packages chromium and chromium-driver", allow_module_level=True)

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def chromium():
    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAMS[0]
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(PROGRAMS[1]))
    yield driver
    driver.quit()


class Reader:
    """What somebody at the page sees and does."""

    def __init__(self, driver):
        self.driver = driver

    def find(self, name):
        return self.driver.find_element(By.ID, name)

    def choose(self, name, label):
        Select(self.find(name)).select_by_visible_text(label)

    def cells(self, table):
        """{model: first lines of its cells}."""
        lines = self.find(table).find_elements(By.CSS_SELECTOR, "tbody tr")
        rows = [[cell.text for cell in line.find_elements(By.CSS_SELECTOR, "th, td")] for line in lines]
        return {row[0].partition("\n")[0]: [cell.partition("\n")[0] for cell in row[1:]] for row in rows}

    def style(self, name, key):
        return self.find(name).value_of_css_property(key)


@pytest.fixture
def reader(chromium, matrix):
    values = {"scene": 250, "measurement": 120, "admm, tau 1": 50, "admm, tau 2": 90, "tape": 150, "fza": 200}
    for system in ("tape", "fza"):
        for image in (0, 1):
            for contender, value in values.items():
                file = picture_file(matrix.out, system=system, image=image, contender=contender)
                file.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(file), np.full((12, 16, 3), 257 * (value - image), np.uint16))
    results = read_results(matrix.out, "suite")
    page = write_report(results, [Answer("tape is best at home", "yes", ["+4 dB"])])[1]
    chromium.get(page.as_uri())
    reader = Reader(chromium)
    yield reader
    assert chromium.get_log("browser") == []


def test_the_page_opens_with_answers_and_the_matrix(reader):
    assert reader.driver.find_element(By.CSS_SELECTOR, ".answers").text.startswith("✔ yes tape is best at home")
    assert reader.cells("matrix") == {
        "admm, best tau": ["18.00", "16.00", "12.00", "15.33"],
        "tape": ["◆ 22.00", "15.00", "13.00", "14.00"],
        "fza": ["17.00", "◆ 21.00", "13.00", "15.00"],
    }
    assert reader.cells("gap") == {
        "admm, best tau": ["▼ +4.00", "▼ +5.00"],
        "tape": ["", "▼ +6.00"],
        "fza": ["▼ +5.00", ""],
    }
    groups = [cell.text for cell in reader.driver.find_elements(By.CSS_SELECTOR, "#matrix .group")]
    assert groups == ["seen in training", "unseen"]
    assert not reader.find("sweeps").is_displayed()


def test_another_measure_changes_every_table(reader):
    reader.choose("form", "affine: fitted to the truth")
    assert reader.cells("matrix")["tape"] == ["◆ 23.00", "16.00", "14.00", "15.00"]
    reader.choose("form", "strict: as it is")
    reader.choose("kind", "LPIPS (alex)")
    assert reader.cells("matrix")["tape"] == ["◆ 0.780", "0.850", "0.870", "0.860"]
    assert reader.find("direction").text == "lower is better"
    assert reader.cells("gap")["fza"] == ["▼ -0.050", ""]
    assert reader.cells("difference")["tape"] == ["▲ -0.050", "▼ +0.060", "0.000", "▼ +0.003"]
    reader.choose("kind", "seconds an image")
    assert reader.cells("matrix")["tape"] == ["◆ 0.25", "0.25", "0.25", "0.25"]
    assert not reader.find("form").is_enabled()
    assert not reader.find("differences").is_displayed()


def test_the_colour_of_a_cell_is_the_best_one_in_either_direction(reader):
    def background(place):
        return reader.driver.find_elements(By.CSS_SELECTOR, "#matrix td")[place].value_of_css_property(
            "background-color"
        )

    # tape on tape is the best of all, the tuned solver on lens the worst
    best, worst = background(4), background(2)
    reader.choose("kind", "LPIPS (alex)")
    assert (background(4), background(2)) == (best, worst)
    assert best != worst


def test_another_reference_changes_the_differences(reader):
    def last_row_on_tape():
        return reader.driver.find_element(By.CSS_SELECTOR, "#difference tbody tr:last-child td").text.splitlines()[1:]

    assert reader.cells("difference")["tape"] == ["▲ +5.00", "▼ -6.00", "0.00", "▼ -0.33"]
    assert last_row_on_tape() == ["+4.00 to +6.00", "2 : 0, p 0.50"]
    reader.choose("reference", "tape")
    found = reader.cells("difference")
    assert found["fza"] == ["▼ -5.00", "▲ +6.00", "0.00", "▲ +0.33"]
    assert "tape" not in found
    assert last_row_on_tape() == ["-6.00 to -4.00", "0 : 2, p 0.50"]


def test_the_slider_moves_the_clip_by_keys_and_by_the_pointer(reader):
    assert reader.style("right-picture", "clip-path") == "inset(0px 0px 0px 50%)"
    slider = reader.find("slider")
    slider.send_keys(Keys.ARROW_RIGHT)
    assert reader.style("right-picture", "clip-path") == "inset(0px 0px 0px 51%)"
    slider.send_keys(Keys.HOME)
    assert reader.style("right-picture", "clip-path") == "inset(0px 0px 0px 0%)"
    quarter = -slider.size["width"] // 4
    webdriver.ActionChains(reader.driver).move_to_element_with_offset(slider, quarter, 0).click().perform()
    assert reader.style("right-picture", "clip-path") == "inset(0px 0px 0px 25%)"


def test_every_part_that_is_operated_is_reached_by_the_keyboard(reader):
    reached = []
    for _ in range(30):
        webdriver.ActionChains(reader.driver).send_keys(Keys.TAB).perform()
        reached.append(reader.driver.switch_to.active_element.get_attribute("id"))
    assert [name for name in reached if name] [:9] == [
        "kind", "form", "reference", "system", "image", "left", "right", "slider", "kind"
    ]  # fmt: skip


def test_two_pictures_are_chosen(reader):
    shown = [reader.find(f"{side}-caption").text for side in ("left", "right")]
    assert shown == ["admm, best tau: PSNR in dB 18.00", "fza: PSNR in dB 16.00"]
    before = reader.find("left-picture").get_attribute("src")
    reader.choose("left", "scene")
    assert reader.find("left-caption").text == "scene"
    assert reader.find("left-picture").get_attribute("src") != before
    reader.choose("image", "1")
    reader.choose("system", "fza")
    assert reader.find("left-picture").get_attribute("alt") == "scene, image 1 of fza"
    assert reader.find("right-caption").text == "fza: PSNR in dB 21.00"
    names = [option.text for option in Select(reader.find("right")).options]
    assert names == ["scene", "measurement", "admm, best tau", "tape", "fza"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits_and_follows_the_scheme(reader, size, scheme):
    width, height = SIZES[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
    reader.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    reader.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    assert reader.driver.execute_script("return document.documentElement.scrollWidth") <= width
    background = reader.driver.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    assert background == {"light": "rgba(255, 255, 255, 1)", "dark": "rgba(20, 23, 27, 1)"}[scheme]


def test_a_sweep_shows_the_figure_of_the_chosen_measure(reader, folder):
    systems = {f"tape, snr {x:g}": {"x": x, "series": "tape, snr"} for x in (0.0, 10.0)}
    folder.describe({"tape": {}}, systems, axis="noise")
    folder.fill({("tape", name): (10, 12) for name in systems})
    page = write_report(read_results(folder.out, "suite"), [])[1]
    reader.driver.get(page.as_uri())

    def shown():
        figures = reader.driver.find_elements(By.CSS_SELECTOR, ".figure")
        return [figure.get_attribute("data-measure") for figure in figures if figure.is_displayed()]

    assert shown() == ["strict/psnr"]
    reader.choose("kind", "seconds an image")
    assert shown() == ["seconds"]
    assert not reader.find("album").is_displayed()
