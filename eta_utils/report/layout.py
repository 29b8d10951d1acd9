"""What a page needs beside its text: headings with ids, tables that fit, named folds.

>>> soup = BeautifulSoup(body, "html.parser")
>>> title, headings = number_headings(soup, "01_sft", top=2)
>>> fit_tables(soup)

No table is cropped in any window or in print.  Where a table is too wide for its window,
each of its rows becomes a card, a line for each column.  Without a script the page cannot
measure that, so `fit_tables` estimates each table's width.
"""

from __future__ import annotations

from typing import NamedTuple

from bs4 import BeautifulSoup, Tag


class Width(NamedTuple):
    """How wide a kind of table is: its style, and the windows that have room for it."""

    most: float  # pixels
    letter: float  # pixels of a character
    padding: float  # pixels around a cell
    window: int  # rem; in narrower windows its rows are cards


WIDTHS = {
    "small": Width(340, 7.3, 18, 0),
    "medium": Width(680, 7.3, 18, 46),
    "wide": Width(745, 6.6, 14.5, 49),
    "large": Width(1060, 6.6, 14.5, 84),
}
_UNBROKEN = 24  # characters of a cell that stay on one line
_BROKEN = 34  # characters to which a longer text is broken


class Heading(NamedTuple):
    """An entry of the table of contents."""

    anchor: str
    title: str


def number_headings(soup: BeautifulSoup, name: str, top: int) -> tuple[str, list[Heading]]:
    """Give headings unique ids, and move them so that h1 becomes h`top`.

    Returns the title, the first h1, or "", and the headings of the next level.
    """
    title, headings = "", []
    for number, heading in enumerate(soup.find_all(["h1", "h2", "h3", "h4", "h5"])):
        text, level = heading.get_text().strip(), int(heading.name[1])
        anchor = f"{name}--{number}"
        if level == 1 and not title:
            title, anchor = text, name
        elif level <= 2:
            headings.append(Heading(anchor, text))
        heading["id"], heading.name = anchor, f"h{min(6, level + top - 1)}"
    return title, headings


def link_within(soup: BeautifulSoup, targets: dict[str, str]) -> None:
    """Turn links to notebooks and to headings, as notebooks have them, into the page's."""
    for link in soup.find_all("a", href=True):
        if link["href"] in targets:
            link["href"] = f"#{targets[link['href']]}"


def fit_tables(soup: BeautifulSoup) -> None:
    """Wrap each table with a head, and say how wide it is and what each cell is about."""
    for table in soup.find_all("table"):
        head = table.find("thead")
        if head is None or not table.find("tbody"):
            continue  # it lays out a pair of programs, and its lines are broken
        # An empty table of pandas has a head without a row.
        last = (head.find_all("tr") or [head])[-1]
        names = [cell.get_text().strip() for cell in last.find_all("th")]
        rows = [row.find_all(["th", "td"]) for row in table.find("tbody").find_all("tr")]
        for row in rows:
            for name, cell in zip(names, row, strict=False):
                cell["data-label"] = name
                if len(cell.get_text().strip()) <= _UNBROKEN:
                    cell["class"] = [*cell.get("class", []), "short"]
        letters = _letters(names, [[cell.get_text() for cell in row] for row in rows])
        kind = _kind(letters, len(names))
        table["class"] = [*table.get("class", []), kind]
        box = {"class": "scroll"} | ({} if kind == "small" else {"tabindex": "0"})
        table.wrap(soup.new_tag("div", attrs=box))


def _letters(names: list[str], rows: list[list[str]]) -> int:
    """The characters of the widest line that the columns need side by side."""
    columns = zip(*[row for row in rows if len(row) == len(names)], strict=True)
    texts = [[len(text.strip()) for text in column] for column in columns]
    texts = texts or [[] for _ in names]
    heads = [max((len(word) for word in name.split()), default=0) for name in names]
    return sum(
        max([head, *(min(size, _BROKEN) for size in column)])
        for head, column in zip(heads, texts, strict=False)
    )


def _kind(letters: int, columns: int) -> str:
    return next(
        (
            name
            for name, width in WIDTHS.items()
            if letters * width.letter + columns * width.padding <= width.most
        ),
        "vast",
    )


def name_folds(soup: BeautifulSoup) -> None:
    """Say what each fold of code is about: seventy that are called "code" say nothing."""
    about = ""
    seen: dict[str, int] = {}
    for part in soup.find_all([*(f"h{level}" for level in range(1, 7)), "summary"]):
        if part.name != "summary":
            about = part.get_text().strip()
        elif _holds_code(part):
            seen[about] = seen.get(about, 0) + 1
            again = f" ({seen[about]})" if seen[about] > 1 else ""
            part.string = f"code: {about}{again}" if about else f"code{again}"


def _holds_code(summary: Tag) -> bool:
    return "code" in summary.parent.get("class", [])
