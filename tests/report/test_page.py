"""The report: what it holds, what it must not hold, and that it needs nothing else."""

from __future__ import annotations

import base64
import json
import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import v4

from eta_utils.cli import main
from eta_utils.report.page import EACH_SEED, LAST, render, render_notebook
from tests.conftest import ROOT

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


def test_the_analysis_comes_first_then_the_first_seed_and_the_provenance(run):
    page = page_of(run)
    assert [heading.text for heading in page.find_all("h2")] == [
        "Title of 04_analysis",
        "Title of seed0/01_sft",
        "Title of seed0/02_ppo",
        "Title of seed0/03_eta_dpo",
        "Where the time went",
        "Where the numbers come from",
    ]
    top = page.header.text
    for word in ("warm", "smoke", "0 1", "2030-01-02", "c0ffee", "with uncommitted"):
        assert word in top
    text = page.main.text
    for word in ("python -m eta_utils run --run warm", "3e-05", "2.13", "none found"):
        assert word in text


def test_the_summary_is_at_the_top_and_only_there(run):
    answer = code("answer()", stream("forty-two"), tags=["summary"])
    write(run / f"{LAST}.ipynb", v4.new_markdown_cell("# The end"), answer)
    page = page_of(run)
    assert page.header.select_one(".summary").text.strip() == "forty-two"
    assert page.text.count("forty-two") == 1
    assert "answer()" in page.main.text  # its code stays in the chapter


def test_a_page_that_travels_alone_names_its_notebooks_without_a_link(run, tmp_path):
    page = BeautifulSoup(render(run, tmp_path / "alone.html").read_text(), "html.parser")
    assert "seed1/03_eta_dpo.ipynb" in page.text
    assert not [a for a in page.find_all("a") if not a["href"].startswith("#")]


def test_every_link_leads_somewhere(run):
    page = page_of(run)
    ids = [element["id"] for element in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    links = [link["href"] for link in page.find_all("a", href=True)]
    assert len(page.nav.find_all("a")) == 4 * 2 + 2
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


def test_wide_tables_scroll_in_their_own_box(show):
    text = v4.new_markdown_cell("| a | b |\n|---|---|\n| 1 | 2 |")
    _, page = show(text, code("frame", data(html="<table><tr><td>1</td></tr></table>")))
    tables = page.find_all("table")
    assert [table.parent["class"][0] for table in tables] == ["scroll", "html"]


def test_a_notebook_without_a_title_goes_by_its_file_name(show):
    _, page = show(v4.new_markdown_cell("## Only a section"), code("1"))
    assert page.find("h2", id="01_sft").text == "01_sft"
    assert [link.text for link in page.nav.find_all("a")] == ["01_sft", "Only a section"]
