"""`python -m wardgate.cli.demo.gateway`: the gateway service with real tunnels, in namespaces of its own.

`site` builds the networks and runs the commands; `laptop` is a user's machine: it enrols, connects, logs in
by `portal` with codes of `authenticator`; `story` says what happens and what must come of it; `traces` finds
what a gateway leaves behind.
"""
