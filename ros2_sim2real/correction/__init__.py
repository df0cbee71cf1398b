"""Target -> Command: what the policy wants becomes what this arm does."""
