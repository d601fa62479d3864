"""What the compiler asks for the addresses of a name, and how a name that has none is told."""

from wardgate.compiler.language.resolver import ResolveError, Resolver

__all__ = ["ResolveError", "Resolver"]
