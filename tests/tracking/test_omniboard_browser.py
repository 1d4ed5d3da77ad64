"""What a person sees in Omniboard after a sweep: the real command, a real mongod, the real package, a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from conftest import free_port
from pymongo import MongoClient

from experiments import TINY, command
from seg_al.tracking.omniboard.columns import RUN_COLUMNS, ConfigColumn
from seg_al.tracking.omniboard.node import cache_folder, find_node, packages_folder
from seg_al.tracking.omniboard.service import APP
from seg_al.tracking.storable import URL_VARIABLE

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = [pytest.mark.mongo, pytest.mark.omniboard]
ROOT = Path(__file__).parents[2]
DATABASE = "looked_at"
PATIENCE = 60  # seconds that a page may take


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium that has seen nothing yet, wide enough for all columns: those out of sight are not drawn."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no Chromium with its chromedriver on PATH (apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--window-size=2600,1000", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium has none for root
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def address(mongod: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Omniboard over a sweep of two runs, started by its command."""
    try:
        find_node()
    except ValueError as error:
        pytest.skip(str(error))
    if not packages_folder(APP, cache_folder()).exists():
        pytest.skip("Omniboard is not there: python scripts/omniboard.py --install-only")
    place = tmp_path_factory.mktemp("looked_at")
    words = [word for word in TINY if not word.startswith(("tracking", "gallery", "rounds"))]
    words += ["tracking=mongo", f"tracking.database={DATABASE}", "gallery=1", "rounds=2"]
    words += ["tags=[pilot]", "notes=a look", "heuristic=random,bald"]
    swept = command(place, "-m", *words, environment={URL_VARIABLE: mongod})
    assert swept.code == 0, swept.text
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "omniboard.py", "--database", DATABASE, "--port", str(port)],
        env={**os.environ, URL_VARIABLE: mongod},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line)
        if line.startswith("Omniboard: "):
            break
    assert process.poll() is None, printed
    assert "holds 2 runs" in "".join(printed)
    yield printed[-1].split()[1]
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == "Omniboard stopped\n"
    assert process.returncode == 0


def until(browser: Any, condition: Any) -> Any:
    return WebDriverWait(browser, PATIENCE).until(condition)


def cells(browser: Any) -> dict[str, dict[str, str]]:
    """The texts of the table by run number and title."""
    script = """return [...document.querySelectorAll('.public_fixedDataTableRow_main')].map(row =>
        [...row.querySelectorAll('.public_fixedDataTableCell_main')].map(cell => cell.innerText.trim()))"""
    texts = browser.execute_script(script)
    found = [dict(zip(texts[0], row, strict=True)) for row in texts[1:]]
    return {row["Id"]: row for row in found if row["Id"]}


def test_the_table_opens_with_the_columns_of_a_study_and_the_numbers_of_its_runs(
    browser: Any, address: str, mongod: str
) -> None:
    browser.get(address)
    until(browser, lambda _: len(cells(browser)) == 2)
    with MongoClient[dict[str, Any]](mongod) as client:
        runs = list(client[DATABASE]["runs"].find())
        dice = {one["run_id"]: one["values"] for one in client[DATABASE]["metrics"].find({"name": "test/dice"})}
    shown = cells(browser)
    assert set(shown) == {str(run["_id"]) for run in runs}
    for run in runs:
        row = shown[str(run["_id"])]
        assert list(row)[1:8] == ["Id", "Heuristic", "Model", "Dataset", "Run", "Status", "Images"]
        assert list(row)[8:14] == ["Dice", "Best dice", "Dice area", "MIoU", "Best mIoU", "Duration"]
        for column in RUN_COLUMNS:
            if isinstance(column, ConfigColumn):
                assert row[column.name.capitalize()] == str(run["config"][column.path.removeprefix("config.")])
        assert (row["Status"], row["Images"]) == ("COMPLETED", "3")
        assert float(row["Dice"]) == round(dice[run["_id"]][-1], 4)
        assert float(row["Best dice"]) == round(max(dice[run["_id"]]), 4)
        assert "pilot" in row["Tags"]
        assert "a look" in row["Notes"]
    options = browser.execute_script("return JSON.parse(localStorage['default|RunsTable|1']).dropdownOptions")
    hidden = {option["value"] for option in options if not option["selected"]}
    assert {f"c_{key}" for key in runs[0]["config"]} <= hidden  # one click away


def test_a_run_opens_with_its_curve_over_the_labelled_images_and_shows_its_files(
    browser: Any, address: str, mongod: str
) -> None:
    browser.get(address)
    opener = until(browser, lambda _: browser.find_elements(By.CSS_SELECTOR, "[test-attr=cell-row_expander-0]"))
    opener[0].click()
    until(browser, lambda _: browser.find_elements(By.CSS_SELECTOR, ".js-plotly-plot .scatterlayer .trace"))
    script = "return document.querySelector('.js-plotly-plot').data.map(line => [line.name, [line.x, line.y]])"
    plotted = dict(browser.execute_script(script))
    newest = max(cells(browser), key=int)
    with MongoClient[dict[str, Any]](mongod) as client:
        run = client[DATABASE]["runs"].find_one({"_id": int(newest)})
        assert run is not None
        for metric in ("test/dice", "test/miou"):
            (number,) = (entry["id"] for entry in run["info"]["metrics"] if entry["name"] == metric)
            curve = client[DATABASE]["metrics"].find_one({"_id": ObjectId(number)})
            assert curve is not None
            assert plotted[metric] == [[2, 3], curve["values"]]
    assert not any(name.startswith("cost/") for name in plotted)  # one axis for all: counts would flatten the rest

    browser.find_element(By.LINK_TEXT, "Artifacts").click()
    wanted = "//*[@id='artifacts']//*[contains(@class, 'accordion__title')][contains(., 'learning_curve.png')]"
    titles = until(browser, lambda _: browser.find_elements(By.XPATH, wanted))
    titles[0].click()
    image = until(browser, lambda _: browser.find_elements(By.CSS_SELECTOR, "#artifacts .accordion__body img"))[0]
    until(browser, lambda _: browser.execute_script("return arguments[0].naturalWidth", image) > 100)


def test_columns_that_come_later_are_shown_and_those_a_person_has_hidden_stay_hidden(
    browser: Any, address: str, mongod: str
) -> None:
    browser.get(address)
    until(browser, lambda _: len(cells(browser)) == 2)
    browser.execute_script("""const view = JSON.parse(localStorage['default|RunsTable|1']);
        view.columnOrder = view.columnOrder.filter(key => key !== 'model');
        view.dropdownOptions.find(option => option.value === 'model').selected = false;
        window.addEventListener('beforeunload', () =>
            localStorage.setItem('default|RunsTable|1', JSON.stringify(view)));""")
    time.sleep(0.1)
    with MongoClient[dict[str, Any]](mongod) as client:
        late = {"name": "ece", "metric_name": "test/ece", "extrema": "last"}
        client[DATABASE]["omniboard.metric.columns"].insert_one(late)
    browser.refresh()
    until(browser, lambda _: len(cells(browser)) == 2)
    row = next(iter(cells(browser).values()))
    assert "Model" not in row
    assert float(row["Ece"]) >= 0


def test_the_first_run_of_objects_brings_its_columns_and_its_curves_into_a_browser_that_knows_the_database(
    browser: Any, address: str, mongod: str
) -> None:
    browser.get(address)
    until(browser, lambda _: len(cells(browser)) == 2)
    browser.execute_script("""localStorage['undefined|MetricsPlotView|default'] = JSON.stringify({plotWidth: 700,
        metricNameOptions: [{label: 'test/dice', value: 'test/dice', selected: false}]})""")
    with MongoClient[dict[str, Any]](mongod) as client:
        run = client[DATABASE]["runs"].find_one()
        assert run is not None
        columns = {"steps": [2, 3], "values": [0.25, 0.123456], "timestamps": [run["start_time"]] * 2}
        curve = client[DATABASE]["metrics"].insert_one({"name": "test/ap", "run_id": run["_id"], **columns})
        entry = {"name": "test/ap", "id": str(curve.inserted_id)}
        client[DATABASE]["runs"].update_one({"_id": run["_id"]}, {"$push": {"info.metrics": entry}})
    browser.refresh()
    until(browser, lambda _: len(cells(browser)) == 2)
    row = cells(browser)[str(run["_id"])]
    titles = list(row)
    assert (row["AP"], row["Best AP"]) == ("0.1235", "0.25")
    assert titles.index("Best mIoU") < titles.index("AP") < titles.index("Best AP") < titles.index("Duration")
    assert "AP area" not in titles, "no run has it"
    view = browser.execute_script("return JSON.parse(localStorage['undefined|MetricsPlotView|default'])")
    selected = {option["value"]: option["selected"] for option in view["metricNameOptions"]}
    assert (selected["test/dice"], selected["test/ap"], selected["cost/images"]) == (False, True, False)
    assert view["plotWidth"] == 700
