"""Motion vectors that the codec has computed."""
