"""A window in which a person plays any game with an environment, and the agent in turn."""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # before pygame is imported
os.environ.setdefault("SDL_IME_SHOW_UI", "1")  # the candidates of an input method
os.environ.setdefault("SDL_MOUSE_FOCUS_CLICKTHROUGH", "1")  # one click goes on
