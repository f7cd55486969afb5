"""Wire protocol: messages, frames, actions; no I/O."""
