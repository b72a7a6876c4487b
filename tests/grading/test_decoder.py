"""No data makes the decoder do anything but decode or refuse."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("safetensors")

from seminar.grading._allowed import functions
from seminar.grading._handover import pack, unpack
from seminar.grading._judge import judge
from seminar.grading._limits import Limits
from seminar.grading._observe import handover
from seminar.grading._refused import RefusalError
from seminar.variants import VARIANTS

LIMITS = replace(Limits(), parameters=300_000, activations=1_000_000, macs=10**8, steps=60)
STATES = {"checked", "refused", "undecided", "not run"}
PACKET = handover(VARIANTS[6], VARIANTS[6].build(), None, 0, LIMITS)
LENGTH = struct.unpack(">Q", PACKET[:8])[0]
GRAPH = json.loads(PACKET[8 : 8 + LENGTH])
WEIGHTS = PACKET[8 + LENGTH :]
FEW = settings(max_examples=60, deadline=None, derandomize=True)

leaves = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=9)
)
tags = st.sampled_from(["t", "w", "c", "tuple", "slice", "dtype", "device", "float", "ellipsis"])
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(tags | st.text(max_size=5), inner, max_size=3)
        | st.integers(0, 40).map(lambda n: {"t": n})
    ),
    max_leaves=12,
)


def packet_of(graph):
    text = json.dumps(graph).encode()
    return struct.pack(">Q", len(text)) + text + WEIGHTS


def places(data, path=()):
    """Yield the path of everything in the graph."""
    yield path
    items = data.items() if isinstance(data, dict) else ()
    items = enumerate(data) if isinstance(data, list) else items
    for key, value in items:
        yield from places(value, (*path, key))


PLACES = list(places(GRAPH))


def changed(path, value):
    graph = json.loads(json.dumps(GRAPH))
    if not path:
        return value
    inner = graph
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return graph


def decoded_or_refused(packet):
    try:
        unpack(packet, LIMITS)
    except RefusalError:
        return True
    return True


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_bytes_are_decoded_or_refused(data):
    assert decoded_or_refused(data)
    assert decoded_or_refused(struct.pack(">Q", len(data)) + data + WEIGHTS)
    assert decoded_or_refused(PACKET[: 8 + LENGTH] + data)


@given(st.integers(0, len(PACKET) - 1), st.integers(0, 255))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_one_changed_byte_is_decoded_or_refused(position, value):
    assert decoded_or_refused(PACKET[:position] + bytes([value]) + PACKET[position + 1 :])


@given(st.sampled_from(PLACES), values)
@FEW
def test_any_value_anywhere_in_the_graph_is_judged_or_refused(path, value):
    assert judge(packet_of(changed(path, value)), 6, 0, LIMITS)["status"] in STATES


STEPS = [path for path in PLACES if len(path) == 5 and path[3] == "steps"]


@given(
    st.sampled_from(STEPS),
    st.sampled_from(sorted(functions())),
    st.lists(values, max_size=4),
    st.integers(0, 3),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_call_of_an_allowed_function_is_judged_or_refused(path, name, args, outputs):
    step = {"f": name, "m": "", "n": outputs, "a": [{"t": 0}, *args]}
    assert judge(packet_of(changed(path, step)), 6, 0, LIMITS)["status"] in STATES


NAMES = {
    "builtin": "builtins.eval",
    "dunder": "torch.Tensor.__class__",
    "load": "torch.load",
    "reduce": "torch.Tensor.__reduce_ex__",
    "apply": "torch.Tensor.apply_",
    "file": "torch.Tensor.tofile",
    "empty": "torch.empty",
    "unlisted": "torch.linalg.svd",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_function_outside_the_list_is_undecided_by_its_name(name):
    result = judge(packet_of(changed((*STEPS[0], "f"), name)), 6, 0, LIMITS)
    assert result["status"] == "undecided"
    assert name in result["message"]


BOMBS = {
    "repeat": {"f": "torch.Tensor.repeat", "a": [{"t": 0}, 1, 1, 512, 512]},
    "interpolate": {
        "f": "torch.nn.functional.interpolate",
        "a": [{"t": 0}],
        "k": {"size": {"tuple": [99999, 99999]}},
    },
    "new_zeros": {"f": "torch.Tensor.new_zeros", "a": [{"t": 0}, {"tuple": [2**40]}]},
    "pad": {"f": "torch.nn.functional.pad", "a": [{"t": 0}, {"tuple": [0, 2**30]}]},
    "tile": {"f": "torch.tile", "a": [{"t": 0}, {"tuple": [2**20]}]},
}


@pytest.mark.parametrize("step", BOMBS.values(), ids=BOMBS)
def test_giant_result_is_refused_before_it_is_computed(step):
    graph = changed(STEPS[0], {"m": "", "n": 1, **step})
    result = judge(packet_of(graph), 6, 0, LIMITS)
    assert result["status"] == "refused"
    assert "numbers in one run" in result["message"]


MALFORMED = {
    "twice": b'{"format":1,"format":1,"input_shape":null,"networks":{}}',
    "nan": b'{"format":NaN,"input_shape":null,"networks":{}}',
    "deep": b"[" * 100_000,
    "digits": b'{"format":' + b"9" * 5000 + b"}",
    "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "path": b'{"format":1,"input_shape":"/etc/passwd","networks":{}}',
    "surrogate": b'{"format":1,"input_shape":null,"networks":{"\\ud800":{}}}',
    "others": pack({"input_shape": None, "networks": {"": {}}}, {})[8:],
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_malformed_graph_is_refused(text):
    packet = struct.pack(">Q", len(text)) + text + WEIGHTS
    with pytest.raises(RefusalError, match=r"\w"):
        unpack(packet, LIMITS)
    assert judge(packet, 6, 0, LIMITS)["status"] == "refused"
