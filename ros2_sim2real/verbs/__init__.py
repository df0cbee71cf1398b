"""The verbs of `sim2real`, a file each: arguments in, figures or pictures out."""
