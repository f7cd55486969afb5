"""The embedded block world in the place of a Minecraft process, for the genuine MineRL package."""
