"""The gateway around a gate: what it knows of users and devices, and how it is kept.

`store` keeps it: one interface, behind which a file or a cluster may lie.
"""
