"""What a clause of the assignment is, and how a network is judged by it.

A :class:`Condition` is a property of a network, never a comparison with our solution: any valid
network passes, however it is written. :func:`check` runs the network, hands what was observed to
every condition of a variant and returns a :class:`Report` of one :class:`Finding` per condition.
What it accepts as a model and as an input shape, the grader accepts by the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from seminar._checks import whole_number
from seminar._registry import VARIANTS
from seminar._report import Finding, Outcome, Report
from seminar._text import joined, said
from seminar.exercises import EXERCISES, Exercise, numbers
from seminar.graph import Graph, like_weights, observe
from seminar.graph.failures import plain_module
from seminar.graph.private import ordinary_mode
from seminar.graph.steps import steps
from seminar.strip import Strip

__all__ = [
    "Condition",
    "Finding",
    "Outcome",
    "Report",
    "Subject",
    "Variant",
    "accepted_input_shape",
    "accepted_models",
    "check",
    "output_shape",
    "random_batch",
]

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Condition:
    """One clause of the assignment, or a part of one.

    Attributes:
        clause: Id of the clause, such as ``"1.b"``.
        text: What must be true, in words.
        expected: The expected measurement, short.
        judge: Decides it from what was observed.
        required: False for advice, which never fails a network.
    """

    clause: str
    text: str
    expected: str
    judge: Callable[[Subject], Outcome] = field(repr=False)
    required: bool = True


@dataclass(frozen=True)
class Variant:
    """One exercise of the seminar.

    Attributes:
        number: Its number in the assignment, from 1.
        slug: Name of its room in :mod:`seminar.variants`.
        title: Its subject.
        question: The question that its page answers, as a student would ask it.
        input_shape: Shape of one input, ``(C, H, W)``.
        conditions: Its clauses, in the order of the assignment.
        build: ``build(seed=0, **case)`` returns the site's own network.
        batch_size: Number of inputs in the observed batch.
        input_is_free: Whether a network may choose another input shape.
        heads: Names of the networks, where the exercise asks for several.
    """

    number: int
    slug: str
    title: str
    question: str
    input_shape: tuple[int, int, int]
    conditions: tuple[Condition, ...] = field(repr=False)
    build: Callable[..., nn.Module] = field(repr=False)
    batch_size: int = 2
    input_is_free: bool = True
    heads: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        room: str,
        conditions: tuple[Condition, ...],
        build: Callable[..., nn.Module],
        *,
        batch_size: int = 2,
    ) -> Variant:
        """Return the variant of a room in :mod:`seminar.variants`.

        Args:
            room: The room's ``__name__``; its ``exercise.toml`` says what the exercise asks.
            conditions: Its clauses, in the order of the assignment.
            build: Returns the site's own network.
            batch_size: Number of inputs in the observed batch.

        Returns:
            The variant.
        """
        exercise = Exercise.of(room)
        return cls(
            number=exercise.number,
            slug=exercise.slug,
            title=exercise.title,
            question=exercise.question,
            input_shape=exercise.input_shape,
            conditions=conditions,
            build=build,
            batch_size=batch_size,
            input_is_free=exercise.input_is_free,
            heads=exercise.heads,
        )


@dataclass(frozen=True)
class Subject:
    """A network under examination: what a condition may look at.

    Attributes:
        models: The networks by head; the key is ``""`` where there is only one.
        graphs: What each of them did on the observed batch, in evaluation mode.
        input_shape: Shape of one input, ``(C, H, W)``.
        batch_size: Number of inputs in the observed batch.
        seed: Seed of every random input and target.
    """

    models: Mapping[str, nn.Module]
    graphs: Mapping[str, Graph]
    input_shape: tuple[int, ...]
    batch_size: int
    seed: int

    @property
    def model(self) -> nn.Module:
        """The only network."""
        (model,) = self.models.values()
        return model

    @property
    def graph(self) -> Graph:
        """What the only network did."""
        (graph,) = self.graphs.values()
        return graph


def check(
    variant: int | Variant,
    model: nn.Module | Mapping[str, nn.Module],
    *,
    input_shape: tuple[int, int, int] | None = None,
    seed: int = 0,
) -> Report:
    """Judge a network by the clauses of a variant.

    A deep copy of the network, without hooks, is run on a random batch and observed, so that the
    network and the random state stay as they were. Where a network cannot be copied, it runs
    itself; then what its ``forward`` changes inside its own lists and plain tensors stays changed.

    Args:
        variant: Number of the variant, or the :class:`Variant`.
        model: Any ``nn.Module``, compiled or not; for variant 4 a mapping
            ``{"flatten": module, "gap": module}``.
        input_shape: Shape of one input, ``(C, H, W)``, where the network wants another than the
            site's own and the variant leaves it free.
        seed: Seed of the random inputs and targets, at least 0.

    Returns:
        One finding per condition.

    Raises:
        TypeError: If the model is not an ``nn.Module`` (or mapping of them, for variant 4), or
            scripted, or the seed is no whole number.
        ValueError: If the variant, the input shape or the seed is wrong, or the model cannot be
            run; the message says what to change.
    """
    if not isinstance(variant, Variant):
        variant = _look_up(variant)
    shape = accepted_input_shape(input_shape, variant.input_shape, free=variant.input_is_free)
    seed = whole_number(seed, "seed", 0)
    models = accepted_models(model, variant.heads)
    with ordinary_mode():  # a check needs gradients, wherever it is called
        graphs = {
            head: _observed(module, head, variant, shape, seed) for head, module in models.items()
        }
        subject = Subject(models, graphs, shape, variant.batch_size, seed)
        findings = tuple(_find(condition, subject) for condition in variant.conditions)
    title = said("Variant {number}: {title}", number=variant.number, title=variant.title)
    return Report(title, findings, partial(_drawn, graphs))


def _drawn(graphs: Mapping[str, Graph]) -> tuple[Strip, ...]:
    return tuple(Strip(steps(graph), caption=head) for head, graph in graphs.items())


def _observed(
    model: nn.Module, head: str, variant: Variant, shape: tuple[int, ...], seed: int
) -> Graph:
    x = random_batch(variant.batch_size, shape, seed)
    with torch.no_grad():
        graph = observe(model, like_weights(model, x))
    if not graph.convolutions:
        name = f"model[{head!r}]" if head else "model"
        others = graph.of_kind("other_conv")
        found = f" ({others[0].where} is a {others[0].function})" if others else ""
        raise ValueError(
            f"{name} has no 2D convolution between its input and its output{found}; check that "
            "forward() uses its layers, stays in torch (no numpy) and returns the last result"
        )
    return graph


def random_batch(batch_size: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Return a batch of standard normal inputs, shape ``(batch_size, *shape)``."""
    return torch.randn(batch_size, *shape, generator=torch.Generator().manual_seed(seed))


def output_shape(
    clause: str, expected: tuple[int, ...], *, text: str = "", batch_size: int | None = None
) -> Condition:
    """Make the condition that the output has this shape behind its batch dimension.

    Args:
        clause: Id of the clause.
        expected: The shape of one output, such as ``(64, 16, 16)``.
        text: What the clause says, where it asks for nothing else.
        batch_size: Batch size to show in the text, or None for a free one.

    Returns:
        The condition.
    """
    sizes = joined(map(str, expected))
    free = "(batch, {sizes})" if batch_size is None else "({batch}, {sizes})"
    wanted = said(free, batch=batch_size, sizes=sizes)

    def judge(subject: Subject) -> Outcome:
        shape = tuple(subject.graph.output.shape)
        right = shape == (subject.batch_size, *expected)
        last = subject.graph.path[-1].where
        return Outcome(
            holds=right,
            measured=said(
                "{shape} from an input of {given}",
                shape=shape,
                given=(subject.batch_size, *subject.input_shape),
            ),
            remedy=_shape_remedy(shape, (subject.batch_size, *expected), last),
        )

    return Condition(
        clause, text or said("The output has shape {shape}.", shape=wanted), wanted, judge
    )


def _shape_remedy(shape: tuple[int, ...], wanted: tuple[int, ...], last: str) -> str:
    if len(shape) != len(wanted):
        return said(
            "{layer}: the output has {found} dimensions; keep all {wanted}",
            layer=last,
            found=len(shape),
            wanted=len(wanted),
        )
    if shape[0] != wanted[0]:
        return said(
            "{layer}: a batch of {wanted} came out as {found}; leave the batch size free",
            layer=last,
            wanted=wanted[0],
            found=shape[0],
        )
    if shape[1] != wanted[1]:
        return said(
            "{layer}: make the last layer give {wanted} channels instead of {found}",
            layer=last,
            wanted=wanted[1],
            found=shape[1],
        )
    return said(
        "{layer}: the maps are {found} instead of {wanted}; change a stride, a padding or a "
        "pooling before it",
        layer=last,
        found=f"{shape[2]}x{shape[3]}",
        wanted=f"{wanted[2]}x{wanted[3]}",
    )


def _find(condition: Condition, subject: Subject) -> Finding:
    outcome = condition.judge(subject)
    return Finding(
        clause=condition.clause,
        text=condition.text,
        expected=condition.expected,
        measured=outcome.measured,
        holds=outcome.holds,
        remedy="" if outcome.holds is not False else outcome.remedy,
        reason="" if outcome.holds is not None else outcome.reason,
        required=condition.required,
    )


def _look_up(number: int) -> Variant:
    if number not in EXERCISES:
        raise ValueError(
            f"variant (={number!r}) must be a number from {numbers()} or a Variant; "
            "seminar.VARIANTS lists them"
        )
    variant: Variant = VARIANTS[number]
    return variant


def accepted_input_shape(shape: object, own: Shape, *, free: bool) -> Shape:
    """Return the input shape to use.

    Args:
        shape: What the caller gave, or None for the variant's own.
        own: The variant's own input shape, ``(C, H, W)``.
        free: Whether the variant lets a network choose another.

    Returns:
        Three positive sizes.

    Raises:
        ValueError: If the shape has another rank, a size below 1, or is prescribed otherwise.
    """
    if shape is None:
        return own
    sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    try:
        channels, height, width = (whole_number(size, "size", 1) for size in sizes)
    except (TypeError, ValueError):
        raise ValueError(
            f"input_shape (={shape!r}) must be three positive sizes (C, H, W), without the batch; "
            f"the site's own network takes {own}"
        ) from None
    if not free and sizes != own:
        raise ValueError(
            f"input_shape (={sizes}) must be {own}: this variant prescribes its input; "
            "leave the argument out"
        )
    return channels, height, width


def accepted_models(model: object, heads: tuple[str, ...]) -> dict[str, nn.Module]:
    """Return the networks by head, ``""`` for the only one, without what wraps them.

    Args:
        model: A module, or a mapping of modules (also an ``nn.ModuleDict``) where the variant has
            several heads.
        heads: The names of the heads; empty for one network.

    Returns:
        One module per head: what ``torch.compile`` or ``nn.DataParallel`` wrapped.

    Raises:
        TypeError: If the model is not what the variant wants, or scripted.
    """
    if not heads:
        return {"": plain_module(model)}
    if isinstance(model, nn.ModuleDict):
        model = dict(model)
    wanted = ", ".join(f'"{head}": module' for head in heads)
    if not isinstance(model, Mapping) or set(model) != set(heads):
        given = f"the keys {list(model)}" if isinstance(model, Mapping) else type(model).__name__
        raise TypeError(f"model must be a mapping {{{wanted}}} for this variant, got {given}")
    return {head: plain_module(model[head], f"model[{head!r}]") for head in heads}
