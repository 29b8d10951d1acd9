"""Figures: they draw what they are given, and model-written text stays text."""

from __future__ import annotations

import itertools

import matplotlib
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from eta_utils.analysis import figures
from eta_utils.analysis.arms import ARMS
from eta_utils.analysis.contrasts import contrast_table
from eta_utils.analysis.figures import display, traces
from eta_utils.analysis.figures.palette import DARKEST, INK, PAPER
from eta_utils.analysis.statistics import Interval
from eta_utils.analysis.tables import best, temperature_table
from eta_utils.execution import judge
from eta_utils.execution.records import Outcome
from tests.analysis import made
from tests.analysis.markup import displays, hostile_outcome
from tests.conftest import ADD

matplotlib.use("agg")


def level(passed):
    """A model that passes so many of 8 on half of the tasks, whatever the temperature."""
    return lambda seed, task, t: passed * (task % 2)


SCORES = made.scores(
    {
        ("sft", 0): lambda seed, task, t: 4 if t == 0.5 else 2,
        ("ppo", 128): level(4),
        ("ppo", 256): level(8),
        ("dpo-eta", 256): level(8),
        ("ceiling", 0): lambda seed, task, t: 8,
    },
    seeds=(0, 1),
)
AT_BEST = best(SCORES)


@pytest.fixture
def shown(monkeypatch):
    """What the figures displayed."""
    pages = []
    monkeypatch.setattr(display, "display", pages.append)
    return pages


def test_learning_curves_begin_at_the_sft_model_and_end_at_the_last_program():
    [axis] = figures.learning_curves(AT_BEST).axes
    [ppo] = [curve for curve in axis.containers if curve.get_label() == "PPO"]
    assert list(ppo.lines[0].get_xdata()) == pytest.approx([0, 128, 256], abs=4)
    assert list(ppo.lines[0].get_ydata()) == pytest.approx([0.5, 0.25, 0.5])


def test_arms_that_execute_nothing_are_level_lines():
    [axis] = figures.learning_curves(AT_BEST).axes
    dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == [0.5, 1.0]
    assert all(len(set(line.get_ydata())) == 1 for line in dashed)


def test_every_curve_is_named_beside_it_and_no_name_covers_another():
    # PPO, ETA-DPO and SFT end at the same height.
    figure = figures.learning_curves(AT_BEST)
    figure.canvas.draw()
    names = [text for text in figure.axes[0].texts if text.get_text()]
    assert {text.get_text() for text in names} == {"SFT", "PPO", "ETA-DPO", "ceiling"}
    # Of the text alone: an annotation's own extent has the line to the curve in it.
    boxes = sorted((Text.get_window_extent(text) for text in names), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes))
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)


def test_temperatures_show_each_arm_beside_sft_and_its_maximum():
    figure = figures.temperature(temperature_table(SCORES))
    panels = {axis.get_title(): axis for axis in figure.axes if axis.get_title()}
    assert set(panels) == {"PPO", "ETA-DPO", "ceiling"}
    for axis in panels.values():
        best_of_sft, sft, arm, star = axis.lines
        assert set(best_of_sft.get_ydata()) == {0.5}
        assert best_of_sft.get_linestyle() == "--"
        assert list(sft.get_xdata()) == list(arm.get_xdata()) == [0, 0.3, 0.5, 0.7, 1]
        assert list(sft.get_ydata()) == [0, 0.25, 0.5, 0.25, 0.25]
        assert list(star.get_xdata()) == [1]  # equal everywhere, so the highest
    assert list(panels["PPO"].lines[2].get_ydata()) == [0.5] * 5


@pytest.mark.parametrize("others", [1, 5, 7])
def test_temperatures_have_a_panel_for_any_number_of_arms(others):
    names = [arm for arm in ARMS if arm != "sft"][:others]
    table = temperature_table(SCORES)
    ppo = table[table["arm"] == "ppo"]
    rows = [table[table["arm"] == "sft"], *(ppo.assign(arm=arm) for arm in names)]
    figure = figures.temperature(pd.concat(rows))
    figure.canvas.draw()
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == [ARMS[arm].label for arm in names]
    # The lowest panel of each column says which temperatures these are.
    for axis in shown[-5:]:
        assert any(tick.get_text() == "0.3" for tick in axis.get_xticklabels())


def test_pass_and_fail_add_up_to_one():
    [axis] = figures.pass_fail(AT_BEST).axes
    widths = [patch.get_width() for patch in axis.patches]
    passing, failing = widths[0::2], widths[1::2]
    assert all(ours + theirs == 1 for ours, theirs in zip(passing, failing, strict=True))
    assert passing[0] == 0.5  # SFT at its best temperature, not at 1


def test_a_gain_that_is_not_shown_is_hollow():
    rows = [
        {"family": "hypotheses", "name": name, "contrast": "credit - GRPO"}
        | {"programs": programs, "tasks": "all", "value": 0.1, "low": 0.0, "high": 0.2}
        | {"holm": holm, "by seed": [0.05, None, 0.15]}
        for name, programs, holm in (("H2 end", "all", 0.04), ("H2 third", "a third", 0.06))
    ]
    [axis] = figures.gains(pd.DataFrame(rows)).axes
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert [dot.get_markerfacecolor() for dot in dots] == ["#0072B2", "white"]
    seeds = [line for line in axis.lines if line.get_marker() == "."]
    assert [list(line.get_xdata()) for line in seeds] == [[0.05, 0.15]] * 2
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    assert names == ["H2 end: credit - GRPO", "H2 third: credit - GRPO"]


def test_rarity_draws_each_run_at_its_share_of_all_fail_prompts():
    rows = [
        {"run": run, "contrast": contrast, "programs": programs, "all fail": share}
        | {"value": value, "low": value - 0.1, "high": value + 0.2}
        for contrast, programs in (("credit - GRPO", "all"), ("credit - GRPO", "a third"))
        for run, share, value in (("dense", 0.4, 0.0), ("sparse", 0.8, 0.1))
    ]
    end, third = figures.rarity(pd.DataFrame(rows)).axes
    assert list(end.containers[0].lines[0].get_xdata()) == [0.4, 0.8]
    assert list(end.containers[0].lines[0].get_ydata()) == [0.0, 0.1]
    assert [text.get_text() for text in end.texts] == ["dense", "sparse"]
    assert third.get_title() == "credit - GRPO\nafter a third of the programs"


def test_model_written_text_is_escaped(shown):
    hostile = "    return '<script>alert(1)</script>'\n"
    outcome = Outcome({"task_id": "add", "completion": hostile}, "exception", False, "",
                      exception="<b>Error</b>", line=2)  # fmt: skip
    figures.program(ADD, outcome)
    [page] = shown
    assert "<script>" not in page.data and "<b>Error" not in page.data
    assert "&lt;script&gt;" in page.data


def test_a_figure_is_shown_over_its_caption_and_described_by_its_beginning(shown):
    figures.show(figures.pass_fail(AT_BEST), "Bars of arms. Longer is better.")
    [picture, caption] = shown
    drawing, metadata = picture._repr_svg_()
    assert metadata == {"alt": "Bars of arms"}
    assert drawing.startswith("<svg") and ">ETA-DPO</text>" in drawing
    assert "Longer is better." in caption.data


def test_a_drawing_of_very_many_lines_is_shown_as_a_smaller_picture(shown):
    figures.show(figures.temperature(temperature_table(SCORES)), "Temperatures. By arm.")
    assert shown[0].data.startswith(b"\x89PNG")
    assert shown[0].alt == "Temperatures"


def test_the_same_figure_is_the_same_drawing():
    """Or each run of a notebook would change all its figures."""
    one, other = (display._svg(figures.pass_fail(AT_BEST)) for _ in range(2))
    assert one == other and "<dc:date>" not in one


def test_a_value_and_its_interval_are_one_column():
    rows = pd.DataFrame([{"pass@1": 0.5, "pass@1 low": 0.4, "pass@1 high": 0.6}])
    html = figures.table(rows).to_html()
    assert str(Interval(0.5, 0.4, 0.6)) in html and "low" not in html


def test_drift_shows_the_models_score_and_the_true_rate():
    history = pd.DataFrame({"programs": [128, 256], "objective/scores": [0.0, 1.0]})
    left, right = figures.drift(history, AT_BEST[AT_BEST["arm"] == "ppo"]).axes
    assert list(left.lines[0].get_ydata()) == [0.0, 1.0]
    assert list(right.containers[0].lines[0].get_xdata()) == [128, 256]
    assert list(right.containers[0].lines[0].get_ydata()) == [0.25, 0.5]


def test_a_figure_can_be_kept_as_a_file(shown, tmp_path):
    file = tmp_path / "figures" / "rates.png"
    figures.show(figures.pass_fail(AT_BEST), "Rates by arm.", file)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_short_rows_stand_on_one_line_and_long_texts_are_broken():
    short, long = (pd.DataFrame({"x": [text]}) for text in ("a", "a word " * 20))
    assert 'class="dataframe rows"' in figures.table(short).to_html()
    assert 'class="dataframe texts"' in figures.table(long).to_html()


def test_names_and_values_are_listed_with_a_head_each(shown):
    page = BeautifulSoup(figures.listed({"loss": 0.5}, "SFT").to_html(), "html.parser")
    assert [cell.get_text().strip() for cell in page.select("thead th")] == ["what", "SFT"]
    assert [cell.get_text() for cell in page.select("tbody td")] == ["loss", "0.500"]


def test_a_folded_table_is_there_under_its_title(shown):
    figures.folded("more <rows>", figures.table(pd.DataFrame({"x": [0.25]})))
    [page] = shown
    assert "<details><summary>more &lt;rows&gt;</summary>" in page.data
    assert "0.250" in page.data


@pytest.mark.parametrize("arms", [2, 6])
def test_the_legend_of_statuses_does_not_cover_the_axis(arms):
    rows = [
        {"arm": arm, "status": status, "programs": 10}
        for arm in [*ARMS][:arms]
        for status in ("passed", "assertion", "exception", "budget", "syntax")
    ]
    figure = figures.statuses(pd.DataFrame(rows))
    figure.canvas.draw()
    [legend], [axis] = figure.legends, figure.axes
    covered = legend.get_window_extent()
    assert not covered.overlaps(axis.xaxis.get_tightbbox())
    assert not covered.overlaps(axis.get_window_extent())


def test_the_legend_of_a_panel_does_not_cover_its_curves():
    history = pd.DataFrame({"step": range(20), "a": [1.0, 9.0] * 10, "b": [8.0, 2.0] * 10})
    figure = figures.training_curves(history, "step", {"both": ["a", "b"], "one": ["a"]})
    figure.canvas.draw()
    axis = figure.axes[0]
    covered = axis.get_legend().get_window_extent()
    highest = max(line.get_window_extent().y1 for line in axis.lines)
    assert covered.y0 >= highest
    assert figure.axes[1].get_legend() is None


@pytest.mark.filterwarnings("error")
def test_a_run_without_arms_has_figures_all_the_same():
    """An unfinished run has contrasts of nothing, and temperatures of SFT alone."""
    alone = SCORES[SCORES["arm"] == "sft"]
    for figure in (
        figures.gains(contrast_table(best(alone))),
        figures.temperature(temperature_table(alone)),
        figures.learning_curves(best(alone)),
        figures.pass_fail(best(alone)),
    ):
        figure.canvas.draw()


def shown_of(monkeypatch, show):
    """The HTML of all that `show` displays."""
    parts = []
    for module in (display, traces):
        monkeypatch.setattr(module, "display", parts.append)
    show()
    return "".join(
        part._repr_html_() if hasattr(part, "_repr_html_") else part.data for part in parts
    )


@pytest.fixture(scope="module")
def hostile():
    """A judged program full of markup, with its trace."""
    return hostile_outcome()


@pytest.mark.parametrize("name", ["code", "program", "trace", "pair", "table", "folded"])
def test_in_every_figure_that_shows_a_program_its_markup_is_text(
    name, hostile, monkeypatch
):
    shows = displays(hostile)
    page = BeautifulSoup(shown_of(monkeypatch, shows[name]), "html.parser")
    styles = [style.get_text() for style in page.find_all("style")]
    assert not page.find_all(["script", "img", "form", "button", "svg", "iframe", "a"])
    assert not any("display:none" in style for style in styles)  # the tables' own are there
    assert not [tag for tag in page.find_all(True) if "onerror" in tag.attrs]
    assert "onerror" in page.get_text()


def test_lines_are_numbered_as_python_numbers_them(monkeypatch):
    body = "    x = '''\x0c\u2028'''\r\n    y = 1\r    return a + b\n"
    sample = {"task_id": "add", "completion": body}
    [outcome] = judge([sample], {"add": ADD}, keep_trace=True, cache=False)
    page = shown_of(monkeypatch, lambda: display.trace(ADD, outcome))
    rows = BeautifulSoup(page, "html.parser").select("tbody tr")
    last = [cell.get_text().strip() for cell in rows[-1].find_all("td")]
    assert last == ["4", "4", "return a + b"]


def contrast(one, other):
    """The contrast of two colours, 1 to 21, as WCAG defines it."""

    def luminance(parts):
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in parts
        ]
        return sum(
            f * part for f, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
        )

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_programs_can_be_read_on_paper_and_on_shaded_lines(monkeypatch, hostile):
    """At 4.5 : 1, the AA of WCAG, in any theme of JupyterLab: both colours are given."""
    text = (
        "class A(B):\n    @property\n    def f(self):  # why\n        return [1, 'x', None]"
    )
    page = BeautifulSoup(display._highlighted(text), "html.parser")
    colours = {
        part.partition("color:")[2].strip()
        for tag in page.find_all(style=True)
        for part in tag["style"].split(";")
        if part.strip().startswith("color:")
    }
    assert len(colours) > 4
    shade = [1 + DARKEST * (part - 1) for part in to_rgb("#0072B2")]
    for colour in colours:
        assert contrast(to_rgb(colour), shade) >= 4.5, colour
    assert f"background:{PAPER};color:{INK}" in page.pre["style"]
    viewer = shown_of(monkeypatch, displays(hostile)["pair"])
    cells = BeautifulSoup(viewer, "html.parser").find_all("td")
    assert all("color:" in cell["style"] for cell in cells)


def test_a_pair_says_where_the_failing_program_goes_wrong(monkeypatch):
    bodies = ("    c = a + b\n    return c\n", "    c = a - b\n    return c\n")
    samples = [{"task_id": "add", "completion": body} for body in bodies]
    both = judge(samples, {"add": ADD}, keep_trace=True, cache=False)
    page = shown_of(monkeypatch, lambda: traces.pair(ADD, *both))
    soup = BeautifulSoup(page, "html.parser")
    assert "goes wrong in line 2: another value than in the reference" in soup.get_text()
    marked = [
        row
        for row in soup.find_all("tr")
        if "\N{BLACK RIGHT-POINTING TRIANGLE}" in row.text
    ]
    assert [row.find_all("td")[-1].text for row in marked] == ["    c = a - b"]
