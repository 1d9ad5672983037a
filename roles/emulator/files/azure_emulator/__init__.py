"""A local Azure for tests, demos and rehearsals."""
