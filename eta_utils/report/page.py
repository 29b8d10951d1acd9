"""A run as one HTML page that needs no network, no script and no other file.

>>> render(Path("outputs/small"))               # outputs/small/report.html
>>> render_notebook(Path("outputs/small/seed0/02_ppo.ipynb"))      # beside it: .html

What is read in three minutes comes first: the cells of `LEAD`.  Everything else is folded
away behind it: the rest of 04, the notebooks of the run's first seed, the times, and the
provenance of the numbers.  Another chapter is another name in `EACH_SEED`; what it has for
the first three minutes is another pair in `LEAD`.

Nothing is executed: for a notebook that was never executed, a sentence says so.
"""

from __future__ import annotations

import functools
import html
import re
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
from eta_utils.report.layout import (
    WIDTHS,
    Heading,
    fit_tables,
    link_within,
    name_folds,
    number_headings,
)
from eta_utils.report.provenance import recorded

EACH_SEED = ("01_sft", "02_ppo", "03_eta_dpo")
LAST = "04_analysis"
# Whose cells, by tag, make the beginning of the page, in this order.  In their own chapter
# these cells have no outputs.
LEAD = ((LAST, "abstract"), ("03_eta_dpo", "exhibit"), (LAST, "summary"))

_TEMPLATES = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
_CODE_STYLE = "xcode"  # pygments'; its colours have enough contrast to be read by all
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


class Chapter(NamedTuple):
    """A notebook in the page, or what the page begins with."""

    anchor: str
    title: str
    headings: list[Heading] = []
    body: Markup = Markup()
    note: str = ""
    about: str = ""


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
        lead=_lead(run_folder, {Path(name).name: name for name in (LAST, *first)}),
        chapters=[_chapter(run_folder, name, record) for name in (LAST, *first)],
        record=record,
    )


def render_notebook(path: Path) -> Path:
    """Write a notebook that stopped early as HTML beside it; return the page's path."""
    chapter = _read_chapter(path, alone=True)._replace(note=_PARTIAL)
    return _write(path.with_suffix(".html"), title=path.stem, lead=None, chapters=[chapter])


def _write(path: Path, **content: object) -> Path:
    page = _environment().get_template("report.html.j2")
    with write_whole(path) as file:
        file.write(page.render(content, style=_style()))
    return path


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(loader=_TEMPLATES, autoescape=True, trim_blocks=True)


@functools.cache
def _style() -> Markup:
    windows = {kind: width.window for kind, width in WIDTHS.items() if width.window}
    rules = _environment().get_template("report.css.j2").render(windows=windows)
    code = HtmlFormatter(style=_CODE_STYLE).get_style_defs(".highlight")
    return Markup(rules + code)


def _chapter(run_folder: Path, name: str, record: dict) -> Chapter:
    path = run_folder / f"{name}.ipynb"
    about = _about(name, record)
    if not path.exists():
        note = "This notebook was not executed: the run ended before it."
        return Chapter(path.stem, path.stem, note=note, about=about)
    chapter = _read_chapter(path)._replace(about=about)
    if record["command"] and name not in record["seconds"]:
        return chapter._replace(note=_PARTIAL)
    return chapter


def _about(name: str, record: dict) -> str:
    """Which seeds a chapter shows."""
    count = len(record["kept seeds"])
    if name == LAST:
        return f"all {count} seeds" if count > 1 else ""
    seed = Path(name).parent.name.removeprefix("seed")
    return f"seed {seed} alone, one of {count}" if count > 1 else f"seed {seed}"


def _lead(run_folder: Path, names: dict[str, str]) -> Chapter | None:
    """The outputs and texts of the cells of `LEAD`, without their code."""
    cells, first = [], None
    for name, tag in LEAD:
        path = run_folder / f"{names.get(name, name)}.ipynb"
        if path.exists():
            notebook = _read(path, alone=False)
            first = first or notebook
            cells += [cell for cell in notebook.cells if tag in _tags(cell)]
    if not cells:
        return None
    for cell in cells:
        if cell.cell_type == "code":
            cell.source = ""
    first.cells = cells
    soup = BeautifulSoup(_exporter().from_notebook_node(first)[0], "html.parser")
    _, headings = number_headings(soup, "lead", top=1)
    link_within(soup, {f"{name}.ipynb": name for name in (*EACH_SEED, LAST)})
    fit_tables(soup)
    return Chapter("lead", "", headings, Markup(str(soup)))


def _read_chapter(path: Path, alone: bool = False) -> Chapter:
    """A notebook as a chapter among others, or `alone`, as the full record of a failure."""
    notebook = _read(path, alone)
    if not alone:
        notebook.cells = [cell for cell in notebook.cells if not _only_in_lead(path, cell)]
    soup = BeautifulSoup(_exporter().from_notebook_node(notebook)[0], "html.parser")
    title, headings = number_headings(soup, path.stem, top=2)
    others = () if alone else (*EACH_SEED, LAST)
    targets = {f"{other}.ipynb": other for other in others}
    link_within(soup, targets | {_fragment(title): path.stem})
    link_within(soup, {_fragment(text): anchor for anchor, text in reversed(headings)})
    name_folds(soup)
    fit_tables(soup)
    # Its title is that of the fold that it lies in.
    if (top := soup.find(id=path.stem)) is not None:
        top.decompose()
    return Chapter(path.stem, title or path.stem, headings, Markup(str(soup)))


def _fragment(title: str) -> str:
    """A link to a heading, as JupyterLab has it."""
    return "#" + title.replace(" ", "-")


def _only_in_lead(path: Path, cell: nbformat.NotebookNode) -> bool:
    """Whether nothing is left of a cell.  Of a cell of code, the code is."""
    tags = [tag for name, tag in LEAD if name == path.stem]
    if not set(tags) & set(_tags(cell)):
        return False
    cell.outputs = []
    return cell.cell_type != "code"


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
