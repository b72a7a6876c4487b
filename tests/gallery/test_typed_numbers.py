"""No result is typed into prose: numbers there are sizes, constants of a derivation or citations.

The test reads the text blocks of the gallery scripts and the Markdown pages, without formulas,
code and lists of references, and finds decimals, percentages, integers above 16 and words such as
"twice". Each must be a size that the page's own code sets (an integer of its code cells), or stand
in ``DERIVED`` beside the expression that computes it, or in ``PHRASES`` beside the reason why it
states no result.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
import re
import tomllib
from pathlib import Path

import pytest
from scipy import stats
from sklearn.datasets import load_sample_images
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

from seminar.arithmetic import conv_output_size
from seminar.evidence import equivalence, estimate
from seminar.grading.limits import Limits
from seminar.layers import layer_table
from seminar.variants import VARIANTS
from seminar.variants.parameter_budget import LIMIT
from seminar.variants.weight_variance.conditions import EXACT, LARGEST_ERROR

ROOT = Path(__file__).parents[2]
LIMITS = Limits()

LARGE = 16
NUMBER = re.compile(
    r"(?<![\w.,/-])[-−]?(?:\d[\d,]*)?(?:\.\d+|(?<=\d))(?:e[-+]?\d+)?(?:\s?(?:%|per\s?cent\b)|x\b)?(?!\w)"
)
WORD = re.compile(
    r"\b(?:twice|thrice|hal(?:f|ves|ved)|doubl(?:es|ed|ing)|(?:one|two) thirds?|a third|quarters?"
    r"|(?:a|one|two|three|four|nine) (?:fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?)"
    r"|tripl\w+|\w+fold|per\s?cent|(?:two|three|four|five|nine) (?:of|in) (?:ten|a hundred)"
    r"|(?:two|three|four|five|six|seven|eight|nine|ten|\d+) times(?! (?:in|over|at)\b))\b",
    re.IGNORECASE,
)
FORMULAS = (
    re.compile(r"^\.\. math::.*\n(?:[ \t]+.*\n|\n)*", re.MULTILINE),
    re.compile(r"^```\{(?:math|bibliography|figure-script)\}.*?^```", re.MULTILINE | re.DOTALL),
    re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL),
    re.compile(r"\$\$.*?\$\$|\$[^$]+\$", re.DOTALL),
    re.compile(r":math:`[^`]*`", re.DOTALL),
    re.compile(r"``[^`]*``|`[^`\n]*`", re.DOTALL),
    re.compile(r"<https?:[^>]*>|\]\([^)]*\)"),
    re.compile(r'\b(?:width|height)="\d+"'),
)
REFERENCES = re.compile(
    r"^(?:#+ )?(?:References|Sources|Further reading)\n.*", re.MULTILINE | re.DOTALL
)
YEAR = re.compile(r"\((?:19|20)\d\d\)|\b(?:et al\.|and others),? (?:19|20)\d\d")


def sources():
    """Return name, text blocks and code of every page."""
    pages = {}
    for script in sorted((ROOT / "gallery").rglob("*.py")):
        blocks = split_code_and_text_blocks(str(script))[1]
        text = "\n\n".join(block.content + "\n" for block in blocks if block.type == "text")
        code = "\n".join(block.content for block in blocks if block.type == "code")
        pages[script.stem] = (text, code)
    texts = [ROOT / "README.md", *(ROOT / "gallery").rglob("*.rst"), *(ROOT / "docs").rglob("*.md")]
    for page in sorted(texts):
        name = page.relative_to(ROOT).with_suffix("").as_posix()
        if not {"_build", "variants"} & set(page.parts):
            pages[name] = (page.read_text(encoding="utf-8"), "")
    return pages


PAGES = sources()


def parsed(code):
    return ast.walk(ast.parse(re.sub(r"^%.*$", "", code, flags=re.MULTILINE)))


def set_by(page, name):
    """Return the decimals that a page's code assigns to a name, or passes or keys under it."""
    values = []
    for node in parsed(PAGES[page][1]):
        match node:
            case ast.keyword(arg=str(named), value=value) if named == name:
                values.append(value)
            case ast.Assign(targets=[ast.Name(named)], value=value) if named == name:
                values.append(value)
            case ast.Dict(keys=keys, values=found):
                pairs = zip(keys, found, strict=True)
                values += [v for k, v in pairs if isinstance(k, ast.Constant) and k.value == name]
    inside = (node for tree in values for node in ast.walk(tree))
    numbers = (node.value for node in inside if isinstance(node, ast.Constant))
    return sorted({one for one in numbers if type(one) is float})


NOISE, GREY = set_by("variant_6_pooling_kinds", "grey")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHON = float(PROJECT["requires-python"].removeprefix(">="))
LICENCE = re.search(r"licenses/by/([\d.]+)", load_sample_images().DESCR)
LEVEL = inspect.signature(estimate).parameters["level"].default

# Numbers that the package, a page's code, another source or mathematics gives: as typed, and the
# expression that computes them.
DERIVED: dict[str, dict[str, float]] = {
    "2": {
        "50 %": 100 * stats.norm.sf(0),
        "62": conv_output_size(64, 5, padding=1),
        "31": conv_output_size(64, 3, stride=2),
    },
    "3": {
        "50,000": LIMIT,
        "90 %": 100 * (1 - 2 * inspect.signature(equivalence).parameters["alpha"].default),
    },
    # Settings of an experiment that are no integers.
    "variant_6_pooling_kinds": {"0.5": GREY, "0.1": NOISE},
    "docs/results": {
        "90 %": 100 * (1 - 2 * inspect.signature(equivalence).parameters["alpha"].default)
    },
    "README": {"2.0": float(LICENCE[1]), "3.11": PYTHON},
    "docs/assignment": {"0.001": EXACT, "10 %": 100 * LARGEST_ERROR},
    "docs/run-it-yourself": {"3.11": PYTHON},
    "docs/grading": {
        "30": LIMITS.seconds,
        "32,000,000": LIMITS.parameters,
        "64,000,000": LIMITS.activations,
        "10,000,000,000": LIMITS.macs,
        "3,000": LIMITS.steps,
    },
}
EVERYWHERE: dict[str, float] = {"95 %": 100 * LEVEL}
# Words that define, set or derive; the reason says which.
PHRASES: dict[str, str] = {
    "half marks": "what a teacher gives",
    "ever half written": "whole or not at all",
    "less than one per cent?": "the exercise's question",
    "the same loss four times": "four calls of the trap",
    "the middle of an interval and half its length": "the definition of an interval",
    "keeps the positive half": "the definition of ReLU",
    "By symmetry half of the mean square remains": "symmetry about zero",
    "the half from above": "symmetry about zero",
    "in exercise 4 give twice": "an option for each head",
    "twice the variance": "clause 1.b",
    "by its square: it doubles": "the square of a root",
    "miss the ratio by a percent or two": "the standard error of a sampled variance",
    "Doubling it makes the variance four times as large": "a square",
    "ten times as large": "the exercise's question",
    "the root of two, twice": "applied two times",
    "with a third of its cells on zeros": "three of nine cells",
    "ReLU halves": "symmetry about zero",
    "less than half of the maximum": "a threshold that is set beforehand",
    "a quarter of the channels": "the question",
    "half a point": "a margin that is set beforehand",
    "with probability one half": "symmetry about zero",
    "a ReLU lets half": "symmetry about zero",
    "the open half carries half of": "symmetry about zero",
    "both halves are exact": "the way up and the way back",
    "with half the step, half of what": "the law is proportional to the step",
    "takes about half a minute": "what the page costs",
    "open for half of the numbers": "symmetry about zero",
    "wins in half of the networks": "the case that need not be",
    "half the standard deviation, hence half that mean": "an average of four",
}


def prose(text):
    """Return the text without formulas, code, citations and the list of references."""
    for pattern in (REFERENCES, *FORMULAS, YEAR):
        text = pattern.sub(" ", text)
    return " ".join(text.split())


def stated_numbers(text):
    """Return the numbers that could be a result: decimals, percentages, integers above 16."""
    found = (hit.group().strip() for hit in NUMBER.finditer(text))
    plain = re.compile(r"[-−]?[\d,]+")
    return {one for one in found if not plain.fullmatch(one) or abs(value(one)) > LARGE}


def value(number):
    return float(re.sub(r"[,\s%x]|per\s?cent", "", number).replace("−", "-"))


@functools.cache
def network_sizes(number):
    """Return the sizes of a variant's network: of its input, its feature maps, its weights."""
    variant = VARIANTS[number]
    cases = [{"head": head} for head in variant.heads] or [{}]
    sizes = set(variant.input_shape)
    for model in (variant.build(**case) for case in cases):
        shapes = [parameter.shape for parameter in model.parameters()]
        shapes += [row.output_shape for row in layer_table(model, variant.input_shape).rows]
        sizes |= {size for shape in shapes for size in shape}
        sizes |= {math.prod(shape[1:]) for shape in shapes}
    return sizes


def sizes(name, code):
    """Return the integers that the code of a page sets, and the sizes of its network."""
    number = name.removeprefix("variant_")[:1]
    own = network_sizes(int(number)) if number.isdigit() else set()
    values = {node.value for node in parsed(code) if isinstance(node, ast.Constant)}
    return own | {one for one in values if type(one) is int}


@functools.cache
def no_sizes(name):
    """Return the numbers in a page's prose that are no sizes."""
    text, code = PAGES[name]
    known = sizes(name, code)
    return {one for one in stated_numbers(prose(text)) if "%" in one or value(one) not in known}


def variant_of(name):
    return name.removeprefix("variant_")[:1]


def derived(name):
    return EVERYWHERE | DERIVED.get(variant_of(name), {}) | DERIVED.get(name, {})


@pytest.mark.parametrize("name", PAGES)
def test_number_in_prose_is_no_result(name):
    assert not no_sizes(name) - derived(name).keys()


@pytest.mark.parametrize("name", PAGES)
def test_word_for_a_number_in_prose_states_no_result(name):
    text = prose(PAGES[name][0])
    for phrase in PHRASES:
        text = text.replace(phrase, " ").replace(phrase.capitalize(), " ")
    assert not [text[max(hit.start() - 40, 0) : hit.end() + 40] for hit in WORD.finditer(text)]


@pytest.mark.parametrize("phrase", PHRASES)
def test_allowed_phrase_is_still_in_use(phrase):
    assert any(phrase in prose(text) for text, _ in PAGES.values())


@pytest.mark.parametrize("where", DERIVED)
def test_derived_number_is_still_in_use(where):
    used = [no_sizes(name) for name in PAGES if where in (name, variant_of(name))]
    assert not DERIVED[where].keys() - set().union(*used)


def test_no_number_is_justified_by_itself():
    tables = [
        node.value
        for node in ast.parse(Path(__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.AnnAssign) and node.target.id in ("DERIVED", "EVERYWHERE")
    ]
    cells = [cell for table in tables for node in ast.walk(table) if isinstance(node, ast.Dict)
             for cell in node.values if not isinstance(cell, ast.Dict)]  # fmt: skip
    alone = [
        ast.unparse(cell)
        for cell in cells
        if not any(isinstance(node, ast.Name) for node in ast.walk(cell))
    ]
    assert cells
    assert not alone


def test_derived_number_is_what_its_expression_gives():
    tables = [EVERYWHERE, *DERIVED.values()]
    rows = [(one, got) for table in tables for one, got in table.items()]
    for typed, expected in rows:
        digits = len(typed.partition(".")[2].rstrip("% "))
        assert math.isclose(value(typed), expected, abs_tol=0.5001 * 10.0**-digits), typed


def test_a_typed_result_is_found():
    text = "The mean falls by 4.04 %, in 45% of the seeds; it is two times as large, about half.\n"
    assert stated_numbers(prose(text)) == {"4.04 %", "45%"}
    assert len(WORD.findall(prose(text))) == 2
