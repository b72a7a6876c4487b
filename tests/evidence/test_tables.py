from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from seminar.evidence import Ledger, Table, record, show

TABLE = Table(["", "variance, 10⁻³"], [["Flatten", "1.3 ± 0.1"], ["GAP <b>", "0.03"]], "Caption")


def test_table_has_a_head_for_every_column_and_row():
    soup = BeautifulSoup(TABLE._repr_html_(), "html.parser")
    assert [cell.get_text() for cell in soup.select("th[scope=col]")] == list(TABLE.head)
    assert [cell.get_text() for cell in soup.select("th[scope=row]")] == ["Flatten", "GAP <b>"]
    assert soup.caption.get_text() == "Caption"


def test_table_in_a_terminal_is_aligned():
    lines = str(TABLE).splitlines()
    assert lines[0] == "Caption"
    assert {line.find(text) for line, text in zip(lines[2:], ("1.3", "0.03"), strict=True)} == {9}


def test_show_returns_a_table_and_records_nothing():
    ledger = Ledger()
    record(ledger)
    try:
        assert show(TABLE) is TABLE
    finally:
        record(None)
    assert ledger.shown == []


def test_table_rejects_a_row_of_another_length():
    with pytest.raises(ValueError, match=r"as many cells as head .* got \['GAP'\]; fill empty"):
        Table(["", "variance"], [["GAP"]])
