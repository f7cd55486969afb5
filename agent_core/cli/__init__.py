"""Command line: one function a subcommand."""
