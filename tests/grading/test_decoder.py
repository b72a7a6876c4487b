"""No data makes the decoder do anything but decode or refuse."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("safetensors")

from seminar.grading.crossing import judge as judging
from seminar.grading.crossing.allowed import functions
from seminar.grading.crossing.judge import judge
from seminar.grading.crossing.observe import handover
from seminar.grading.crossing.packet import pack, unpack
from seminar.grading.crossing.rebuild import rebuild
from seminar.grading.limits import Limits, RefusalError
from seminar.variants import VARIANTS

LIMITS = replace(Limits(), parameters=300_000, activations=1_000_000, macs=10**8, steps=60)
STATES = {"checked", "refused", "undecided", "not run"}
PACKET = handover(VARIANTS[6], VARIANTS[6].build(), None, 0, LIMITS)
LENGTH = struct.unpack(">Q", PACKET[:8])[0]
GRAPH = json.loads(PACKET[8 : 8 + LENGTH])
WEIGHTS = PACKET[8 + LENGTH :]
FEW = settings(max_examples=60, deadline=None, derandomize=True)
FEWER = settings(FEW, max_examples=20)

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["meta", "cuda", "cpu", "same", "reflect"])
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
    position %= 8 + LENGTH + 8 + HEADER_LENGTH  # the graph and the names are the smaller part
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


HEADER_LENGTH = struct.unpack("<Q", WEIGHTS[:8])[0]
HEADER = json.loads(WEIGHTS[8 : 8 + HEADER_LENGTH])
TENSORS = sorted(set(HEADER) - {"__metadata__"})
sizes = st.sampled_from([0, 1, 3, 64, 2**31, 2**63, -1])
header_changes = st.one_of(
    st.tuples(st.just("dtype"), st.sampled_from(["F64", "BF16", "I64", "U8", "BOOL", "C64", "F4"])),
    st.tuples(st.just("shape"), st.lists(sizes, max_size=5)),
    st.tuples(st.just("data_offsets"), st.lists(sizes, min_size=2, max_size=2)),
)


def with_weights(header, body=WEIGHTS[8 + HEADER_LENGTH :]):
    text = json.dumps(header).encode()
    return PACKET[: 8 + LENGTH] + struct.pack("<Q", len(text)) + text + body


@given(st.sampled_from(TENSORS), st.sampled_from(TENSORS), header_changes)
@FEWER
def test_swapped_and_mislabelled_weights_are_judged_or_refused(one, other, change):
    swapped = HEADER | {one: HEADER[other], other: HEADER[one]}
    relabelled = HEADER | {one: HEADER[one] | dict([change])}
    for header in (swapped, relabelled):
        assert judge(with_weights(header), 6, 0, LIMITS)["status"] in STATES


@given(st.integers(0, 10**6), st.sampled_from([float("nan"), float("inf"), -0.0, 1e38, 1e-45]))
@FEWER
def test_any_number_in_the_weights_is_judged_or_refused(position, number):
    body = bytearray(WEIGHTS[8 + HEADER_LENGTH :])
    struct.pack_into("<f", body, 4 * (position % (len(body) // 4)), number)
    assert judge(with_weights(HEADER, bytes(body)), 6, 0, LIMITS)["status"] in STATES


@given(st.sampled_from(PLACES[1:]), st.sampled_from(PLACES), st.integers(-2, 2))
@FEWER
def test_graph_with_a_part_moved_doubled_or_gone_is_judged_or_refused(path, source, more):
    graph = json.loads(json.dumps(GRAPH))
    value = graph
    for key in source:
        value = value[key]
    value = value + more if type(value) is int else value
    assert judge(packet_of(changed(path, value)), 6, 0, LIMITS)["status"] in STATES
    inner = graph
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    assert judge(packet_of(graph), 6, 0, LIMITS)["status"] in STATES


def test_network_that_computes_nothing_is_not_judged():
    program = json.loads(json.dumps(GRAPH["networks"][""]["evaluation"]))
    last = 1 + sum(step["n"] for step in program["steps"])
    step = {"f": "torch.Tensor.to", "m": "", "n": 1, "a": [program["output"], "meta"]}
    program |= {"steps": [*program["steps"], step], "output": {"t": last}}
    graph = changed(("networks", "", "evaluation"), program)
    result = judge(packet_of(graph), 6, 0, LIMITS)
    assert result["status"] == "not run"
    assert "leaves the device of its input" in result["message"]


def test_truth_value_of_two_is_refused():
    graph = {"input_shape": None, "networks": {"": {}}}
    packet = pack(graph, {"/c:0": torch.tensor([True, False])})
    with pytest.raises(RefusalError, match="neither true nor false"):
        unpack(packet[:-2] + b"\x02\x00", LIMITS)


def test_giant_input_is_refused_before_it_is_made():
    (network,) = unpack(PACKET, LIMITS).networks.values()
    with pytest.raises(RefusalError, match="its input holds more than 1,000,000 numbers"):
        rebuild(network, (2, 3, 9999, 9999), LIMITS)


def test_fault_of_a_clause_is_for_the_teacher(monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(judging, "check", fails)
    result = judge(PACKET, 6, 0, LIMITS)
    assert result["status"] == "undecided"
    assert "ZeroDivisionError" in result["message"]


def test_number_of_a_thousand_digits_is_refused():
    path = (*STEPS[0], "a", 0)
    result = judge(packet_of(changed(path, 10**1000)), 6, 0, LIMITS)
    assert (result["status"], result["message"]) == ("refused", "a number is out of range")


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
