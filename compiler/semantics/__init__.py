"""What a policy means: the definition that everything compiled is tested against.

`evaluate` judges one packet and is written to be read; see `reference`. `Evaluator` answers many
questions about one policy. `user_classes` groups users by effective policy.
"""

from wardgate.compiler.semantics.effective import (
    UserClass,
    UserClasses,
    buckets,
    effective_rules,
    subjects_of,
    user_classes,
)
from wardgate.compiler.semantics.evaluator import Evaluator
from wardgate.compiler.semantics.reference import Decision, Session, evaluate, reason_for
from wardgate.compiler.semantics.services import any_matches, matches

__all__ = [
    "Decision",
    "Evaluator",
    "Session",
    "UserClass",
    "UserClasses",
    "any_matches",
    "buckets",
    "effective_rules",
    "evaluate",
    "matches",
    "reason_for",
    "subjects_of",
    "user_classes",
]
