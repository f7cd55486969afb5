"""Token ids of text and of actions: vocabulary and action codec."""
