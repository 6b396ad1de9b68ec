"""Conversations in documents: lists of messages, each known with the place where it stands."""
