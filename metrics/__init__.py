"""How answers are judged: numpy and scipy on counts, no I/O, no torch.

>>> from groupgap.metrics import count, judge
>>> answers = count(labels=[1, 1, 0, 0] * 20, predictions=[1, 0, 0, 0] * 20, membership=["a", "b"] * 40)
>>> judge(answers, positive=1, min_group=10, draws=100).eopp.value
1.0
"""

from .bootstrap import bootstrap, percentile_interval
from .chance import chance_gaps
from .coding import intersect, membership_matrix
from .counts import Counts, count
from .estimate import Chance, Estimate, GroupRates, Judgement, LeftOut
from .gaps import GAPS, plan_gaps
from .intervals import newcombe, wilson
from .judge import judge
from .rates import group_rates, overall_accuracy, tally

__all__ = [
    "GAPS",
    "Chance",
    "Counts",
    "Estimate",
    "GroupRates",
    "Judgement",
    "LeftOut",
    "bootstrap",
    "chance_gaps",
    "count",
    "group_rates",
    "intersect",
    "judge",
    "membership_matrix",
    "newcombe",
    "overall_accuracy",
    "percentile_interval",
    "plan_gaps",
    "tally",
    "wilson",
]
