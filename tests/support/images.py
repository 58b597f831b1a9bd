def build_all(): pass
