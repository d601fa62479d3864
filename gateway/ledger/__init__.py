"""Changes to what a gateway knows: decided by what is stored, done whole, and written to the audit log.

A change and its line in the audit log are one transaction: there is no change without its line, and no line
without its change.
"""

from wardgate.gateway.ledger.chain import Verified, verify
from wardgate.gateway.ledger.change import Change
from wardgate.gateway.ledger.ledger import Ledger

__all__ = ["Change", "Ledger", "Verified", "verify"]
