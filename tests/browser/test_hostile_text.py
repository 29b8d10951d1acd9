"""Text of a model runs nothing in a reader's browser, in a notebook or on the page."""

from __future__ import annotations

import pytest
from nbclient import NotebookClient
from nbformat import v4, write

from eta_utils.report.page import render_notebook
from tests.analysis.markup import MARKUP, displays, hostile_outcome
from tests.conftest import ROOT

DISPLAYS = ["code", "program", "trace", "pair", "table", "folded"]
CELLS = [
    "from tests.analysis.markup import displays, hostile_outcome, hostile_text",
    "outcome = hostile_outcome()",
    *[f"displays(outcome)[{name!r}]()" for name in DISPLAYS],
    "print(hostile_text())",
    "hostile_text()",
    "raise ValueError(hostile_text())",
]


@pytest.fixture(scope="module")
def notebook():
    """Executed for real, so the outputs are those that JupyterLab shows."""
    cells = [v4.new_code_cell(text) for text in CELLS]
    made = v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(made, timeout=300, allow_errors=True, resources=resources).execute()
    errors = [out for cell in cells for out in cell.outputs if out.output_type == "error"]
    assert [error.ename for error in errors] == ["ValueError"]
    return made


@pytest.fixture
def visited(chromium):
    """Open a page with scripts on; returns it with all that it asked for."""
    context = chromium.new_context(java_script_enabled=True)
    page = context.new_page()
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))

    def visit(path):
        page.goto(path.as_uri(), wait_until="load")
        page.wait_for_timeout(500)  # milliseconds; an image that fails takes a moment
        return page

    yield visit
    context.close()


def harm(page):
    """What ran, and what was asked for over a network."""
    others = [url for url in page.asked if not url.startswith(("file:", "data:"))]
    return page.evaluate("window.hit"), others


def test_every_display_of_a_program_is_tried():
    assert set(displays(hostile_outcome())) == set(DISPLAYS)


def test_this_browser_runs_the_markup_where_nothing_escapes_it(visited, tmp_path):
    """Or the tests below would show nothing."""
    for number, text in enumerate(MARKUP[:3]):
        path = tmp_path / f"{number}.html"
        path.write_text(f"<!doctype html><body>{text}", encoding="utf-8")
        hit, asked = harm(visited(path))
        assert hit == 1 or asked


def test_in_a_notebooks_outputs_nothing_runs_and_nothing_is_fetched(
    notebook, visited, tmp_path
):
    """As HTML without any policy: JupyterLab shows these with the user's rights."""
    outputs = [
        out.data["text/html"]
        for cell in notebook.cells
        for out in cell.outputs
        if "text/html" in out.get("data", {})
    ]
    assert len(outputs) >= 6
    path = tmp_path / "outputs.html"
    body = "<hr>".join(outputs)
    path.write_text(f"<!doctype html><meta charset=utf-8><body>{body}", encoding="utf-8")
    page = visited(path)
    assert harm(page) == (None, [])
    assert page.url == path.as_uri()
    text = page.locator("body").inner_text()
    assert all(part[:40] in text for part in MARKUP if "\\" not in part)


def test_on_the_rendered_page_nothing_runs_and_nothing_is_fetched(
    notebook, visited, tmp_path
):
    write(notebook, tmp_path / "hostile.ipynb")
    page = visited(render_notebook(tmp_path / "hostile.ipynb"))
    assert harm(page) == (None, [])
    for name in ("script", "iframe", "form", "base", "object", "embed", "link", "video"):
        assert page.locator(f"body {name}").count() == 0, name
    assert page.locator("body").is_visible()


def test_the_pages_policy_alone_stops_what_an_escape_would_let_through(
    notebook, visited, tmp_path
):
    """The second line of defence: the same markup, raw in the page."""
    write(notebook, tmp_path / "hostile.ipynb")
    path = render_notebook(tmp_path / "hostile.ipynb")
    text = path.read_text(encoding="utf-8")
    harmless = [part for part in MARKUP if "refresh" not in part]  # no policy covers it
    path.write_text(text.replace("</body>", "".join(harmless) + "</body>"), "utf-8")
    page = visited(path)
    assert harm(page) == (None, [])
