"""Search by meaning, bottom up: words, chunks, bm25, ranking, index, store, indexer, plugin."""
