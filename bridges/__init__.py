"""Bridges between games and policies: `client` for a game, `play` for an `Env`, `policy` and `serving` for a server.

Nothing is imported here: a game that loads `bridges.client` gets the client and no more.
"""
