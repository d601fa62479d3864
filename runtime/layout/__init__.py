"""What compiler and runtime agree on, defined once.

`codes`: verdicts, reasons, directions. `records`: the structs that cross the boundary. `maps`: the
maps of an artefact. `manifest`: what an artefact says of itself.
"""
