"""One file per Hugging Face task: tokenize, run the model, decode the logits."""
