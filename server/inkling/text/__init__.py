"""Text: positions, the document mirror, snapshots, segments, token counts. Imports no LSP and no model code."""
