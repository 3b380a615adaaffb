"""What is odd about a data set: the page about its videos, and labels that are likely wrong."""
