"""The one place where the gateway knows the compiler: policies, and the language that its settings are in.

Everything else in the gateway sees only what is defined here.
"""
