"""Command -> Verdict: nothing moves an arm except through here."""
