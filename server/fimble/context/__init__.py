"""What the model is told about the place where the cursor is."""
