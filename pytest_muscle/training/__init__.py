"""Adapters: what they learn, how they are trained, where they are kept."""
