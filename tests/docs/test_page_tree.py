"""The navigation: pages that go deeper hang under their variant's page, with short titles."""

from __future__ import annotations

import pytest

from seminar_site import page_tree


@pytest.mark.parametrize(
    ("title", "short"),
    [
        ("Variant 4: Flatten against GAP", "4 · Flatten against GAP"),
        ("Variant 1, deeper: what breaks the factor", "What breaks the factor"),
        ("Theory", "Theory"),
    ],
)
def test_titles_say_the_number_once(title, short):
    assert page_tree.short_title(title) == short
