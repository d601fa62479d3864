"""The network around a gateway's tunnel."""
