"""How a cost grows: a power law through measured points, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PowerLaw:
    """cost = factor * size ** exponent, with the exponent's 95 % interval."""

    factor: float
    exponent: float
    low: float
    high: float

    def __call__(self, size: float) -> float:
        """Return the cost at a size."""
        return self.factor * size**self.exponent


def fit(sizes: Sequence[float], costs: Sequence[float]) -> PowerLaw:
    """Fit a straight line to the logarithms, by least squares.

    The interval is Student's, with two degrees of freedom less than there are points; it holds
    for points that scatter about one power law. A constant share of the cost bends the line, and
    makes the exponent smaller.

    Raises
    ------
    ValueError
        With fewer than three points, or costs that are not positive.
    """
    from scipy.stats import t

    if len(costs) < 3 or min(costs) <= 0:
        raise ValueError(f"a trend needs three positive costs, not {list(costs)}")
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(costs, float))
    spread = ((x - x.mean()) ** 2).sum()
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    start = float(y.mean() - slope * x.mean())
    left = y - start - slope * x
    error = float(np.sqrt((left @ left) / (len(x) - 2) / spread))
    reach = float(t.ppf(0.975, len(x) - 2)) * error
    return PowerLaw(float(np.exp(start)), slope, slope - reach, slope + reach)
