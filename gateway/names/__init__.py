"""DNS names in rules: their addresses, asked again when those may have changed."""

from wardgate.gateway.names.book import NameBook
from wardgate.gateway.names.lookup import Answer, Lookup, look_up

__all__ = ["Answer", "Lookup", "NameBook", "look_up"]
