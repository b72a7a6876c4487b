"""Tests of the drawn network: ``seminar.strip`` and the rows that a run gives it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seminar import check
from seminar._text import for_encoding
from seminar.exercises import EXERCISES
from seminar.layers import layer_table, network_strip
from seminar.strip import Slab, Strip, height, width
from seminar.student.load import load
from seminar.variants import VARIANTS

TESTS = Path(__file__).parents[1]
HONEST = [*(TESTS / "check/honest").glob("variant_*"), *(TESTS / "grading/honest").glob("*.txt")]
TIMES = "\N{MULTIPLICATION SIGN}"


def drawn(strip: Strip) -> ElementTree.Element:
    return ElementTree.fromstring(strip._repr_html_())


def items(strip: Strip) -> list[ElementTree.Element]:
    return drawn(strip).findall("ol/li")


def seen(item: ElementTree.Element, name: str) -> str:
    return "".join("".join(node.itertext()) for node in item.iterfind(f".//*[@class='{name}']"))


class Residual(nn.Module):
    """A padded convolution, a skip connection, functions, and two names that need escaping."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8))
        self.conv = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")
        self.add_module("<b>&'\"", nn.Conv2d(8, 8, (1, 3), padding=(0, 1), groups=4))
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        y = self.get_submodule("<b>&'\"")(self.conv(x))
        x = F.max_pool2d(x + y, 3, 2)
        return self.head(x.mean((2, 3)))


def test_rows_of_a_residual_network() -> None:
    strip = network_strip(Residual(), (3, 32, 32))
    rows = [(slab.name, slab.lines, slab.shape, slab.notes, slab.sources) for slab in strip]
    odd = "<b>&'\""
    assert rows == [
        ("input", (), (3, 32, 32), (), ()),
        ("stem", (f"3{TIMES}3", "stride 2"), (8, 16, 16), ("BN", "relu"), ("input",)),
        ("conv", (f"3{TIMES}3",), (8, 16, 16), (), ("stem",)),
        (odd, (f"1{TIMES}3", "groups 4"), (8, 16, 16), (), ("conv",)),
        ("add", ("add",), (8, 16, 16), (), ("stem", odd)),
        ("max_pool2d", ("max 3", "stride 2"), (8, 7, 7), (), ("add",)),
        ("mean", ("GAP",), (8,), (), ("max_pool2d",)),
        ("head", ("linear",), (10,), (), ("mean",)),
    ]
    assert f"stem + {odd}" in seen(items(strip)[4], "arrow")
    assert f"add: sum, from stem and {odd}, gives 8{TIMES}16{TIMES}16" in strip.alt


LAYERS = st.lists(
    st.sampled_from(["conv", "wide", "stride", "pool", "mean", "relu", "norm"]), max_size=7
)


def random_network(kinds: list[str]) -> nn.Sequential:
    channels, layers = 3, []
    for kind in kinds:
        out = {"wide": 3 * channels}.get(kind, channels)
        stride = 2 if kind == "stride" else 1
        layers.append(
            {
                "pool": nn.MaxPool2d(2, ceil_mode=True),
                "mean": nn.AvgPool2d(3, 1, 1),
                "relu": nn.ReLU(),
                "norm": nn.BatchNorm2d(channels),
            }.get(kind, nn.Conv2d(channels, out, 3, stride, 1))
        )
        channels = out
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(5))


@given(kinds=LAYERS, size=st.integers(8, 33))
@settings(max_examples=40, deadline=None)
def test_shapes_equal_torch_and_every_shape_is_written(kinds: list[str], size: int) -> None:
    model = random_network(kinds).eval()
    x = torch.zeros(1, 3, size, size)
    model(x)
    expected = [tuple(x.shape[1:])]
    for layer in model:
        x = layer(x)
        vector = isinstance(layer, nn.Flatten) and expected[-1][1:] == (1, 1)
        if not vector and not isinstance(layer, nn.ReLU | nn.BatchNorm2d):
            expected.append(tuple(x.shape[1:]))
    strip = network_strip(model, (3, size, size))
    assert [slab.shape for slab in strip] == expected
    texts = [TIMES.join(map(str, shape)) for shape in expected]
    shown = [seen(item, "shape") for item in items(strip) if item.get("class") != "more"]
    assert [text for text in texts if text in shown] == texts
    assert all(text in str(strip).replace("x", TIMES) for text in texts)


@pytest.mark.parametrize("path", sorted(HONEST), ids=lambda path: path.stem)
def test_honest_networks_are_drawn(path: Path, tmp_path: Path) -> None:
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    named = re.search(r"variant[ _](\d)", f"{first} {path.stem}")
    assert named
    number = int(named[1])
    if path.suffix == ".txt":
        copy = tmp_path / "copy.py"
        copy.write_bytes(path.read_bytes())
        path = copy
    loaded = load(path, EXERCISES[number].builders)
    report = check(number, loaded.model, input_shape=loaded.input_shape)
    models = loaded.model if VARIANTS[number].heads else {"": loaded.model}
    assert len(report.strips) == len(models)
    for strip, (head, model) in zip(report.strips, models.items(), strict=True):
        shape = tuple(loaded.input_shape or VARIANTS[number].input_shape)
        model.eval()
        output = tuple(model(torch.zeros(2, *shape)).shape[1:])
        assert (strip.slabs[0].shape, strip.slabs[-1].shape) == (shape, output)
        names = [slab.name for slab in strip]
        assert len(set(names)) == len(names)
        assert all(source in names for slab in strip for source in slab.sources)
        assert strip.caption == head
        assert drawn(strip).tag == "figure"
    assert report._repr_html_().count("<figure") == len(models)
    assert "strips" not in report.to_dict()


@pytest.mark.parametrize("number", sorted(VARIANTS))
def test_own_networks_hold_their_convolutions(number: int) -> None:
    model = VARIANTS[number].build(seed=0)
    found = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    strip = network_strip(model, VARIANTS[number].input_shape)
    assert sum(slab.kind == "conv" for slab in strip) >= len(found) > 0


def widths_and_heights(strip: Strip) -> Iterator[tuple[float, float]]:
    for path in drawn(strip).iterfind(".//path[@class='front']"):
        found = re.search(r"h([\d.]+)v([\d.]+)", path.get("d", ""))
        assert found
        yield float(found[1]), float(found[2])


def test_scales_grow_with_what_they_show() -> None:
    sizes = [1, 2, 3, 10, 64, 512, 8192]
    strip = Strip(tuple(Slab(f"l{n}", (n, n, n)) for n in sizes))
    for column in zip(*widths_and_heights(strip), strict=True):
        assert sorted(set(column)) == list(column)
    assert width(512) <= 60
    assert height(224) <= 110
    (bar,) = widths_and_heights(Strip((Slab("v", (512,)),)))
    assert bar[0] > 5 * bar[1]


def test_long_runs_of_equal_layers_are_drawn_once() -> None:
    def of(depth: int) -> Strip:
        return network_strip(
            nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(depth))), (3, 8, 8)
        )

    assert len(items(of(5))) == 1 + 5
    assert len(items(of(30))) == 1 + 3
    assert items(of(30))[2].get("title") == "1 \N{HORIZONTAL ELLIPSIS} 28"
    assert len(of(30)) == 31
    marked = Strip(of(30).slabs, mark="12")
    assert [item.get("class") for item in items(marked)].count("marked") == 1
    many = Strip(tuple(Slab(f"l{n}", (n % 7 + 1, 1)) for n in range(500)))
    assert len(items(many)) <= 61


def test_mark_and_factors_find_layers_modules_and_blocks() -> None:
    first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    whole = nn.Sequential(first, second)
    for mark, expected in (("0", {"0"}), ("0.0", {"0"}), ("1", {"1.0", "1.2"}), ("1.2", {"1.2"})):
        strip = network_strip(whole, (3, 8, 8), mark=mark, factors={mark: f"{TIMES}2"})
        assert {slab.name for slab in strip if strip.is_marked(slab)} == expected
        shown = [seen(item, "factor") for item in items(strip)]
        assert shown.count(f"{TIMES}2") == len(expected)
        assert strip.alt.count(f"factor {TIMES}2, marked") == len(expected)
        assert str(strip).count("* ") == len(expected)
    with pytest.raises(ValueError, match=r"'c' is no layer.*'input'"):
        network_strip(whole, (3, 8, 8), mark="c")
    with pytest.raises(ValueError, match="'1x'"):
        network_strip(whole, (3, 8, 8), factors={"1x": ""})


def test_every_slab_is_read_aloud_once() -> None:
    strip = network_strip(Residual(), (3, 32, 32), caption="a < b")
    said = [seen(item, "said") for item in items(strip)]
    assert "; ".join(said) + "." == strip.alt
    assert strip.alt.startswith(f"Input 3{TIMES}32{TIMES}32; stem: convolution 3{TIMES}3, stride 2")
    for item in items(strip):
        heard = [node for node in item if node.get("aria-hidden") is None]
        assert [node.get("class") for node in heard] == ["said"]
    assert drawn(strip).findtext("figcaption") == "a < b"
    assert drawn(Strip(strip.slabs)).get("aria-label")


def test_text_for_a_terminal_is_aligned() -> None:
    text = str(network_strip(VARIANTS[1].build(seed=0), (3, 32, 32), mark="layer3"))
    lines = text.splitlines()
    assert for_encoding(text, "ascii").isascii()
    assert [line for line in lines if line.startswith("*")] == [lines[3]]
    assert lines[3].split() == ["*", "layer3", "3×3,", "stride", "2", "64×4×4", "ReLU"]


def test_table_has_the_strip_above_it() -> None:
    table = layer_table(Residual(), (3, 32, 32))
    assert table._repr_html_().startswith('<figure class="network-strip"')
    assert table == layer_table(Residual(), (3, 32, 32))


def test_strip_does_not_need_torch() -> None:
    code = "import sys, seminar.strip; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
