"""Model files: where they are, what they are, how they are loaded. Import submodules; this file stays light."""
