package features

import "pitboss/journal"

// The kinds of the engine's frames in the journal. The numbers are on disk: never change one, only add. 1 to 31 are the
// engine's.
const (
	// FrameEvent holds a pb.EventFrame, sealed with the subject's key.
	FrameEvent journal.Kind = 1
	// FrameOffsets holds a pb.OffsetAdvance.
	FrameOffsets journal.Kind = 2
	// FrameErasure holds a pb.ErasureFrame.
	FrameErasure journal.Kind = 3
	// FramePush holds a pb.PushFrame, sealed with the subject's key or the tenant's.
	FramePush journal.Kind = 4
)
