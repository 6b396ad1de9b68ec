"""The text that models are made from: where it comes from, under which licence, and what was left out."""
