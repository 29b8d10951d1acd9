"""A run as one HTML page that needs no network, no script and no other file.

>>> render(Path("outputs/small"))               # outputs/small/report.html
>>> render_notebook(Path("outputs/small/seed0/02_ppo.ipynb"))      # beside it: .html

What 04's cells tagged `summary` show comes first, then the rest of 04, the notebooks of the
run's first seed, where the time went, and where the numbers come from.

Leaves out: executing anything; a notebook that is missing is a sentence that says so.
"""

from __future__ import annotations

import base64
import functools
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import nbformat
from bs4 import BeautifulSoup
from markupsafe import Markup
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from eta_utils.common.files import write_whole
from eta_utils.report.provenance import recorded

EACH_SEED = ("01_sft", "02_ppo", "03_eta_dpo")
LAST = "04_analysis"

_TEMPLATES = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
_INLINE, _DISPLAYED = 13, 16  # points: the first is the size of the text around
_RED_BANNER = "papermill-error-cell-tag"  # its words about a failure; the page has its own
_PROGRESS = re.compile(r"(?P<what>.*?)\d+/\d+.* left$")
_SUMMARY = "summary"  # a tag
_WIDGET = "application/vnd.jupyter.widget-view+json"
_PARTIAL = (
    "The last execution did not reach the end of this notebook: what follows is as far as "
    "it got, or older."
)


class Heading(NamedTuple):
    """An entry of the table of contents."""

    anchor: str
    title: str


class Chapter(NamedTuple):
    """A notebook in the page."""

    anchor: str
    title: str
    has_title: bool = False
    headings: list[Heading] = []
    body: Markup = Markup()
    note: str = ""


def render(run_folder: Path, page: Path | None = None) -> Path:
    """Write a run's `report.html`, or another `page`, and return its path.

    Executed notebooks that do not lie beside the page are named and not linked.
    Raises BadInput when one of the run's records is not what it should be.
    """
    record, page = recorded(run_folder), page or run_folder / "report.html"
    record["links"] = [each for each in record["files"] if (page.parent / each).exists()]
    first = [f"seed{seed}/{name}" for seed in record["seeds"][:1] for name in EACH_SEED]
    return _write(
        page,
        title=f"Execution-Trace Alignment: run {run_folder.name}",
        summary=_summary(run_folder / f"{LAST}.ipynb"),
        chapters=[_chapter(run_folder, name, record) for name in (LAST, *first)],
        record=record,
    )


def render_notebook(path: Path) -> Path:
    """Write a notebook that stopped early as HTML beside it; return the page's path."""
    chapter = _read_chapter(path, alone=True)._replace(note=_PARTIAL)
    return _write(path.with_suffix(".html"), title=path.stem, chapters=[chapter])


def _write(path: Path, **content: object) -> Path:
    page = _environment().get_template("report.html.j2")
    with write_whole(path) as file:
        file.write(page.render(content, style=_style()))
    return path


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(loader=_TEMPLATES, autoescape=True, trim_blocks=True)


def _style() -> Markup:
    source, _, _ = _TEMPLATES.get_source(_environment(), "report.css")
    return Markup(source + HtmlFormatter(style="default").get_style_defs(".highlight"))


def _chapter(run_folder: Path, name: str, record: dict) -> Chapter:
    path = run_folder / f"{name}.ipynb"
    if not path.exists():
        note = "This notebook was not executed: the run ended before it."
        return Chapter(path.stem, path.stem, note=note)
    chapter = _read_chapter(path)
    if record["command"] and name not in record["seconds"]:
        return chapter._replace(note=_PARTIAL)
    return chapter


def _summary(analysis: Path) -> Markup:
    """What the analysis' cells tagged `summary` show."""
    if not analysis.exists():
        return Markup()
    notebook = _read(analysis, alone=False)
    notebook.cells = [cell for cell in notebook.cells if _SUMMARY in _tags(cell)]
    for cell in notebook.cells:
        cell.source = ""
    return Markup(_exporter().from_notebook_node(notebook)[0])


def _read_chapter(path: Path, alone: bool = False) -> Chapter:
    """A notebook in a page with the others, or alone, as the whole story of a failure."""
    notebook = _read(path, alone)
    for cell in notebook.cells:
        if _SUMMARY in _tags(cell) and not alone:
            cell.outputs = []  # they stand at the top of the page
    body, _ = _exporter().from_notebook_node(notebook)
    others = () if alone else (*EACH_SEED, LAST)
    return _as_chapter(BeautifulSoup(body, "html.parser"), path.stem, others)


def _read(path: Path, alone: bool) -> nbformat.NotebookNode:
    """A notebook with those outputs that say something on paper, its images described."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if _shown(each, alone)]
            for output in cell.outputs:
                _describe_images(output, cell)
    return notebook


def _tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def _shown(output: nbformat.NotebookNode, keep_stderr: bool) -> bool:
    """Whether an output says something on paper; takes scripts away from those that do."""
    if output.output_type == "stream":
        return keep_stderr or output.name != "stderr"
    if "data" not in output:
        return True
    output.data.pop("application/javascript", None)
    return bool(output.data) and _WIDGET not in output.data


def _describe_images(output: nbformat.NotebookNode, cell: nbformat.NotebookNode) -> None:
    """Set each image's alternative text: the output's own, the cell's, or its repr."""
    for kind in output.get("data", {}):
        if kind.startswith("image/"):
            own = output.metadata.get(kind, {}).get("alt") or output.metadata.get("alt")
            text = own or cell.metadata.get("alt") or output.data.get("text/plain")
            output.metadata[kind] = {"alt": text or "a figure without description"}


class _Exporter(HTMLExporter):
    """nbconvert's, with formulas as pictures: the page may not run MathJax."""

    @jinja2.pass_context
    def markdown2html(self, context: jinja2.runtime.Context, source: str) -> str:
        renderer = _Renderer(escape=False, exclude_anchor_links=True)
        renderer.attachments = context["cell"].get("attachments", {})
        return MarkdownWithMath(renderer=renderer).render(source)


class _Renderer(IPythonRenderer):
    def block_math(self, body: str) -> str:
        return f'<p class="formula">{_formula(body, _DISPLAYED)}</p>'

    def inline_math(self, body: str) -> str:
        return _formula(body, _INLINE)


@functools.cache
def _formula(tex: str, points: int) -> str:
    """A picture of a formula that sits on the line; the TeX itself where that fails."""
    from matplotlib.font_manager import FontProperties  # a second, and few pages need it
    from matplotlib.mathtext import math_to_image

    picture, font = io.BytesIO(), FontProperties(size=points, math_fontfamily="stix")
    tex = " ".join(tex.split())
    text = html.escape(tex)
    try:
        depth = math_to_image(f"${tex}$", picture, font, format="svg")
    except ValueError:  # mathtext knows a part of TeX
        return f"<code>{text}</code>"
    data = base64.b64encode(picture.getvalue()).decode()
    return (
        f'<img class="formula" alt="{text}" style="vertical-align: {-depth:.1f}pt" '
        f'src="data:image/svg+xml;base64,{data}">'
    )


def _last_of_progress(text: str) -> str:
    """Of lines in a row that count the same work ("SFT step 2/6, ... left") the last."""
    kept: list[str] = []
    before = None
    for line in text.splitlines():
        counted = _PROGRESS.match(line)
        if counted and before and counted["what"] == before["what"]:
            kept.pop()
        kept.append(line)
        before = counted
    return "\n".join(kept)


@functools.cache
def _exporter() -> HTMLExporter:
    config = Config()
    config.CoalesceStreamsPreprocessor.enabled = True
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = {"remove-cell", _RED_BANNER}
    config.TagRemovePreprocessor.remove_input_tags = {"hide-input"}
    exporter = _Exporter(
        config=config,
        template_name="basic",
        template_file="chapter.html.j2",
        extra_loaders=[_TEMPLATES],
        exclude_anchor_links=True,
    )
    exporter.register_filter("last_of_progress", _last_of_progress)
    return exporter


def _as_chapter(soup: BeautifulSoup, name: str, others: Sequence[str]) -> Chapter:
    """Headings one level down, under the page's, with ids that no other chapter has."""
    top, headings, targets = None, [], {f"{other}.ipynb": other for other in others}
    for number, heading in enumerate(soup.find_all(["h1", "h2", "h3", "h4", "h5"])):
        title, level = heading.get_text().strip(), int(heading.name[1])
        anchor = f"{name}--{number}"
        if level == 1 and top is None:
            top, anchor = title, name
        elif level <= 2:
            headings.append(Heading(anchor, title))
        targets.setdefault("#" + title.replace(" ", "-"), anchor)
        heading["id"], heading.name = anchor, f"h{level + 1}"
    for link in soup.find_all("a", href=True):
        if link["href"] in targets:
            link["href"] = f"#{targets[link['href']]}"
    for table in soup.select(".prose table"):
        table.wrap(soup.new_tag("div", attrs={"class": "scroll", "tabindex": "0"}))
    return Chapter(name, top or name, top is not None, headings, Markup(str(soup)))
