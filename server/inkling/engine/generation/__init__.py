"""Text generation: the decode loop, the prefix cache, drafting, stop rules, prompts."""
