package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// maxFindings bounds how many decisions a Summary describes; it counts all.
const maxFindings = 20

// progressEvery is how many frames are read between two calls of a progress function.
const progressEvery = 1024

// Summary counts what ReplayAll read.
type Summary struct {
	// Last is the last frame that was read.
	Last journal.Pos
	// Frames counts all frames, Decisions those that hold one.
	Frames, Decisions uint64
	// Same, Within, Different and Failed are the decisions by their fate: the same bytes, the same to the tolerance of a model
	// whose bits depend on the machine, others, and those that could not be made again. Erased counts event frames whose subject
	// was erased, and with it whatever they held.
	Same, Within, Different, Failed, Erased uint64
	// Findings are the first decisions that are different or failed, in the journal's order.
	Findings []Finding
}

// Finding is a decision that did not replay.
type Finding struct {
	// Pos is the frame.
	Pos journal.Pos
	// Result says what differs.
	Result Result
	// Err is why it could not be made again; nil where it is only different.
	Err error
}

// String gives the finding in a few lines.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "frame %v, decision %s:", f.Pos, f.Result.DecisionID)
	if f.Err != nil {
		fmt.Fprintf(&b, "\n  %v", f.Err)
	}
	for _, d := range f.Result.Diffs {
		fmt.Fprintf(&b, "\n  %v", d)
	}
	return b.String()
}

// Identical says that every decision that could be read replayed: with the same bytes, or within its model's tolerance.
func (s *Summary) Identical() bool { return s.Different == 0 && s.Failed == 0 }

// ReplayAll replays every decision from the frame at from (zero: the oldest) to the one at to (zero: the last when the
// call began). progress, which may be nil, is called now and then and at the end. What one decision does wrong is a
// finding; the error is of the journal or the context.
func (a *Auditor) ReplayAll(ctx context.Context, from, to journal.Pos, progress func(*Summary)) (_ *Summary, err error) {
	s := &Summary{}
	if to.IsZero() {
		to = a.cfg.Journal.Head()
	}
	if progress == nil {
		progress = func(*Summary) {}
	}
	defer func() { progress(s) }()
	if to.IsZero() {
		return s, nil // nothing was ever written
	}
	cursor, err := a.cfg.Journal.Read(from)
	if err != nil {
		return s, fmt.Errorf("cannot replay from %v: %w", from, err)
	}
	defer func() { err = errors.Join(err, cursor.Close()) }()
	for {
		frame, err := cursor.Next(ctx)
		if errors.Is(err, io.EOF) || err == nil && to.Less(frame.Pos) {
			return s, nil
		}
		if err != nil {
			return s, fmt.Errorf("cannot replay after %v: %w", s.Last, err)
		}
		if err := a.replayNext(ctx, &frame, s); err != nil {
			return s, err
		}
		if s.Frames%progressEvery == 0 {
			progress(s)
		}
	}
}

// replayNext replays one frame, if it holds a decision.
func (a *Auditor) replayNext(ctx context.Context, frame *journal.Frame, s *Summary) error {
	s.Frames++
	s.Last = frame.Pos
	if frame.Kind != features.FrameEvent {
		return nil
	}
	if frame.Erased {
		s.Erased++
		return nil
	}
	var event pb.EventFrame
	if err := proto.Unmarshal(frame.Payload, &event); err != nil {
		s.Failed++
		s.find(Finding{Pos: frame.Pos, Err: fmt.Errorf("cannot read the frame: %w", err)})
		return nil
	}
	if event.GetDecision() == nil {
		return nil
	}
	s.Decisions++
	result, err := a.Replay(ctx, &event)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		s.Failed++
		s.find(Finding{frame.Pos, result, err})
	case result.Within:
		s.Within++
	case !result.Same:
		s.Different++
		s.find(Finding{frame.Pos, result, nil})
	default:
		s.Same++
	}
	return nil
}

func (s *Summary) find(f Finding) {
	if len(s.Findings) < maxFindings {
		s.Findings = append(s.Findings, f)
	}
}
