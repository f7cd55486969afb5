"""Console: the page that shows a running player, and a script that photographs it."""
