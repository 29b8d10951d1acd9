"""Tables of notebooks as they come, among them empty ones."""

from __future__ import annotations

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from eta_utils.report.layout import fit_tables


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(), pd.DataFrame({"arm": []}), pd.DataFrame({"arm": ["SFT"]})]
)
@pytest.mark.parametrize("index", [False, True])
def test_a_table_without_columns_or_rows_is_laid_out_like_any_other(frame, index):
    soup = BeautifulSoup(frame.to_html(index=index), "html.parser")
    fit_tables(soup)
    assert "scroll" in soup.find("table").parent["class"]
