"""Tables and templates to one C file."""
