"""The control API: HTTP on a unix socket, for root and a group, and what the command line stands on.

`operations` says what it asks of the gateway's parts, `app` is the API, `server` the socket; `peers` says who
is at its other end.
"""
