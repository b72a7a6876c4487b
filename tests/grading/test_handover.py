"""Honest files of many styles, handed over and judged, against the check of the network itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("safetensors")

import seminar
from seminar.conditions import random_batch
from seminar.exercises import EXERCISES
from seminar.grading.crossing.judge import judge
from seminar.grading.crossing.observe import answer
from seminar.grading.crossing.packet import unpack
from seminar.grading.crossing.rebuild import rebuild
from seminar.grading.limits import Limits
from seminar.student.load import load
from seminar.variants import VARIANTS

HONEST = sorted((Path(__file__).parent / "honest").glob("*.txt"))
LIMITS = Limits()


def number_of(path):
    return int(path.read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# variant "))


def handed_over(path, folder, limits=LIMITS):
    return answer(path.read_bytes(), number_of(path), folder, 0, limits)


def loaded(path, folder):
    copy = folder / "copy.py"
    copy.write_bytes(path.read_bytes())
    return load(copy, EXERCISES[number_of(path)].builders)


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_rebuilt_network_is_judged_like_the_original(path, tmp_path):
    packet = handed_over(path, tmp_path)
    assert packet[:1] == b"P", packet
    result = judge(packet[1:], number_of(path), 0, LIMITS)
    original = loaded(path, tmp_path)
    report = seminar.check(number_of(path), original.model, input_shape=original.input_shape)
    assert result == {"status": "checked", "findings": report.to_dict()["findings"]}


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_rebuilt_network_computes_the_same(path, tmp_path):
    given = unpack(handed_over(path, tmp_path)[1:], LIMITS)
    original = loaded(path, tmp_path)
    variant = VARIANTS[number_of(path)]
    x = random_batch(variant.batch_size, original.input_shape or variant.input_shape, 7)
    models = original.model if variant.heads else {"": original.model}
    for head, model in models.items():
        twin = rebuild(given.networks[head], tuple(x.shape), LIMITS)
        with torch.no_grad():
            torch.testing.assert_close(
                twin.eval()(x.clone()), model.eval()(x.clone()), rtol=0, atol=0
            )


@pytest.mark.parametrize("number", VARIANTS)
def test_own_network_passes_through_the_handover(number, tmp_path):
    source = f"from seminar.variants import VARIANTS\nbuild = VARIANTS[{number}].build\n"
    if number == 4:
        source = (
            "from seminar.variants.flatten_or_gap import build as made\n"
            "def build(): return {head: made(head=head) for head in ('flatten', 'gap')}\n"
        )
    packet = answer(source.encode(), number, tmp_path, 0, LIMITS)
    result = judge(packet[1:], number, 0, LIMITS)
    assert all(finding["holds"] for finding in result["findings"])


TINY = {
    "parameters": ("parameters", "weights"),
    "activations": ("activations", "numbers in one run"),
    "macs": ("macs", "multiplications"),
    "steps": ("steps", "operations"),
}


@pytest.mark.parametrize(("limit", "said"), TINY.values(), ids=TINY)
def test_network_above_a_limit_is_refused_by_that_limit(limit, said, tmp_path):
    path = next(path for path in HONEST if path.stem == "batch_norm")
    packet = handed_over(path, tmp_path)
    result = judge(packet[1:], 5, 0, replace(LIMITS, **{limit: 20}))
    assert result["status"] == "refused"
    assert said in result["message"]


UNKNOWN = {
    "fft": ("x = torch.fft.fft(x).real", "fft"),
    "svd": ("x = torch.linalg.svd(x)[1]", "svd"),
    "branch": ("x = x - x.min().item()", "another way"),
    "numpy": ("x = x + float(x.detach().numpy().sum())", "another way"),
    "noise": ("x = x + torch.randn(1)", "another way"),
    "caught": (
        "\n        try:\n            x = torch.fft.fft(x)\n        except Exception: pass",
        "fft",
    ),
}


@pytest.mark.parametrize(("line", "said"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_cannot_be_handed_over_is_named(line, said, tmp_path):
    source = f"""
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 8, 3)
    def forward(self, x):
        x = self.conv(x)
        {line}
        return x
build = Net
"""
    found = answer(source.encode(), 3, tmp_path, 0, LIMITS)
    assert found[:1] == b"E"
    assert b'"kind": "operation"' in found
    assert said.encode() in found
