"""Judge what was handed over, in a process in which no student's code has run."""

from __future__ import annotations

from typing import Any

from seminar.conditions import accepted_input_shape, check
from seminar.grading.crossing.packet import unpack
from seminar.grading.crossing.rebuild import rebuild
from seminar.grading.limits import Limits, RefusalError
from seminar.variants import VARIANTS

__all__ = ["judge"]


def judge(packet: bytes, number: int, seed: int, limits: Limits) -> dict[str, Any]:
    """Rebuild the networks of a packet and check them.

    Args:
        packet: What a child sent, which may be anything.
        number: Number of the variant.
        seed: Seed of the check.
        limits: Sizes above which it is not judged.

    Returns:
        ``{"status": "checked", "findings": [...]}``, or ``{"status": ..., "message": ...}`` with
        the status ``"refused"`` (malformed or too large), ``"undecided"`` (an operation that is
        not known, or one on which the check itself fails) or ``"not run"`` (the check says why).
    """
    variant = VARIANTS[number]
    try:
        given = unpack(packet, limits)
        shape = accepted_input_shape(
            given.input_shape, variant.input_shape, free=variant.input_is_free
        )
        if set(given.networks) != set(variant.heads or ("",)):
            raise RefusalError("malformed", "the networks are not those of the exercise")
        batch = (variant.batch_size, *shape)
        models = {head: rebuild(net, batch, limits) for head, net in given.networks.items()}
        model = models if variant.heads else models[""]
        report = check(variant, model, input_shape=shape, seed=seed)
    except RefusalError as error:
        status = "undecided" if error.kind == "operation" else "refused"
        return {"status": status, "message": error.message}
    except (ValueError, TypeError) as error:
        return {"status": "not run", "message": str(error)}
    except Exception as error:  # what a clause does with a network that nobody thought of
        said = f"the check fails on this network ({type(error).__name__})"
        return {"status": "undecided", "message": said}
    return {"status": "checked", "findings": report.to_dict()["findings"]}
