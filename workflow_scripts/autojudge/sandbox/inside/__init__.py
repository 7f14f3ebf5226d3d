"""What runs inside the sandbox: the standard library alone, relative imports alone, started as a package by itself."""
