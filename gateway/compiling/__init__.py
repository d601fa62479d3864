"""The one place where the gateway uses the compiler."""
