"""A private copy of the caller's model, so that a run leaves no trace on it."""

from __future__ import annotations

import copy
import random
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextmanager
def private(model: nn.Module) -> Iterator[nn.Module]:
    """Give a deep copy of the model without the caller's hooks, or else the model itself.

    Hooks of :mod:`torch.nn.utils` stay: they compute a weight. Where the model cannot be copied,
    it is given itself, and its attributes, modes, hooks and tables of parameters are put back
    afterwards; what its ``forward`` changes *inside* its own lists or tensors is then not.
    """
    parts = list(_parts(model))
    modules = [part for part in parts if isinstance(part, nn.Module)]
    hooks = {(id(module), name): _own_hooks(module, name) for module in modules for name in _HOOKS}
    try:
        memo: dict[int, Any] = {}
        for module in modules:
            memo |= {id(getattr(module, name)): hooks[id(module), name] for name in _HOOKS}
        for part in parts:
            if isinstance(part, Tensor) and not part.is_leaf:  # deepcopy refuses those
                memo[id(part)] = part.detach().clone()
        twin = copy.deepcopy(model, memo)
    except Exception:  # the model's own __deepcopy__ may raise anything
        with put_back(modules):
            for module in modules:
                vars(module).update({name: hooks[id(module), name] for name in _HOOKS})
            yield model
    else:
        yield twin


def _parts(model: nn.Module) -> Iterator[Any]:
    """Yield the tensors and modules that the model holds, in lists and dictionaries too."""
    waiting: list[Any] = [model]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Tensor | nn.Module):
            yield part
        if isinstance(part, nn.Module):
            part = vars(part)
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set):
            waiting.extend(part)


def _own_hooks(module: nn.Module, name: str) -> OrderedDict[int, Any]:
    kept = {
        key: hook
        for key, hook in getattr(module, name).items()
        if isinstance(hook, BasePruningMethod)
        or type(hook).__module__.startswith("torch.nn.utils.")
    }
    return OrderedDict(kept)


@contextmanager
def put_back(modules: list[nn.Module]) -> Iterator[None]:
    """Put back the modules' attributes, modes and tables, whatever happened to them."""
    attributes = [dict(vars(module)) for module in modules]
    tables = [
        {name: dict(getattr(module, name)) for name in ("_parameters", "_buffers", "_modules")}
        for module in modules
    ]
    try:
        yield
    finally:
        for module, saved, table in zip(modules, attributes, tables, strict=True):
            vars(module).clear()
            vars(module).update(saved)
            for name, content in table.items():
                getattr(module, name).clear()
                getattr(module, name).update(content)


@contextmanager
def ordinary_mode() -> Iterator[None]:
    """Leave inference mode, in which nothing has a gradient, but keep ``no_grad``."""
    wanted = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(wanted):  # the first one alone sets it
        yield


@contextmanager
def random_states() -> Iterator[None]:
    """Put back the global random states of Python, NumPy and torch."""
    states = random.getstate(), np.random.get_state()
    with ExitStack() as stack:
        stack.callback(np.random.set_state, states[1])
        stack.callback(random.setstate, states[0])
        stack.enter_context(torch.random.fork_rng(devices=[]))
        yield
