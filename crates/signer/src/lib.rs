//! The process that holds the octavia key ring and the sealing key, behind the ssh-agent protocol.
