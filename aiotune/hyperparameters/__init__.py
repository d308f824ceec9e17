"""The search space: what users declare, and how algorithms see it."""
