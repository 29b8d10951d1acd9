"""The report: what it holds, what it must not hold, and that it needs nothing else."""

from __future__ import annotations

import base64
import json
import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import v4

from eta_utils.analysis.figures import traces
from eta_utils.cli import main
from eta_utils.execution import judge
from eta_utils.report.page import EACH_SEED, LAST, render, render_notebook
from tests.conftest import ADD, ROOT

PIXEL = base64.b64encode(b"not really a picture").decode()
WIDGET = "application/vnd.jupyter.widget-view+json"


def data(**kinds):
    mime_types = {"html": "text/html", "plain": "text/plain", "png": "image/png"}
    bundle = {mime_types.get(kind, kind): value for kind, value in kinds.items()}
    return v4.new_output("display_data", bundle)


def stream(text, name="stdout"):
    return v4.new_output("stream", name=name, text=text)


def code(source, *outputs, **metadata):
    cell = v4.new_code_cell(source, metadata=metadata, execution_count=1)
    cell.outputs = list(outputs)
    return cell


def write(path, *cells, **metadata):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=list(cells), metadata=metadata), path)
    return path


@pytest.fixture
def show(tmp_path):
    """A function from cells to their page: its text, and parsed."""

    def rendered(*cells, **metadata):
        path = render_notebook(write(tmp_path / "01_sft.ipynb", *cells, **metadata))
        return path.read_text(), BeautifulSoup(path.read_text(), "html.parser")

    return rendered


@pytest.fixture
def run(tmp_path):
    """A run of two seeds whose notebooks were executed to their end."""
    folder = tmp_path / "outputs" / "warm"
    names = [f"seed{seed}/{name}" for seed in (0, 1) for name in EACH_SEED]
    for name in (LAST, *names):
        text = f"# Title of {name}\n\nSee [there](03_eta_dpo.ipynb), [here](#The-data).\n"
        head = v4.new_markdown_cell(text + "\n## The data\n\n### Detail")
        write(folder / f"{name}.ipynb", head, code("x = 1"))
    seconds = dict.fromkeys([*names, LAST], 2.5)
    record = {"command": "python -m eta_utils run --run warm", "seeds": [0, 1]}
    (folder / "run.json").write_text(json.dumps(record | {"seconds": seconds}))
    (folder / "study.json").write_text('{"profile": "smoke", "sft_learning_rate": 3e-05}')
    machine = {"recorded": "2030-01-02 03:04:05", "commit": "c0ffee" * 6, "cores": 1}
    machine |= {"uncommitted changes": True, "gpu": None, "packages": {"torch": "2.13"}}
    (folder / "environment.json").write_text(json.dumps(machine))
    return folder


def page_of(folder):
    return BeautifulSoup(render(folder).read_text(), "html.parser")


def tagged(tag, text, *outputs):
    """A heading and the output of a cell of code, both tagged."""
    head = v4.new_markdown_cell(f"## {text}", metadata={"tags": [tag]})
    return head, code(f"show({text!r})", *(outputs or [stream(text.upper())]), tags=[tag])


def write_lead(run):
    title = v4.new_markdown_cell("# The end")
    cells = [*tagged("summary", "Table"), code("rest", stream("the rest"))]
    write(run / f"{LAST}.ipynb", title, *tagged("abstract", "Short"), *cells)
    write(run / "seed0" / "03_eta_dpo.ipynb", title, *tagged("exhibit", "Pair"))
    return page_of(run)


def test_everything_but_the_lead_is_folded_away_behind_it(run):
    page = page_of(run)
    assert [heading.text for heading in page.find_all("h2")] == ["Everything else"]
    folds = page.select("details.chapter")
    assert not any(fold.has_attr("open") for fold in folds)
    assert [" ".join(fold.summary.text.split()) for fold in folds] == [
        "Title of 04_analysis (all 2 seeds)",
        "Title of seed0/01_sft (seed 0 alone, one of 2)",
        "Title of seed0/02_ppo (seed 0 alone, one of 2)",
        "Title of seed0/03_eta_dpo (seed 0 alone, one of 2)",
        "Where the time went",
        "Where the numbers come from (command, machine, parameters)",
    ]
    top = page.header.text
    for word in ("warm", "smoke", "0 1", "2030-01-02", "c0ffee", "with uncommitted"):
        assert word in top
    text = page.main.text
    for word in ("python -m eta_utils run --run warm", "3e-05", "2.13", "none found"):
        assert word in text


def test_the_lead_has_the_abstract_then_the_exhibit_then_the_tables(run):
    page = write_lead(run)
    lead = page.select_one(".lead")
    assert lead.text.split() == ["Short", "SHORT", "Pair", "PAIR", "Table", "TABLE"]
    assert [heading.name for heading in lead.find_all(["h1", "h2", "h3"])] == ["h2"] * 3
    assert [link.text for link in page.nav.find_all("a")][:3] == ["Short", "Pair", "Table"]


def test_what_the_lead_shows_is_not_shown_again_but_its_code_is(run):
    page = write_lead(run)
    assert page.text.count("SHORT") == page.text.count("PAIR") == 1
    chapters = " ".join(fold.text for fold in page.select("details.chapter"))
    assert "show('Short')" in chapters and "show('Pair')" in chapters
    assert "the rest" in chapters


def test_a_run_of_one_seed_says_which_in_its_chapters(run):
    (run / "run.json").write_text('{"command": "c", "seeds": [1], "seconds": {}}')
    summaries = [fold.summary.text for fold in page_of(run).select("details.chapter")]
    assert "(seed 1)" in summaries[1] and "(" not in summaries[0]


def test_a_page_that_travels_alone_names_its_notebooks_without_a_link(run, tmp_path):
    page = BeautifulSoup(render(run, tmp_path / "alone.html").read_text(), "html.parser")
    assert "seed1/03_eta_dpo.ipynb" in page.text
    assert not [a for a in page.find_all("a") if not a["href"].startswith("#")]


def test_every_link_leads_somewhere(run):
    page = page_of(run)
    ids = [element["id"] for element in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    links = [link["href"] for link in page.find_all("a", href=True)]
    assert len(page.nav.find_all("a")) == 4 + 2
    for link in links:
        assert link[1:] in ids if link.startswith("#") else (run / link).exists(), link
    assert "#03_eta_dpo" in links
    assert "seed1/03_eta_dpo.ipynb" in links


def test_an_interrupted_run_is_reported_with_what_is_missing(run):
    (run / "seed0" / "03_eta_dpo.ipynb").unlink()
    (run / f"{LAST}.ipynb").unlink()
    record = json.loads((run / "run.json").read_text())
    del record["seconds"]["seed0/02_ppo"]
    (run / "run.json").write_text(json.dumps(record))
    page = page_of(run)
    notes = [note.text for note in page.select(".note")]
    assert len(notes) == 3
    assert sum("was not executed" in note for note in notes) == 2
    assert sum("did not reach the end" in note for note in notes) == 1
    assert {link["href"] for link in page.nav.find_all("a")} >= {"#03_eta_dpo", f"#{LAST}"}


def test_notebooks_executed_by_hand_are_reported_too(run):
    (run / "run.json").unlink()
    (run / "environment.json").unlink()
    text = page_of(run).text
    assert "No command was recorded" in text
    assert "not recorded" in text
    assert "Title of seed0/02_ppo" in text
    assert "did not reach" not in text


def test_the_command_renders_a_run_again(run, capsys):
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"report {run / 'report.html'}\n"
    (run / "run.json").write_text("[")
    assert main(["report", str(run)]) == 2
    assert "run.json, line 1: is not JSON" in capsys.readouterr().err


def test_nothing_is_fetched_and_no_script_runs(run, show):
    widget = {WIDGET: {"model_id": "1"}, "text/plain": "HBox(children=...)"}
    text, single = show(
        v4.new_markdown_cell("$$\\frac{1}{2}$$ and $\\beta$"),
        code("plot()", data(png=PIXEL, plain="<Figure size 7x4>")),
        code("bar()", v4.new_output("display_data", widget)),
        code("js()", data(**{"application/javascript": "alert(1)"})),
        widgets={"state": "s"},
    )
    assert "HBox" not in text
    assert "widget" not in text
    assert "alert" not in text
    for page in (single, page_of(run)):
        assert page.find(["script", "link", "iframe", "object", "embed"]) is None
        sources = [element["src"] for element in page.find_all(src=True)]
        assert all(source.startswith("data:image/") for source in sources)
        assert "url(" not in page.style.text
        assert "@import" not in page.style.text
        policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
        assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("name", EACH_SEED)
def test_every_formula_of_the_notebooks_is_mathml(show, name):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    source = "\n\n".join(cell.source for cell in cells)
    displayed = re.findall(r"\$\$[^$]+\$\$", source)
    inline = re.findall(r"(?<!\$)\$[^$]+\$(?!\$)", source)
    _, page = show(*cells)
    assert len(page.find_all("math", display="block")) == len(displayed) > 0
    assert len(page.find_all("math", display="inline")) == len(inline) > 0
    assert "$" not in page.main.text
    assert "\\" not in page.main.text  # no command was left as it is
    assert all(formula.text.strip() for formula in page.find_all("math"))


def formulas(show, *sources):
    _, page = show(v4.new_markdown_cell(" ".join(f"${tex}$" for tex in sources)))
    return page.article


def test_a_formula_says_what_its_tex_says(show):
    page = formulas(show, r"\frac{a}{b} < \pi_\theta")
    [fraction], [subscript] = page.find_all("mfrac"), page.find_all("msub")
    assert [part.text for part in fraction.find_all("mi")] == ["a", "b"]
    assert [part.text for part in subscript.find_all("mi")] == ["π", "θ"]
    assert page.math.text == "ab<πθ"


@pytest.mark.parametrize("tex", [r"\nonsense{x}", r"x + \nonsense", "x^", r"\left( x"])
def test_a_formula_that_cannot_be_translated_is_shown_as_tex(show, tex):
    page = formulas(show, tex)
    assert page.code.text == tex
    assert page.math is None


def test_what_a_formula_quotes_stays_text(show):
    page = formulas(show, r"\text{<b>1</b>}", r"\color{red\"><b>}x", r"\nonsense{<b>}")
    assert page.find("b") is None
    assert page.math.text == "<b>1</b>"


def test_functions_and_signs_are_spaced_as_in_tex(show):
    """TeXbook, chapter 18: a thin space between a function and an operand, none before
    a parenthesis; a minus with nothing to its left is a sign."""
    page = formulas(show, r"a \log b = -\min(c) - d")
    log, equals, sign, minimum, *_, minus = page.find_all("mo")
    assert (log.text, log["lspace"], log["rspace"]) == ("log", "0.167em", "0.167em")
    assert (minimum.text, minimum["lspace"], minimum["rspace"]) == ("min", "0", "0")
    assert sign.text == minus.text == "\N{MINUS SIGN}"
    assert sign["form"] == "prefix"
    assert not minus.has_attr("form") and not equals.has_attr("form")


def test_what_a_model_wrote_stays_text(show):
    hostile = "</pre><script>alert(1)</script><b>bold</b>"
    error = v4.new_output("error", ename="E", evalue=hostile, traceback=[hostile])
    text, page = show(
        code(f"'{hostile}'", stream(hostile), data(plain=hostile), error),
        code("plot()", data(png=PIXEL, plain='"><script>alert(2)</script>')),
    )
    assert "<script" not in text
    assert page.find("b") is None
    assert page.text.count(hostile) == 4


def test_streams_are_joined_bars_reduced_and_stderr_dropped(run):
    bar = "".join(f"\rstep {n}" for n in range(50))
    outputs = stream("begin\n"), stream("warning\n", "stderr"), stream(bar), stream("\nend")
    write(run / f"{LAST}.ipynb", code("train()", *outputs))
    page = page_of(run)
    assert page.select(".outputs")[0].text.strip() == "begin\nstep 49\nend"
    assert "warning" not in page.text


def test_progress_lines_are_reduced_to_the_last_one(show):
    first = "".join(f"SFT step {n}/3, loss 0.1, {3 - n} s left\n" for n in (1, 2, 3))
    second = "".join(f"update {n}/2: score 0, 0:00:0{n} left\n" for n in (1, 2))
    _, page = show(code("train()", stream("begin\n" + first), stream(second + "end\n")))
    assert page.select(".outputs")[0].text.strip().splitlines() == [
        "begin",
        "SFT step 3/3, loss 0.1, 0 s left",
        "update 2/2: score 0, 0:00:02 left",
        "end",
    ]


def test_a_failure_is_shown_with_its_code_and_its_stderr(show):
    error = v4.new_output("error", ename="E", evalue="v", traceback=["\x1b[31mE\x1b[0m: v"])
    banner = v4.new_markdown_cell("big", metadata={"tags": ["papermill-error-cell-tag"]})
    text, page = show(banner, code("a"), code("b", stream("why\n", "stderr"), error))
    first, second = page.select("details.code")
    assert not first.has_attr("open")
    assert second.has_attr("open")
    assert page.select(".stderr")[0].text == "why\n"
    assert page.select(".error")[0].text.strip() == "E: v"
    assert "big" not in text
    assert "did not reach the end" in text


def test_tags_hide_code_or_cells(show):
    _, page = show(
        code("shown = 1", stream("one"), tags=["parameters"]),
        code("hidden = 2", stream("two"), tags=["hide-input"]),
        code("gone = 3", stream("three"), tags=["remove-cell"]),
        code("", stream("four")),
    )
    assert [cell.pre.text.strip() for cell in page.select("details.code")] == ["shown = 1"]
    outputs = [output.text.strip() for output in page.select(".outputs")]
    assert outputs == ["one", "two", "four"]


def test_an_image_is_described_by_itself_else_its_cell_else_its_repr(show):
    def figure(**metadata):
        bundle = {"image/png": PIXEL, "text/plain": "<Figure>"}
        return v4.new_output("display_data", bundle, metadata=metadata)

    _, page = show(
        code("a", figure(**{"image/png": {"alt": "own"}}), alt="of the cell"),
        code("b", figure(alt="general"), alt="of the cell"),
        code("c", figure(), alt="of the cell"),
        code("d", figure()),
        code("e", data(png=PIXEL)),
    )
    assert [image["alt"] for image in page.find_all("img")] == [
        "own",
        "general",
        "of the cell",
        "<Figure>",
        "a figure without description",
    ]


def table_of(*names, cell="1"):
    head = "".join(f"<th>{name}</th>" for name in names)
    cells = f"<td>{cell}</td>" * len(names)
    return f"<table><thead><tr>{head}</tr></thead><tbody><tr>{cells}</tr></tbody></table>"


def test_each_cell_says_its_column_where_a_row_becomes_a_card(show):
    text = v4.new_markdown_cell("| a | b |\n|---|---|\n| 1 | 2 |")
    _, page = show(text, code("frame", data(html=table_of("c", "d"))))
    cells = page.select("table td")
    assert [cell["data-label"] for cell in cells] == ["a", "b", "c", "d"]
    assert all("short" in cell["class"] for cell in cells)


@pytest.mark.parametrize(
    ("columns", "cell", "kind"),
    [
        (2, "1", "small"),
        (8, "0.123", "medium"),
        (5, "0.123 [0.100, 0.146]", "wide"),
        (6, "0.123 [0.100, 0.146]", "large"),
        (9, "0.123 [0.100, 0.146]", "vast"),
        (2, "words " * 50, "medium"),
    ],
)
def test_a_table_is_as_wide_as_its_columns_need(show, columns, cell, kind):
    names = [f"c{number}" for number in range(columns)]
    _, page = show(code("frame", data(html=table_of(*names, cell=cell))))
    assert kind in page.table["class"]
    # A box that may scroll can be reached with the keyboard.
    assert page.table.parent.has_attr("tabindex") == (kind != "small")


def test_a_program_keeps_its_indent(show):
    """nbconvert's Beautiful Soup makes one space of the four before a coloured word."""
    body = "    return a + b\n"
    [outcome] = judge([{"task_id": "add", "completion": body}], {"add": ADD}, cache=False)
    viewer = traces.pair_page(ADD, outcome, outcome)
    _, page = show(code("pair()", data(html=viewer)))
    lines = [line.text for line in page.select(".pair pre")]
    assert lines == ["def add(a, b):", "    return a + b"] * 2


def test_folds_of_code_are_told_apart_by_what_they_are_about(show):
    _, page = show(
        v4.new_markdown_cell("# Title\n\n## The data"), code("1"), code("2"),
        v4.new_markdown_cell("## The end"), code("3"),
    )  # fmt: skip
    names = [fold.summary.text for fold in page.select("details.code")]
    assert names == ["code: The data", "code: The data (2)", "code: The end"]


def test_a_notebook_without_a_title_goes_by_its_file_name(show):
    _, page = show(v4.new_markdown_cell("## Only a section"), code("1"))
    chapter = page.find("details", id="01_sft")
    assert chapter.has_attr("open") and chapter.summary.text == "01_sft"
