"""New images without a reference -> masks: pictures -> prompts of a file, or none -> masks, overlays, a table."""
