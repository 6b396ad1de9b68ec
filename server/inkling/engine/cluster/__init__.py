"""The engine on a cluster: the same app under Ray Serve, with a deployment of its own for each model.

A *gateway* takes HTTP: it is the app of `inkling.engine.app` with a `ClusterWork` in place of a scheduler. It gives
each request to a *replica* of the model's deployment, which is a scheduler with that one model. Completions of one
document go to the replica that holds its prefix cache. `replica`, `router`, `handles`, `application` and `up` import
ray; the rest is plain Python.
"""
