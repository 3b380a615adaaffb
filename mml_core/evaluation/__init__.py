"""From a network's logits to rows of a table: score files, fusion, metrics, ensemble tables."""
