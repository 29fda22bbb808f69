//! What was seen: the self-proving asciicast v3 recording, written, read back and verified.
