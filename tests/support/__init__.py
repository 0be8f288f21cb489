"""What the end-to-end tests share: processes, packages, stores, clouds and references."""
