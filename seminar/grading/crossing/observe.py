"""What runs beside the student's code: load it, build the network, write down what it does.

Nothing that this module says is believed: whatever comes out is decoded strictly and judged by
:mod:`seminar.grading.crossing.judge` in a process in which no student's code has run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seminar.conditions import Variant, accepted_input_shape, accepted_models, random_batch
from seminar.grading.crossing.packet import pack, unpack
from seminar.grading.crossing.rebuild import rebuild
from seminar.grading.crossing.trace import trace
from seminar.grading.limits import Limits, RefusalError
from seminar.graph import like_weights, observe
from seminar.graph.failures import reject_unfit_weights
from seminar.graph.private import private, random_states
from seminar.student.load import StudentError, load, running
from seminar.variants import VARIANTS

__all__ = ["answer", "handover"]

_OTHER_SEED = 1_000_003  # of the input on which the written-down network is compared


def answer(source: bytes, number: int, folder: Path, seed: int, limits: Limits) -> bytes:
    """Return ``b"P"`` and a packet, or ``b"E"`` and what went wrong as JSON.

    Args:
        source: The student's file.
        number: Number of the variant.
        folder: An empty folder for it.
        seed: Seed of the check.
        limits: What is allowed.
    """
    variant = VARIANTS[number]
    path = folder / f"variant_{number}.py"
    path.write_bytes(source)
    builders = tuple(f"build_{head}" for head in variant.heads) or ("build",)
    try:
        loaded = load(path, builders, seed=seed)
        with running(path, "could not be run"):
            return b"P" + handover(variant, loaded.model, loaded.input_shape, seed, limits)
    except StudentError as error:
        refused = error.__cause__
        if isinstance(refused, RefusalError):
            return _failure(refused.kind, refused.message)
        places = [vars(place) for place in error.places]
        return _failure("student", error.message, said=error.said, places=places)


def _failure(kind: str, message: str, **more: Any) -> bytes:
    return b"E" + json.dumps({"kind": kind, "message": message, **more}).encode()


def handover(variant: Variant, model: Any, input_shape: Any, seed: int, limits: Limits) -> bytes:
    """Return the packet of the networks.

    Args:
        variant: The exercise.
        model: What the student's file gave.
        input_shape: What it names as the shape of its input, or None.
        seed: Seed of the check.
        limits: What is allowed.

    Raises:
        RefusalError: If a network consists of something that cannot be handed over.
        TypeError, ValueError: As :func:`seminar.check`.
    """
    shape = accepted_input_shape(input_shape, variant.input_shape, free=variant.input_is_free)
    models = accepted_models(model, variant.heads)
    x = random_batch(variant.batch_size, shape, seed)
    networks: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    for head, module in models.items():
        reject_unfit_weights(module)
        networks[head] = _described(module, x, f"{head}/", tensors)
    named = None if input_shape is None else list(shape)
    packet = pack({"input_shape": named, "networks": networks}, tensors)
    _compare(models, packet, random_batch(variant.batch_size, shape, seed + _OTHER_SEED), limits)
    return packet


def _described(
    model: nn.Module, x: Tensor, prefix: str, tensors: dict[str, Tensor]
) -> dict[str, Any]:
    x = like_weights(model, x)
    constants: list[dict[str, Any]] = []
    try:
        evaluation = trace(model, x, constants, training=False)
        training = any(module.training for module in model.modules())
        as_built = trace(model, x, constants, training=None) if training else None
        if as_built == evaluation:  # one program: run, measured and compared once
            as_built = None
    except RefusalError:
        raise
    except Exception:
        with torch.no_grad():
            observe(model, x)  # says what to change
        raise
    weights = {}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        flags = {"parameter": isinstance(tensor, nn.Parameter)}
        weights[name] = flags | {"requires_grad": tensor.requires_grad}
        tensors[f"{prefix}w:{name}"] = _plain(tensor)
    for number, constant in enumerate(constants):
        tensors[f"{prefix}c:{number}"] = _plain(constant.pop("tensor"))
    return {
        "modules": {path: module.training for path, module in model.named_modules()},
        "weights": weights,
        "constants": constants,
        "evaluation": evaluation,
        "as_built": as_built,
    }


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _compare(models: Mapping[str, nn.Module], packet: bytes, x: Tensor, limits: Limits) -> None:
    """Refuse a network that does something else on another input than what was written down."""
    networks = unpack(packet, limits).networks
    for head, model in models.items():
        image = like_weights(model, x)
        twin = rebuild(networks[head], tuple(image.shape), limits, measured=True)
        for training in (False, None)[: len(networks[head].programs)]:
            one, other = (_output(net, image, training) for net in (model, twin))
            if one.shape != other.shape or not torch.allclose(
                one, other, rtol=1e-3, atol=1e-5, equal_nan=True
            ):
                raise RefusalError(
                    "operation",
                    "forward() takes another way for another input (an if on values, random "
                    "numbers, or numpy), so that it cannot be handed over",
                )


def _output(model: nn.Module, x: Tensor, training: bool | None) -> Tensor:
    with torch.no_grad(), random_states(), private(model) as twin:
        torch.manual_seed(0)
        if training is not None:
            twin.train(training)
        output: Tensor = twin(x.clone())
        return output.detach()
