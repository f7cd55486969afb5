"""VPT and BASALT contractor recordings: import."""
