"""Live Minecraft servers: a player of their own kind, in Node, attached to a policy over the wire."""
