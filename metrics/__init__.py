"""How answers are judged: numpy and scipy on counts, no I/O, no torch.

>>> from groupgap.metrics import count, judge
>>> answers = count(labels=[1, 1, 0, 0] * 20, predictions=[1, 0, 0, 0] * 20, membership=["a", "b"] * 40)
>>> judge(answers, positive=1, min_group=10, draws=100).eopp.value
1.0
"""

from .bootstrap import bootstrap, percentile_interval
from .calibration import Calibration, CalibrationReport, Scores, calibrate_all, calibration
from .calibration_error import expected_calibration_error
from .chance import chance_gaps
from .clustered import count_clusters, judge_clusters
from .coding import intersect, membership_matrix
from .counts import Counts, count
from .estimate import Chance, Estimate, GroupRates, Judgement, LeftOut
from .f1 import macro_f1
from .fairlearn_bridge import TidyAnswers, membership_patterns, metric_frame, to_fairlearn
from .gaps import GAPS, plan_gaps
from .intervals import newcombe, wilson
from .joint import JointCounts, count_pair
from .judge import judge, judge_all
from .lira import LiraOptions, lira_scores, logit_confidence
from .membership import AttackDifference, AttackJudgement, compare_attacks, judge_attack
from .multiplicity import benjamini_hochberg, letter_display
from .paired import Comparison, Difference, compare
from .rates import group_rates, overall_accuracy, tally
from .reliability import Bin, ReliabilityCurve, reliability_curve
from .roc import AttackPower, Roc, attack_power, roc_curve
from .seeds import SeedDifference, chance_over_seeds, mean_over_seeds, paired_over_seeds, pool_seeds
from .swap import mcnemar, swap_draws, swap_p_value
from .threshold import Pattern, Randomisation, ThresholdOutcome, optimize_threshold
from .trained_weights import compare_weights, stack_seeds
from .trainings import compare_trainings

__all__ = [
    "GAPS",
    "AttackDifference",
    "AttackJudgement",
    "AttackPower",
    "Bin",
    "Calibration",
    "CalibrationReport",
    "Chance",
    "Comparison",
    "Counts",
    "Difference",
    "Estimate",
    "GroupRates",
    "JointCounts",
    "Judgement",
    "LeftOut",
    "LiraOptions",
    "Pattern",
    "Randomisation",
    "ReliabilityCurve",
    "Roc",
    "Scores",
    "SeedDifference",
    "ThresholdOutcome",
    "TidyAnswers",
    "attack_power",
    "benjamini_hochberg",
    "bootstrap",
    "calibrate_all",
    "calibration",
    "chance_gaps",
    "chance_over_seeds",
    "compare",
    "compare_attacks",
    "compare_trainings",
    "compare_weights",
    "count",
    "count_clusters",
    "count_pair",
    "expected_calibration_error",
    "group_rates",
    "intersect",
    "judge",
    "judge_all",
    "judge_attack",
    "judge_clusters",
    "letter_display",
    "lira_scores",
    "logit_confidence",
    "macro_f1",
    "mcnemar",
    "mean_over_seeds",
    "membership_matrix",
    "membership_patterns",
    "metric_frame",
    "newcombe",
    "optimize_threshold",
    "overall_accuracy",
    "paired_over_seeds",
    "percentile_interval",
    "plan_gaps",
    "pool_seeds",
    "reliability_curve",
    "roc_curve",
    "stack_seeds",
    "swap_draws",
    "swap_p_value",
    "tally",
    "to_fairlearn",
    "wilson",
]
