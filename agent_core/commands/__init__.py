"""What can be typed after `iafm`? One function per subcommand: parse, call one function, print."""
