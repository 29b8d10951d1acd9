"""JupyterLab as a new user has it: open the first notebook, run all, see its figure."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

# Generous, since other tests may run beside these.
MINUTES = 15
PATIENCE = 300  # seconds for what takes an idle machine a few
IDLE = "Python 3 (ipykernel) | Idle"


SETTINGS = ROOT / "notebooks" / "lab"
UNSAVED = ".jp-mod-dirty"
RED = ".jp-Notebook [data-mime-type='application/vnd.jupyter.stderr']"


@pytest.fixture(params=["JupyterLab Light", "JupyterLab Dark"])
def lab(tmp_path, chromium, request):
    """The address of a JupyterLab on a copy of the notebooks, as `make lab` starts it, in
    a folder of its own."""
    notebooks = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", notebooks)
    theme = tmp_path / "settings" / "@jupyterlab" / "apputils-extension"
    theme.mkdir(parents=True)
    (theme / "themes.jupyterlab-settings").write_text(json.dumps({"theme": request.param}))
    for name, folder in (
        ("default_setting_overrides.json", tmp_path / "etc" / "labconfig"),
        ("ipython_kernel_config.py", tmp_path / "ipython" / "profile_default"),
    ):
        folder.mkdir(parents=True)
        shutil.copy(SETTINGS / name, folder)
    runtime = tmp_path / "runtime"
    own = {"JUPYTER_RUNTIME_DIR": runtime, "JUPYTERLAB_SETTINGS_DIR": tmp_path / "settings"}
    own |= {"JUPYTERLAB_WORKSPACES_DIR": tmp_path / "workspaces"}
    own |= {"JUPYTER_CONFIG_PATH": tmp_path / "etc", "IPYTHONDIR": tmp_path / "ipython"}
    own |= {"ETA_CACHE": tmp_path / "cache.sqlite"}
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    words += [
        "--ServerApp.port=0",
        "--IdentityProvider.token=",
        f"--notebook-dir={notebooks}",
    ]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            words,
            stdout=log,
            stderr=log,
            env=os.environ | {name: str(path) for name, path in own.items()},
        )
    try:
        yield _address(runtime, server)
    finally:
        _stop(server)


def _stop(server):
    """Ask the server to end; a kernel that is just starting can delay it."""
    server.terminate()
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()  # its kernels end when they notice
        server.wait()


def _address(runtime, server):
    """Wait until the server answers; return its address."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert server.poll() is None, "JupyterLab ended"
        for path in runtime.glob("jpserver-*.json"):
            try:
                address = json.loads(path.read_text())["url"]
                urllib.request.urlopen(f"{address}api").close()
                return address
            except (ValueError, OSError):  # half-written, or not yet listening
                continue
        time.sleep(0.1)
    raise AssertionError("JupyterLab did not answer")


def _set_parameters(notebook, **values):
    """Change the cell of parameters as a user would."""
    content = json.loads(notebook.read_text())
    [cell] = [c for c in content["cells"] if "parameters" in c["metadata"].get("tags", [])]
    lines = "".join(cell["source"]).splitlines()
    for name, value in values.items():
        [index] = [i for i, line in enumerate(lines) if line.startswith(f"{name}:")]
        lines[index] = f"{name} = {value!r}"
    cell["source"] = "\n".join(lines)
    notebook.write_text(json.dumps(content))


@pytest.mark.parametrize("lab", ["JupyterLab Light"], indirect=True)
def test_run_all_of_the_first_notebook_ends_in_its_figure(lab, chromium, tmp_path):
    notebook = tmp_path / "notebooks" / "01_sft.ipynb"
    _set_parameters(notebook, profile="smoke", outputs=str(tmp_path / "outputs"))
    page = _run_all(f"{lab}lab/tree/01_sft.ipynb", chromium)
    # JupyterLab draws only the cells in view: scroll to the last figure.
    figure = page.locator(".jp-OutputArea-output img").last
    figure.scroll_into_view_if_needed()
    assert figure.evaluate("image => image.naturalWidth > 0")
    sft = tmp_path / "outputs" / "smoke" / "seed0" / "sft"
    assert (sft / "test" / "done.json").exists()
    assert "Traceback" not in page.locator(".jp-Notebook").inner_text()
    assert page.locator(RED).count() == 0


def test_a_pair_that_is_chosen_is_shown(lab, chromium, tmp_path):
    """In the notebook for one's own samples, with those that the project ships."""
    notebook = tmp_path / "notebooks" / "05_your_samples.ipynb"
    _set_parameters(notebook, out=str(tmp_path / "out"))
    page = _run_all(f"{lab}lab/tree/05_your_samples.ipynb", chromium)
    chooser = page.locator(".jp-Notebook .widget-dropdown select")
    chooser.scroll_into_view_if_needed()
    shown = page.locator(".jp-Notebook .widget-html-content table")
    assert shown.count() == 0
    chooser.select_option(index=2)
    shown.first.wait_for(timeout=1000 * PATIENCE)
    assert page.locator(RED).count() == 0
    text = page.locator(".jp-Notebook .widget-html-content").inner_text()
    assert "chosen" in text and "rejected" in text and "assert candidate(" in text
    # Whatever the theme: dark on white.  Rows and lines have colours of their own there.
    for part in page.locator(".jp-Notebook .widget-html-content td:visible").all()[:40]:
        ink, row = part.evaluate(
            "cell => [getComputedStyle(cell).color,"
            " getComputedStyle(cell.parentElement).backgroundColor]"
        )
        assert ink in ("rgb(29, 36, 48)", "rgb(89, 89, 89)")
        assert re.match(r"rgb\(255, 255, 255\)|rgba\(0, 114, 178, 0(\.[01]\d*)?\)", row), (
            row
        )


def test_a_notebook_that_was_only_opened_is_not_unsaved(lab, chromium):
    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"{lab}lab/tree/01_sft.ipynb")
    page.get_by_text(IDLE).wait_for(timeout=1000 * PATIENCE)
    page.wait_for_timeout(3000)  # milliseconds; what it writes, it writes at once
    assert page.locator(UNSAVED).count() == 0
    assert page.get_by_text("Jupyter news").count() == 0


def _run_all(address, chromium):
    """Open a notebook, run all its cells, and return its page."""
    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(address)
    page.get_by_text(IDLE).wait_for(timeout=1000 * PATIENCE)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    deadline = time.monotonic() + 60 * MINUTES
    still = 0  # seconds for which nothing has been executed or waited to be
    while not _done(page) and still < 60 and time.monotonic() < deadline:
        page.wait_for_timeout(2000)
        still = still + 2 if _stopped(page) else 0
    assert _done(page), page.locator(".jp-Notebook").inner_text()[-2000:]
    return page


def _stopped(page):
    """Whether the kernel is idle and no cell waits for it, as after one that raised."""
    prompts = page.locator(".jp-Notebook .jp-InputPrompt").all_inner_texts()
    return page.get_by_text(IDLE).count() > 0 and not any("*" in text for text in prompts)


def _done(page):
    """Whether the kernel is idle and every cell that is drawn has been executed."""
    prompts = page.locator(".jp-Notebook .jp-InputPrompt").all_inner_texts()
    shown = [prompt.strip() for prompt in prompts if prompt.strip()]
    executed = [bool(re.fullmatch(r"\[\d+\]:", prompt)) for prompt in shown]
    return page.get_by_text(IDLE).count() > 0 and bool(executed) and all(executed)


@pytest.mark.parametrize("lab", ["JupyterLab Light"], indirect=True)
def test_a_twin_opens_as_a_notebook(lab, chromium):
    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"{lab}lab")
    page.get_by_text("02_ppo.py", exact=True).dblclick(timeout=1000 * PATIENCE)
    title = page.locator(".jp-Notebook h1", has_text="02 Reinforcement learning")
    title.wait_for(timeout=1000 * PATIENCE)
    page.get_by_text(IDLE).wait_for(timeout=1000 * PATIENCE)
