"""Command line: one function per subcommand."""
