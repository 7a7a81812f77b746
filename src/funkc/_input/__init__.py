"""Everything that looks at what a user passed; all behind it may trust its input."""
