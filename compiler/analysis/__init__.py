"""What policies mean, compared and proved: exactly, for every user, address, service and session.

`compare` says what differs between two `View`s, of policies or artefacts; `prove` whether an assertion holds.
Users, addresses and services are cut into finitely many sets that nothing tells apart, and all combinations
are looked at.
"""

from wardgate.compiler.analysis.artefact_view import view_of_artefact
from wardgate.compiler.analysis.diff import compare
from wardgate.compiler.analysis.errors import AnalysisError
from wardgate.compiler.analysis.policy_view import view_of_policy
from wardgate.compiler.analysis.prover import Counterexample, Proved, Prover, prove
from wardgate.compiler.analysis.statements import Difference, Statement

__all__ = [
    "AnalysisError",
    "Counterexample",
    "Difference",
    "Proved",
    "Prover",
    "Statement",
    "compare",
    "prove",
    "view_of_artefact",
    "view_of_policy",
]
