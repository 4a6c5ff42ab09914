//! How fast a cloud's API may be called.
