"""Variant 3: controlling the number of parameters.

A classifier of 16x16 images that keeps within 50,000 parameters, because a 1x1 convolution narrows
the maps in front of its last 3x3 convolution. Without that bottleneck it would break the limit.

References:
    Lin, Chen, Yan (2013), "Network In Network": the 1x1 convolution.
"""

from __future__ import annotations

from seminar.conditions import Variant
from seminar.variants.parameter_budget.conditions import CONDITIONS, LIMIT
from seminar.variants.parameter_budget.laws import (
    predict_break_even,
    predict_directions,
    predict_kept_share,
    predict_macs,
    predict_parameters,
    predict_separable_share,
    predict_silent_share,
)
from seminar.variants.parameter_budget.network import ParameterBudgetNet, build

__all__ = [
    "LIMIT",
    "VARIANT",
    "ParameterBudgetNet",
    "build",
    "predict_break_even",
    "predict_directions",
    "predict_kept_share",
    "predict_macs",
    "predict_parameters",
    "predict_separable_share",
    "predict_silent_share",
]

VARIANT = Variant.of(__name__, CONDITIONS, build)
