"""The layers of a run that change the tensor, as plain rows for the drawn network."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from seminar.graph.graph import Graph, Node
from seminar.strip import Slab

__all__ = ["steps"]

_LAYERS = ("conv", "conv_transpose", "other_conv", "linear", "max_pool", "avg_pool", "other_pool")
_NOTES = ("relu", "activation", "norm", "dropout")
_JOINS = ("add", "cat", "product")
_NORMS = {
    "batch_norm": "BN",
    "group_norm": "GN",
    "instance_norm": "IN",
    "layer_norm": "LN",
}


def steps(graph: Graph) -> tuple[Slab, ...]:
    """Return the input and every layer between input and output that changes the tensor.

    ReLU, normalization and dropout become notes of the layer before. Where branches meet, the row
    names all that it was computed from.

    Args:
        graph: What a network did.

    Returns:
        The rows in running order, the input first.
    """
    return _Steps(graph).rows()


class _Steps:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.slabs: list[Slab] = []
        self.owner: dict[int, int] = {}  # position of the slab whose tensor a node's result is
        names = {call.name for call in graph.calls}
        self.blocks = {name.rpartition(".")[0] for name in names if name} | {""}
        self.batch = graph.nodes[0].output_shape[:1]

    def rows(self) -> tuple[Slab, ...]:
        first = self.graph.nodes[0]
        self._draw(first, (), "input")
        for node in self.graph.path:
            if node.index:
                self._follow(node)
        return self._named()

    def _follow(self, node: Node) -> None:
        owners = (self.owner[index] for index in node.inputs if index in self.owner)
        sources = tuple(dict.fromkeys(owners))
        last = self.slabs[sources[-1]]
        same = len(sources) == 1 and _without_ones(self._shape(node)) == _without_ones(last.shape)
        if same and node.kind not in _LAYERS:
            self.owner[node.index] = sources[-1]
            self._note(node, sources[-1])
        elif self._pads_a_convolution(node):
            self.owner[node.index] = sources[-1]
        else:
            self._draw(node, sources, self._kind(node))

    def _pads_a_convolution(self, node: Node) -> bool:
        """Return whether a layer pads its own input, as ``padding_mode="reflect"`` does."""
        users = [other for other in self.graph.path if node.index in other.inputs]
        own = all(u.kind in {"conv", "conv_transpose"} and u.module == node.module for u in users)
        return node.kind == "pad" and bool(node.module and users) and own

    def _note(self, node: Node, position: int) -> None:
        note = ""
        if node.kind in _NOTES:
            plain = {"norm": _NORMS.get(node.function, "norm"), "relu": "relu"}
            note = plain.get(node.kind, node.function)
        elif node.kind in _JOINS and len(node.inputs) > 1:
            note = node.kind
        elif node.kind == "reshape" and node.function == "flatten":
            note = "flatten"
        slab = self.slabs[position]
        if note and slab.notes[-1:] != (note,):
            self.slabs[position] = replace(slab, notes=(*slab.notes, note))

    def _draw(self, node: Node, sources: tuple[int, ...], kind: str) -> None:
        self.owner[node.index] = len(self.slabs)
        names = tuple(map(str, sources))  # their positions, until all names are known
        path = self._path(node) if sources else "input"
        row = Slab(path, self._shape(node), kind, _settings(node), (), names, path)
        self.slabs.append(row)

    def _shape(self, node: Node) -> tuple[int, ...]:
        shape = node.output_shape
        return shape[1:] if shape[:1] == self.batch else shape

    def _kind(self, node: Node) -> str:
        shape = self._shape(node)
        if node.kind in {"adaptive_avg_pool", "mean"} and len(node.input_shape) == 4:
            return "gap" if shape and set(shape[1:]) <= {1} else node.kind
        if node.kind == "reshape" and len(shape) == 1:
            return "flatten"
        return node.function if node.kind in {"other", "other_pool", "activation"} else node.kind

    def _path(self, node: Node) -> str:
        owner = node.parameter.rpartition(".")[0]
        if node.module in self.blocks:  # a function that a forward calls itself
            return owner or f"{node.module}.{node.function}".lstrip(".")
        return node.module

    def _named(self) -> tuple[Slab, ...]:
        """Give every row the shortest name that tells it apart, and name the sources so."""
        names: list[str] = []
        seen: Counter[str] = Counter()
        for slab in self.slabs:
            name = self._shortest(slab.path)
            seen[name] += 1
            names.append(f"{name}#{seen[name]}" if seen[name] > 1 else name)
        return tuple(
            replace(slab, name=name, sources=tuple(names[int(source)] for source in slab.sources))
            for slab, name in zip(self.slabs, names, strict=True)
        )

    def _shortest(self, path: str) -> str:
        parts = path.split(".")
        for count in range(1, len(parts)):
            start = ".".join(parts[:count])
            inside = (s.path == start or s.path.startswith(f"{start}.") for s in self.slabs)
            if sum(inside) == 1:
                return start
        return path


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _settings(node: Node) -> dict[str, tuple[int, ...]]:
    """Return what is worth saying of a layer: kernel, and what differs from the usual."""
    options = {
        key: _numbers(node.options.get(f"{key}_size" if key == "kernel" else key))
        for key in ("kernel", "stride", "dilation", "groups")
    }
    kernel, pools = options["kernel"], node.kind.endswith("pool")
    if not kernel or node.kind.startswith("adaptive"):
        return {}
    if pools and len(set(kernel)) == 1:
        options["kernel"] = kernel[:1]
    usual = kernel if pools else (1,) * len(options["stride"])
    if options["stride"] == usual:
        options["stride"] = ()
    for key in ("stride", "dilation"):
        if len(set(options[key])) == 1:
            options[key] = options[key][:1]
    for key in ("dilation", "groups"):
        if set(options[key]) == {1}:
            options[key] = ()
    return {key: numbers for key, numbers in options.items() if numbers}


def _numbers(value: object) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    whole = isinstance(value, tuple) and all(isinstance(size, int) for size in value)
    return value if whole else ()  # type: ignore[return-value]
