"""The decision process: one batched engine, two faces, and the parts it is made of."""
