"""Videos that show the same: how they are told apart from videos that only look alike, and the table of them."""
