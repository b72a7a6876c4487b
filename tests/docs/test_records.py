"""What a page records, and what other pages show of it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from sphinx.errors import ExtensionError

from seminar.evidence import Answer, Comparison, Ledger, show
from seminar_site import build_facts, gallery_records
from seminar_site.gallery_reset import reset_torch


def test_reset_undoes_what_a_script_left_behind():
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    reset_torch({}, None)
    first = torch.rand(2)
    reset_torch({}, None)
    assert first.dtype == torch.float32
    assert torch.is_grad_enabled()
    assert torch.equal(first, torch.rand(2))
    assert torch.get_num_threads() == 1


def comparison(law="law"):
    return Comparison(law, 1.0, [0.9, 1.1], 1)


def ledger(*shown, made=()):
    return Ledger([*made, *(item for item in shown if isinstance(item, Comparison))], list(shown))


def test_record_keeps_comparisons_and_answers(tmp_path):
    script = tmp_path / "variants" / "variant_1_weight_variance.py"
    script.parent.mkdir()
    script.write_text('"""\nOne title\n=========\n"""\n', encoding="utf-8")
    gallery_records.write_record(script, ledger(comparison(), Answer("Yes.", 1)))
    (docname, record), *others = gallery_records.read_records(tmp_path, ["variants"]).items()
    assert (docname, others) == ("variants/variant_1_weight_variance", [])
    assert (record["title"], record["answers"]) == ("One title", ["Yes."])
    assert record["results"] == [json.loads(json.dumps(comparison().to_dict()))]


@pytest.mark.parametrize("place", ["results.json", "../results.json"])
def test_records_of_a_build_are_merged_where_the_setting_says(tmp_path, place):
    (tmp_path / "docs/pages").mkdir(parents=True)
    record = {"title": "T", "variant": None, "answers": [], "results": [comparison().to_dict()]}
    text = json.dumps(record)
    (tmp_path / "docs/pages/page.record.json").write_text(text, encoding="utf-8")
    config = SimpleNamespace(
        sphinx_gallery_conf={"gallery_dirs": ["pages"]}, gallery_records_file=place
    )
    builder = SimpleNamespace(get_target_uri=lambda name: f"{name}.html")
    folders = {name: tmp_path / name for name in ("doctreedir", "outdir")}
    app = SimpleNamespace(srcdir=tmp_path / "docs", config=config, builder=builder, **folders)
    app.env = SimpleNamespace()
    gallery_records._merge(app)
    (row,) = json.loads((tmp_path / "outdir" / place).resolve().read_text(encoding="utf-8"))
    assert (row["law"], row["page"]) == ("law", "pages/page.html")


def test_record_refuses_two_comparisons_of_one_name(tmp_path):
    with pytest.raises(ExtensionError, match=r"x\.py shows two comparisons named \['law-law'\]"):
        gallery_records.write_record(tmp_path / "x.py", ledger(comparison(), comparison()))


def test_record_refuses_a_broken_identity(tmp_path):
    script = tmp_path / "x.py"
    script.write_text('"""\nOne title\n"""\n', encoding="utf-8")
    broken = Comparison("sum", 1.0, [1.0, 1.1], 1, kind="identity")
    with pytest.raises(ExtensionError, match=r"x\.py: an identity is broken: \['sum'\]"):
        gallery_records.write_record(script, ledger(broken))


def test_record_refuses_a_comparison_that_is_shown_nowhere(tmp_path):
    script = tmp_path / "x.py"
    script.write_text('"""\nOne title\n"""\n', encoding="utf-8")
    book = ledger(comparison("seen"), made=[comparison("forgotten")])
    with pytest.raises(ExtensionError, match=r"x\.py computes .* nowhere: \['forgotten'\]"):
        gallery_records.write_record(script, book)


def test_what_a_script_declares_shown_is_recorded(tmp_path):
    (tmp_path / "gallery").mkdir()
    (tmp_path / "docs" / "variants").mkdir(parents=True)
    script = tmp_path / "gallery" / "variant_1_x.py"
    script.write_text('"""\nOne title\n"""\n', encoding="utf-8")
    (tmp_path / "docs" / "variants" / script.name).write_bytes(script.read_bytes())
    conf = {"examples_dirs": ["../gallery"], "gallery_dirs": ["variants"]}
    conf["src_dir"] = str(tmp_path / "docs")
    gallery_records.reset(conf, script.name, "before")
    show([comparison()])._repr_html_()  # shown in HTML as often as one likes, recorded once
    gallery_records.reset(conf, script.name, "after")
    comparison("after the script")
    record = gallery_records.read_records(tmp_path / "docs", ["variants"])["variants/variant_1_x"]
    assert [row["law"] for row in record["results"]] == ["law"]


def test_build_facts_use_the_given_date(root, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.setenv("SEMINAR_QUICK", "1")
    facts = build_facts.collect(root)
    assert facts["date"] == "1970-01-01"
    assert facts["tier"] == "quick"


def test_build_facts_do_without_a_repository(tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert build_facts.collect(tmp_path)["commit"] == "unknown"
