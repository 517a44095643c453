package journal

// DefaultMaxPayloadBytes bounds a payload unless configured otherwise: 1 MiB.
const DefaultMaxPayloadBytes = 1 << 20
