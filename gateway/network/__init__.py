"""The network around a gateway's tunnel: its interface, masquerading, forwarding, and checks of all that.

The order is the caller's: `preflight`; a device (wardgate.gateway.wireguard); `TunnelNetwork.prepare`; the
gate; `TunnelNetwork.activate`, `Forwarding.enable`, `apply_masquerade`. To leave the machine as it was:
`remove_masquerade`, the device's `destroy`, and `Forwarding.restore` last.
"""
