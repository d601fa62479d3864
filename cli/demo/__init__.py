"""`python -m wardgate.cli.demo`: a policy enforced on real packets, in namespaces of its own.

`namespace`, `links`, `tunnel` build the networks; `traffic` sends the packets; `scenario` says which;
`table` prints what was expected and seen. The end-to-end tests build on the same modules.
"""
