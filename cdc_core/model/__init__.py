"""Values: what the engine talks about. No I/O."""
