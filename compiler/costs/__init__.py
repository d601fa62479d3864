"""What a policy's tables cost, and which form of them an artefact gets.

`planner` picks a plan from a survey (compiler.lowering), or says what to change where nothing fits; `certify`
writes down what was picked, why, and what it takes.
"""

from wardgate.compiler.costs.certificate import certify
from wardgate.compiler.costs.choose import Decision, choose, justify
from wardgate.compiler.costs.errors import BudgetError, TooLargeError
from wardgate.compiler.costs.planner import planner, refuse

__all__ = [
    "BudgetError",
    "Decision",
    "TooLargeError",
    "certify",
    "choose",
    "justify",
    "planner",
    "refuse",
]
