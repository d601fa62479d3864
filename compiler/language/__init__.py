"""The policy language: text to a `Policy`, with every error placed.

`load_policy` reads a file, `parse_policy_text` a text, and `PolicyReader` a file that changes; `load_claim`
reads a file and an assertion about it. They give a `LoadedPolicy` or raise `PolicyError` with the
`Diagnostic`s of all files. DNS names need a `Resolver`.
"""

from wardgate.compiler.language.diagnostics import Code, Diagnostic, PolicyError, Severity
from wardgate.compiler.language.load import (
    LoadedPolicy,
    PolicyReader,
    load_claim,
    load_policy,
    parse_claim,
    parse_policy_text,
)
from wardgate.compiler.language.query import (
    QueryError,
    parse_query_address,
    parse_query_service,
    parse_query_user,
)
from wardgate.compiler.language.resolver import (
    ResolveError,
    Resolver,
    static_resolver,
    system_resolver,
)
from wardgate.compiler.language.services import service_label

__all__ = [
    "Code",
    "Diagnostic",
    "LoadedPolicy",
    "PolicyError",
    "PolicyReader",
    "QueryError",
    "ResolveError",
    "Resolver",
    "Severity",
    "load_claim",
    "load_policy",
    "parse_claim",
    "parse_policy_text",
    "parse_query_address",
    "parse_query_service",
    "parse_query_user",
    "service_label",
    "static_resolver",
    "system_resolver",
]
