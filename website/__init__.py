"""What the documentation site has besides docs/: hooks of MkDocs, and pages made from the code."""
