"""The engine: the one process that holds models and computes, and the client that talks to it."""
