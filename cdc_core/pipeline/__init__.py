"""The engine proper: windows become batches, batches pass the gate, the catalog keeps the target's objects right."""
