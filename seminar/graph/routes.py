"""The routes on which a signal passes through a network, without gates and identity shortcuts.

A gate only multiplies what it was computed from (squeeze and excitation), and an identity shortcut
only adds what went into the layers that it passes by (residual blocks). Clauses about the order of
the layers look at what is left without them. What everything passes through on its way, and the
average over all positions that a network ends in, are asked for here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from seminar.graph.graph import LAYERS, Graph, Node
from seminar.graph.values import is_channel_mean

__all__ = [
    "AVERAGES",
    "Routes",
    "bottlenecks",
    "is_flat",
    "is_global_average",
    "main_routes",
    "reached",
]

AVERAGES = ("avg_pool", "adaptive_avg_pool", "mean")
_PRODUCTS = {"mul", "multiply", "rmul", "imul", "einsum", "bmm", "mm", "matmul", "rmatmul"}
_SUMS = {"add", "radd", "iadd", "sub", "subtract", "rsub", "isub"}
_SCALINGS = {*_SUMS, *_PRODUCTS, "neg", "negative"}
_QUOTIENTS = {"div", "divide", "true_divide", "truediv", "itruediv"}

#: A shortcut may hold these and still count as the identity.
_LIGHT = {
    *("reshape", "norm", "dropout", "pad", "resize", "mean"),
    *("max_pool", "avg_pool", "adaptive_avg_pool", "other_pool"),
}


@dataclass(frozen=True)
class Routes:
    """The operations of a graph that carry its signal.

    Attributes:
        graph: The graph.
        inputs: For every node on the path, the inputs that are neither gate nor shortcut.
    """

    graph: Graph
    inputs: Mapping[int, tuple[int, ...]]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that the output needs, in the order of execution."""
        needed = {self.graph.path[-1].index} if self.graph.path else set()
        for node in reversed(self.graph.path):
            if node.index in needed:
                needed.update(self.inputs[node.index])
        return tuple(node for node in self.graph.path if node.index in needed)

    @cached_property
    def convolutions(self) -> tuple[Node, ...]:
        """The 2D convolutions among them."""
        return tuple(n for n in self.nodes if n.kind in {"conv", "conv_transpose"})

    @cached_property
    def first_convolutions(self) -> tuple[Node, ...]:
        """Those behind which another one lies, but before which none does."""
        needed, behind = self._neighbours
        inner = [node for node in self.convolutions if needed >> node.index & 1]
        return tuple(n for n in inner or self.convolutions if not behind >> n.index & 1)

    @cached_property
    def last_convolutions(self) -> tuple[Node, ...]:
        """Those before which another one lies, but behind which none does."""
        needed, behind = self._neighbours
        inner = [node for node in self.convolutions if behind >> node.index & 1]
        return tuple(n for n in inner or self.convolutions if not needed >> n.index & 1)

    @cached_property
    def _neighbours(self) -> tuple[int, int]:
        """The convolutions that another one needs, and those that need one, as bits."""
        before, _ = _ancestors(self.nodes, self.inputs)
        every = sum(1 << node.index for node in self.convolutions)
        needed = behind = 0
        for node in self.convolutions:
            needed |= before[node.index] & every
            behind |= bool(before[node.index] & every) << node.index
        return needed, behind

    def gaps(self, later: Node) -> list[tuple[Node, tuple[Node, ...], tuple[int, int]]]:
        """Return what lies between a convolution and each of those that lead to it.

        Args:
            later: A convolution of the routes.

        Returns:
            For every convolution next before it: that one, the nodes between, and the smallest and
            the largest number of ReLUs over all routes between the two.
        """
        nodes, found = self.graph.nodes, {later.index: (0, 0)}
        passed, ends = [], []
        for index in range(later.index, -1, -1):
            if index not in found:
                continue
            node = nodes[index]
            if node is not later and node.kind in {"conv", "conv_transpose"}:
                ends.append(node)
                continue
            passed.append(node)
            fewest, most = (count + (node.kind == "relu") for count in found[index])
            for i in self.inputs[index]:
                low, high = found.get(i, (fewest, most))
                found[i] = min(low, fewest), max(high, most)
        passed = [node for node in passed[::-1] if node is not later]
        return [(end, self._behind(end, passed), found[end.index]) for end in reversed(ends)]

    def _behind(self, start: Node, nodes: Iterable[Node]) -> tuple[Node, ...]:
        behind = reached(start, nodes, self.inputs)
        return tuple(node for node in nodes if node.index in behind)


def reached(
    start: Node, nodes: Iterable[Node], inputs: Mapping[int, tuple[int, ...]] | None = None
) -> set[int]:
    """Return the indices of a node and of those of some others that depend on it through them.

    Args:
        start: The node.
        nodes: The others, in the order of execution.
        inputs: What each of them reads; by default all that the graph says.
    """
    found = {start.index}
    for node in nodes:
        if found.intersection(node.inputs if inputs is None else inputs[node.index]):
            found.add(node.index)
    return found


def main_routes(graph: Graph) -> Routes:
    """Return the routes of a graph without its gates and identity shortcuts.

    A factor of a product is a gate where it comes, through a layer, from another factor, or where
    it is the gate of another product too (``t * h + (1 - t) * x``). A term of a sum is a shortcut
    where another term comes from it through a layer. Scaling by numbers or parameters changes
    nothing about either.
    """
    _, layered = _ancestors(graph.path, {node.index: node.inputs for node in graph.path})
    _, gates = _pruned(graph, layered, 0)
    inputs, _ = _pruned(graph, layered, gates)
    return Routes(graph, inputs)


def _pruned(
    graph: Graph, layered: Mapping[int, int], known: int
) -> tuple[dict[int, tuple[int, ...]], int]:
    """Return every node's inputs without gates and shortcuts, and the gates as bits."""
    roots: dict[int, int] = {}  # what a node is but reshaped, pooled, normalised or scaled
    inputs: dict[int, tuple[int, ...]] = {}
    gates = 0
    for node in graph.path:
        every = _terms(node)
        terms = [_carriers(term, layered, roots, known) for term in every]
        pairs = zip(every, terms, strict=True)
        dropped = {i for term, kept in pairs for i in term if i not in kept}
        gates |= _union(roots, dropped)
        carrying = {i for term in _without_shortcuts(terms, layered, roots) for i in term}
        inputs[node.index] = tuple(i for i in node.inputs if i in carrying) or node.inputs
        light = node.kind in _LIGHT or _is_scaling(node) or (len(terms) == 1 and dropped)
        carried = inputs[node.index] if light else ()
        roots[node.index] = 1 << node.index | _union(roots, carried)
    return inputs, gates


def _terms(node: Node) -> list[tuple[int, ...]]:
    """Return the factors of every term of a product or a sum; none for other operations."""
    name, operands = node.function.strip("_"), node.operands
    places: tuple[tuple[int, ...], ...] = ()
    if name == "lerp" and len(operands) == 3:
        places = tuple((i, 2) for i in (0, 1) if operands[i] is not None)
    elif name == "addcmul" and len(operands) == 3:
        places = ((0,), (1, 2))
    elif len(operands) == 2 and None not in operands:
        places = ((0, 1),) if name in _PRODUCTS else ((0,), (1,)) if name in _SUMS else ()
    elif name in _SUMS | {"lerp"}:
        places = tuple((i,) for i in range(len(operands)))
    found = [tuple(i for p in place if (i := operands[p]) is not None) for place in places]
    return [term for term in found if term]


def _carriers(
    term: tuple[int, ...], layered: Mapping[int, int], roots: Mapping[int, int], known: int
) -> tuple[int, ...]:
    """Return the factors of a term that are no gates."""
    kept = tuple(i for i in term if not any(layered[i] & roots[j] for j in term if j != i)) or term
    return tuple(i for i in kept if not roots[i] & known) or kept


def _without_shortcuts(
    terms: list[tuple[int, ...]], layered: Mapping[int, int], roots: Mapping[int, int]
) -> list[tuple[int, ...]]:
    kept = [
        term
        for term in terms
        if len(term) > 1
        or not any(_union(layered, other) & roots[term[0]] for other in terms if other != term)
    ]
    return kept or terms


def _is_scaling(node: Node) -> bool:
    """Whether a node only multiplies one result by numbers or parameters, or adds some."""
    name, used = node.function.strip("_"), [i for i in node.operands if i is not None]
    if len(used) != 1:
        return False
    return name in _SCALINGS or (name in _QUOTIENTS and node.operands[0] is not None)


def _union(bits: Mapping[int, int], indices: Iterable[int]) -> int:
    union = 0
    for index in indices:
        union |= bits[index]
    return union


def _ancestors(
    nodes: Iterable[Node], inputs: Mapping[int, tuple[int, ...]]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the nodes before every node as bits: all of them, and those with a layer between."""
    before: dict[int, int] = {}
    layered: dict[int, int] = {}
    for node in nodes:
        before[node.index] = layered[node.index] = 0
        for index in inputs[node.index]:
            before[node.index] |= before[index] | 1 << index
            layered[node.index] |= layered[index]
        if node.kind in LAYERS:
            layered[node.index] = before[node.index]
    return before, layered


def bottlenecks(graph: Graph, start: Node) -> tuple[Node, ...]:
    """Return the nodes through which everything passes that comes from ``start``, itself first."""
    behind = (start, *graph.downstream(start))
    return tuple(node for node in behind if _is_passed_by_all(node, behind))


def _is_passed_by_all(node: Node, behind: Sequence[Node]) -> bool:
    """Whether no result from before ``node`` is used after it (``behind`` is in running order)."""
    before = {other.index for other in behind if other.index < node.index}
    return not any(before.intersection(n.inputs) for n in behind if n.index > node.index)


def is_global_average(node: Node, maps: Node) -> bool:
    """Return whether a node is the average of every channel of the maps over all positions.

    Where the maps are constant, or so coarse a type that their maxima would pass as well, the
    values cannot tell and the kind of the operation decides.

    Args:
        node: Any operation.
        maps: The node of the feature maps ``(N, C, H, W)``, of more than one position.
    """
    if maps.value is None or maps.value.dim() != 4 or not is_channel_mean(node.value, maps.value):
        return False
    return node.kind in AVERAGES if is_flat(maps) else True


def is_flat(maps: Node) -> bool:
    """Return whether every channel is constant, so that its average equals its maximum."""
    value = maps.value
    return value is not None and value.dim() == 4 and is_channel_mean(value.amax((2, 3)), value)
