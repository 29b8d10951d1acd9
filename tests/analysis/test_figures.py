"""Figures: they draw what they are given, and model-written text stays text."""

from __future__ import annotations

import matplotlib
import pandas as pd
import pytest

from eta_utils.analysis import figures
from eta_utils.analysis.arms import ARMS
from eta_utils.analysis.figures import display
from eta_utils.analysis.statistics import Interval
from eta_utils.execution.records import Outcome
from tests.conftest import ADD

matplotlib.use("agg")

SCORES = pd.DataFrame(
    [
        {"seed": 0, "arm": arm, "programs": programs, "task_id": task, "samples": 4,
         "passed": task, "greedy": 1}
        for arm, programs in (("sft", 0), ("ppo", 128), ("ppo", 256), ("dpo-eta", 256))
        for task in range(4)
    ]
)  # fmt: skip


@pytest.fixture
def shown(monkeypatch):
    """What the figures displayed."""
    pages = []
    monkeypatch.setattr(display, "display", pages.append)
    return pages


def test_learning_curves_begin_at_the_sft_model_and_end_at_the_last_program():
    [axis] = figures.learning_curves(SCORES).axes
    [ppo] = [curve for curve in axis.containers if curve.get_label() == "PPO"]
    assert list(ppo.lines[0].get_xdata()) == pytest.approx([0, 128, 256], abs=4)


def test_pass_and_fail_add_up_to_one():
    [axis] = figures.pass_fail(SCORES).axes
    widths = [patch.get_width() for patch in axis.patches]
    passing, failing = widths[0::2], widths[1::2]
    assert all(ours + theirs == 1 for ours, theirs in zip(passing, failing, strict=True))
    assert passing[0] == pytest.approx((0 + 1 + 2 + 3) / 16)


def test_model_written_text_is_escaped(shown):
    hostile = "    return '<script>alert(1)</script>'\n"
    outcome = Outcome({"task_id": "add", "completion": hostile}, "exception", False, "",
                      exception="<b>Error</b>", line=2)  # fmt: skip
    figures.program(ADD, outcome)
    [page] = shown
    assert "<script>" not in page.data and "<b>Error" not in page.data
    assert "&lt;script&gt;" in page.data


def test_a_figure_is_shown_over_its_caption_and_described_by_its_beginning(shown):
    figures.show(figures.pass_fail(SCORES), "Bars of arms. Longer is better.")
    [picture, caption] = shown
    assert picture.alt == "Bars of arms"
    assert picture.data.startswith(b"\x89PNG")
    assert "Longer is better." in caption.data


def test_a_value_and_its_interval_are_one_column():
    rows = pd.DataFrame([{"pass@1": 0.5, "pass@1 low": 0.4, "pass@1 high": 0.6}])
    html = figures.table(rows).to_html()
    assert str(Interval(0.5, 0.4, 0.6)) in html and "low" not in html


def crossed(run, steps, sft, value):
    row = {"run": run, "steps": steps, "contrast": "ETA-DPO - PPO", "sft": sft}
    row["programs"] = "all rounds"
    ends = {"value": value, "low": value - 0.1, "high": value + 0.1}
    return row | {"silent": 1 - sft} | ends


def test_the_crossover_draws_runs_against_strength_and_against_all_fail_tasks():
    rows = [crossed("a", "all", 0.1, 0.2), crossed("b", "all", 0.5, -0.1)]
    rows += [crossed("a", "3", 0.2, 0.1)]
    left, right = figures.crossover(pd.DataFrame(rows)).axes
    assert list(left.containers[0].lines[0].get_xdata()) == [0.1, 0.5]
    assert list(left.containers[0].lines[0].get_ydata()) == [0.2, -0.1]
    assert list(right.containers[0].lines[0].get_xdata()) == [0.9, 0.5]
    assert list(left.containers[1].lines[0].get_xdata()) == [0.2]


def test_drift_shows_the_models_score_and_the_true_rate():
    history = pd.DataFrame({"programs": [128, 256], "objective/scores": [0.0, 1.0]})
    left, right = figures.drift(history, SCORES[SCORES["arm"] == "ppo"]).axes
    assert list(left.lines[0].get_ydata()) == [0.0, 1.0]
    assert list(right.containers[0].lines[0].get_xdata()) == [128, 256]


def test_a_figure_can_be_kept_as_a_file(shown, tmp_path):
    file = tmp_path / "figures" / "rates.png"
    figures.show(figures.pass_fail(SCORES), "Rates by arm.", file)
    assert shown[0].data == file.read_bytes()


def test_short_rows_stand_on_one_line_and_long_texts_are_broken():
    short, long = (pd.DataFrame({"x": [text]}) for text in ("a", "a word " * 20))
    assert 'class="dataframe rows"' in figures.table(short).to_html()
    assert 'class="dataframe texts"' in figures.table(long).to_html()


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
