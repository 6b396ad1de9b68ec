"""Recipes that make models: tokenizer, causal and masked pre-training, classifiers.

Each recipe is one TOML file in, one plain ``save_pretrained`` folder with a model card out. Runs can be
interrupted at any moment and resume where they were.
"""
