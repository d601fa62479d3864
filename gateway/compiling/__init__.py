"""The one place where the gateway compiles: see tests/unit/project/test_boundaries.py."""
