"""The `wardgate` command, and the demo. `main` is its entry; `commands` has a module for each subcommand."""
