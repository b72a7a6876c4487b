"""What a network really does: one run, observed, as a graph of operations.

:func:`observe` runs a model once on an input under a :class:`~torch.overrides.TorchFunctionMode`
together with module hooks. Every tensor operation becomes a :class:`Node`, whether it was written
as a module, a function or a method, and the nodes on the way from the input to the output are the
network. Reading the source or the attribute names would miss all of that; symbolic tracing fails
on ordinary student code (``if`` on a shape, ``assert``, ``while``).

The run uses a deep copy of the model, without the caller's hooks, so that the model stays as it
was, and puts the global random states back. A model that cannot be copied runs itself, with clones
of its parameters and buffers; its attributes, modes and hooks are put back, but not what its
``forward`` changes inside its own lists, dictionaries and plain tensors.
"""

from __future__ import annotations

from seminar.graph.graph import Call, Graph, Node
from seminar.graph.observe import like_weights, observe, trained_weight

__all__ = ["Call", "Graph", "Node", "like_weights", "observe", "trained_weight"]
