"""Networks that meet the assignments, the laws that predict them, and checks for yours.

Attributes are loaded on first use: ``import seminar`` costs nothing, and a change in one module
concerns only the scripts that use it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seminar.conditions import Finding, Report, check
    from seminar.evidence import Comparison, estimate
    from seminar.variants import VARIANTS

__version__ = "0.1.0"

__all__ = ["VARIANTS", "Comparison", "Finding", "Report", "__version__", "check", "estimate"]

_HOMES = {
    "VARIANTS": "seminar.variants",
    "Comparison": "seminar.evidence",
    "Finding": "seminar.conditions",
    "Report": "seminar.conditions",
    "check": "seminar.conditions",
    "estimate": "seminar.evidence",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'seminar' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
