package tiles

import "errors"

// What DecodeBinary refuses.
var (
	// ErrVersion is a format that this build does not know: a newer build wrote it.
	ErrVersion = errors.New("unknown format version of window state")
	// ErrLayout is a state of another spec.
	ErrLayout = errors.New("window state of another layout")
	// ErrCorrupt is no state at all.
	ErrCorrupt = errors.New("corrupt window state")
)
