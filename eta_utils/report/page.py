"""A run as one HTML page that needs no network, no script and no other file.

>>> render(Path("outputs/small"))               # outputs/small/report.html
>>> render_notebook(Path("outputs/small/seed0/02_ppo.ipynb"))      # beside it: .html

The page starts with the outputs of 04's cells tagged `summary`.  The rest of 04 follows,
then the notebooks of the run's first seed, the times, and the provenance of the numbers.
Nothing is executed: for a notebook that was never executed, a sentence says so.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, tostring

import jinja2
import nbformat
from bs4 import BeautifulSoup
from latex2mathml.converter import convert_to_element
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
_SUMMARY = "summary"  # the tag of cells that show the answer
_PAPERMILL_BANNER = "papermill-error-cell-tag"  # the page has its own note on a failure
_PROGRESS = re.compile(r"(?P<work>.*?)\d+/\d+.* left$")
_WIDGET = "application/vnd.jupyter.widget-view+json"
_SIGNS = ("+", "\N{MINUS SIGN}")
_OPERATORS = (*_SIGNS, "\N{MULTIPLICATION SIGN}", *"([{,;=<>≤≥≈→")
_THIN_SPACE = "0.167em"  # TeX's, 3/18 em
_PARTIAL = (
    "The last execution did not reach the end of this notebook. What follows is incomplete "
    "or from an earlier execution."
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

    An executed notebook is linked if it lies beside the page; otherwise it is only named.
    Raises BadInput when one of the run's records is malformed.
    """
    record, page = recorded(run_folder), page or run_folder / "report.html"
    record["links"] = [file for file in record["files"] if (page.parent / file).exists()]
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
    """The outputs of the analysis' cells tagged `summary`, without their code."""
    if not analysis.exists():
        return Markup()
    notebook = _read(analysis, alone=False)
    notebook.cells = [cell for cell in notebook.cells if _SUMMARY in _tags(cell)]
    for cell in notebook.cells:
        cell.source = ""
    return Markup(_exporter().from_notebook_node(notebook)[0])


def _read_chapter(path: Path, alone: bool = False) -> Chapter:
    """A notebook as a chapter among others, or `alone`, as the full record of a failure."""
    notebook = _read(path, alone)
    for cell in notebook.cells:
        if _SUMMARY in _tags(cell) and not alone:
            cell.outputs = []  # they are at the top of the page
    body, _ = _exporter().from_notebook_node(notebook)
    others = () if alone else (*EACH_SEED, LAST)
    return _as_chapter(BeautifulSoup(body, "html.parser"), path.stem, others)


def _read(path: Path, alone: bool) -> nbformat.NotebookNode:
    """A notebook with the outputs that a static page can show; every image has a text."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _shown(output, alone)]
            for output in cell.outputs:
                _describe_images(output, cell)
    return notebook


def _tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def _shown(output: nbformat.NotebookNode, keep_stderr: bool) -> bool:
    """Whether a static page can show an output.  Removes its script, if it has one."""
    if output.output_type == "stream":
        return keep_stderr or output.name != "stderr"
    if "data" not in output:
        return True
    output.data.pop("application/javascript", None)
    return bool(output.data) and _WIDGET not in output.data


def _describe_images(output: nbformat.NotebookNode, cell: nbformat.NotebookNode) -> None:
    """Set each image's alternative text: the output's own, the cell's, or its repr."""
    for mime_type in output.get("data", {}):
        if mime_type.startswith("image/"):
            own = output.metadata.get(mime_type, {}).get("alt")
            own = own or output.metadata.get("alt")
            text = own or cell.metadata.get("alt") or output.data.get("text/plain")
            output.metadata[mime_type] = {"alt": text or "a figure without description"}


class _Exporter(HTMLExporter):
    """nbconvert's, with formulas as MathML: the page must not need MathJax, a script."""

    @jinja2.pass_context
    def markdown2html(self, context: jinja2.runtime.Context, source: str) -> str:
        renderer = _Renderer(escape=False, exclude_anchor_links=True)
        renderer.attachments = context["cell"].get("attachments", {})
        return MarkdownWithMath(renderer=renderer).render(source)


class _Renderer(IPythonRenderer):
    def block_math(self, body: str) -> str:
        return f'<span class="formula" tabindex="0">{_formula(body, "block")}</span>'

    def inline_math(self, body: str) -> str:
        return _formula(body, "inline")


@functools.cache
def _formula(tex: str, display: str) -> str:
    """A formula as MathML, or its TeX where latex2mathml cannot translate it.

    `display` is "inline" or "block".
    """
    try:
        formula = convert_to_element(tex, display=display)
    except Exception:  # its errors have no base class of their own
        return _tex(tex)
    for part in formula.iter():
        # Symbols are character references, such as "&#x003B8;", which latex2mathml resolves
        # after serialising.  Resolved before, what a formula quotes cannot become markup.
        part.text = html.unescape(part.text or "")
        if part.text.startswith("\\"):  # an unknown command becomes an identifier
            return _tex(tex)
    for row in formula.iter("mrow"):
        _space(row)
    # HTML has no short form of empty elements.
    return tostring(formula, encoding="unicode", short_empty_elements=False)


def _tex(tex: str) -> str:
    return f"<code>{html.escape(tex)}</code>"


def _space(row: Element) -> None:
    """Space functions and signs as TeX does: `a log b`, `min(a, b)`, `= -a`.

    Without this, browsers set `log b` without a space, `min (a, b)` with one, and the sign
    of `= -a` as wide as a subtraction.
    """
    before = None
    for part, after in zip_longest(row, row[1:]):
        no_operand = before is None or before.text in _OPERATORS
        if part.text.isalpha() and len(part.text) > 1 and part.tag in ("mi", "mo"):
            part.tag = "mo"  # only operators have space around them
            applied = after is not None and after.text == "("
            part.set("lspace", "0" if no_operand else _THIN_SPACE)
            part.set("rspace", "0" if applied else _THIN_SPACE)
        elif part.text in _SIGNS and no_operand:
            part.set("form", "prefix")
        before = part


def _last_of_progress(text: str) -> str:
    """Of successive lines on the same work ("SFT step 2/6, ... left"), keep the last."""
    kept: list[str] = []
    previous = None
    for line in text.splitlines():
        progress = _PROGRESS.match(line)
        if progress and previous and progress["work"] == previous["work"]:
            kept.pop()
        kept.append(line)
        previous = progress
    return "\n".join(kept)


@functools.cache
def _exporter() -> HTMLExporter:
    config = Config()
    config.CoalesceStreamsPreprocessor.enabled = True
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = {"remove-cell", _PAPERMILL_BANNER}
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
    """Move headings one level down, below the page's, and give them unique ids; turn links
    to `others` and to headings into links within the page."""
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
