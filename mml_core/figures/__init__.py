"""Figures of networks and their scores: tables and pictures."""
