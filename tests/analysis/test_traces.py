"""The trace view: what it shows of two programs, and that text of models stays text."""

from __future__ import annotations

import ipywidgets
import pytest
from bs4 import BeautifulSoup

from eta_utils.analysis.figures.traces import BEFORE, browse, pair_page
from eta_utils.execution import judge
from eta_utils.tasks import Task

TEST = """def check(candidate):
    assert candidate([2, 1]) == [1, 2]
    assert candidate([]) == []
"""
TASK = Task("sort", "def order(xs):\n", "order", TEST)


def page(*bodies):
    samples = [{"task_id": "sort", "completion": body} for body in bodies]
    outcomes = judge(samples, {"sort": TASK}, keep_trace=True, cache=False)
    return BeautifulSoup(pair_page(TASK, *outcomes), "html.parser")


def cells(table):
    rows = table.find_all("tr")
    return [[cell.get_text() for cell in row.find_all(["td", "th"])] for row in rows]


def test_lines_that_ran_are_counted_and_the_one_that_raised_is_marked():
    shown = page("    return sorted(xs)\n", "    ys = xs[::-1]\n    return ys[9]\n")
    listing = cells(shown.find_all("table")[2])
    assert [row[1] for row in listing] == ["1x", "2x", "2x"]
    assert ["▶" in row[0] for row in listing] == [False, False, True]


def test_each_assert_is_shown_with_whether_it_holds():
    shown = page("    return sorted(xs)\n", "    return xs\n")
    _, held, _, failed, _ = shown.find_all("table")
    text = "assert candidate([2, 1]) == [1, 2]"
    assert cells(held)[0] == ["✓", text]
    assert cells(failed)[0] == ["✗", text]
    assert cells(failed)[1][0] == "✓"


def test_states_are_shown_up_to_the_first_difference():
    same = "".join(f"    x{number} = {number}\n" for number in range(BEFORE + 3))
    shown = page(same + "    y = 5\n", same + "    y = 6\n")
    states = cells(shown.find_all("table")[-1])
    assert len(states) == 1 + BEFORE + 1
    assert states[-1][1:] == ["line 11: y = 5", "line 11: y = 6"]
    assert "the first 3 are left out" in shown.get_text()


def test_a_program_that_raises_at_once_has_nothing_further():
    shown = page("    y = 5\n    return y\n", "    return 1 / 0\n")
    assert cells(shown.find_all("table")[-1])[-1][2] == "(nothing further)"


@pytest.mark.parametrize("body", ["    return '<script>1</script>'\n", "    <b> = (\n"])
def test_what_a_model_wrote_is_text(body):
    shown = page(body, "    y = '<img src=x>'\n    return y\n")
    assert not shown.find_all(["script", "img"])
    assert "<img src=x>" in shown.get_text()


def test_a_pair_that_is_chosen_is_shown_and_none_before():
    samples = [{"task_id": "sort", "completion": f"    return {n}\n"} for n in (1, 2)]
    both = list(judge(samples, {"sort": TASK}, keep_trace=True, cache=False))
    pairs = [{"task_id": "sort", "reason": f"reason {n}"} for n in range(2)]
    requested = []

    def traced(pair):
        requested.append(pair)
        return TASK, *both

    chooser, shown = browse(pairs, traced).children
    assert (shown.value, requested) == ("", [])
    chooser.value = pairs[1]
    assert requested == [pairs[1]]
    assert pair_page(TASK, *both) in shown.value
    chooser.value = None
    assert shown.value == ""


def test_choosing_needs_no_output_widget():
    """With one, headless execution of the notebook sometimes never ended: nbclient sends
    messages to the kernel while it waits for the kernel's reply (nbclient, issue 312)."""
    box = browse([], lambda pair: None)
    assert not any(isinstance(part, ipywidgets.Output) for part in (box, *box.children))
    assert box.children[0].options == (("there are none", None),)
