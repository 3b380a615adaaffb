"""What a recipe costs before anything is trained: clips that networks see, at measured rates."""
