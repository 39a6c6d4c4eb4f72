"""`dvc plots show` draws every plot of `dvc.yaml` on a machine without a network, each model in a colour of its own."""

import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from ontime.model_training.families import FAMILIES
from tests.browser import Tab, axe, chromium
from tests.checkouts import TOP, run
from tests.commands import write_params

pytestmark = pytest.mark.integration
SCRIPT = Path(".venv") / "share" / "vega.js"


def test_each_plot_is_drawn_without_a_network_and_models_differ_in_colour(fork: Path, tmp_path: Path) -> None:
    plots = YAML(typ="safe", pure=True).load(fork / "dvc.yaml")["plots"]
    run("dvc", "init", "--quiet", "--no-scm", cwd=tmp_path)
    shutil.copyfile(TOP / ".dvc" / "config", tmp_path / ".dvc" / "config")
    shutil.copytree(TOP / ".dvc" / "plots", tmp_path / ".dvc" / "plots")
    shutil.copytree(fork / "models" / "training_runs", tmp_path / "models" / "training_runs")
    write_params({"plots": plots}, tmp_path / "dvc.yaml")
    (tmp_path / SCRIPT).parent.mkdir(parents=True)
    shutil.copyfile(TOP / SCRIPT, tmp_path / SCRIPT)
    run("dvc", "plots", "show", cwd=tmp_path)
    with chromium() as browser:
        tab = Tab(browser)
        tab.call("Network.enable")
        tab.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        drawn = f"document.querySelectorAll('svg.marks').length >= {len(plots)}"
        tab.open(f"file://{tmp_path}/dvc_plots/index.html", drawn)
        titles = {title for plot in plots for title in plot}
        shown = tab.run("[...document.querySelectorAll('svg.marks .role-title-text')].map((e) => e.textContent)")
        assert set(shown) == titles
        for number, plot in enumerate(plots):
            ((title, content),) = plot.items()
            if len(content["y"]) == len(FAMILIES["binary"]):
                picture = f"[...document.querySelectorAll('svg.marks')][{number}]"
                legend = tab.run(f"{picture}.querySelector('.role-legend').textContent")
                assert not [name for name in FAMILIES["binary"] if name.replace("_", " ") not in legend], title
                strokes = f"[...{picture}.querySelectorAll('.mark-line path')].map((e) => e.getAttribute('stroke'))"
                assert len(set(tab.run(strokes))) == len(FAMILIES["binary"]), title
        assert not tab.violations(axe())


def test_setup_writes_the_script_that_the_page_asks_for() -> None:
    page = (TOP / ".dvc" / "plots" / "page.html").read_text(encoding="utf-8")
    assert re.findall(r'src="([^"]+)"', page) == [f"../{SCRIPT}"]
    assert f"> {SCRIPT}" in (TOP / "Makefile").read_text(encoding="utf-8")
