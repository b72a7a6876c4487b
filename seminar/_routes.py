"""The routes on which a signal passes through a network, without gates and identity shortcuts.

A gate only multiplies what it was computed from (squeeze and excitation), and an identity shortcut
only adds what went into the layers that it passes by (residual blocks). Clauses about the order of
the layers look at what is left without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from seminar.graph import Graph, Node

__all__ = ["Routes", "main_routes"]

_LAYERS = {"conv", "conv_transpose", "other_conv", "linear"}
_PRODUCTS = {"mul", "multiply", "__mul__", "__rmul__", "__imul__"}

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
        reached = {start.index}
        for node in nodes:
            if reached.intersection(self.inputs[node.index]):
                reached.add(node.index)
        return tuple(node for node in nodes if node.index in reached)


def main_routes(graph: Graph) -> Routes:
    """Return the routes of a graph without its gates and identity shortcuts.

    An input of a product is a gate where it comes, through a layer, from the other input; an input
    of a sum is a shortcut where the other input comes from it through a layer.
    """
    _, layered = _ancestors(graph.path, {node.index: node.inputs for node in graph.path})
    roots = _roots(graph)
    inputs = {}
    for node in graph.path:
        kept = node.inputs
        if len(kept) == 2:
            one, other = kept
            by_layer = [i for i, j in ((one, other), (other, one)) if layered[i] & roots[j]]
            if node.function.rstrip("_") in _PRODUCTS or node.function in _PRODUCTS:
                kept = tuple(i for i in kept if i not in by_layer)
            elif node.kind == "add":
                kept = tuple(by_layer[:1]) or kept
        inputs[node.index] = kept
    return Routes(graph, inputs)


def _roots(graph: Graph) -> dict[int, int]:
    """Return every node with what it is but reshaped, pooled or normalised, as bits."""
    roots: dict[int, int] = {}
    for node in graph.path:
        roots[node.index] = 1 << node.index
        if node.kind in _LIGHT:
            for index in node.inputs:
                roots[node.index] |= roots[index]
    return roots


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
        if node.kind in _LAYERS:
            layered[node.index] = before[node.index]
    return before, layered
