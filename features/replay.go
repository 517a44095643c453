package features

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"google.golang.org/protobuf/proto"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// replayAhead bounds how many frames are read and decoded before their turn to be applied.
const replayAhead = 512

// replayItem is one frame on its way through a replay.
type replayItem struct {
	f     journal.Frame
	event *pb.EventFrame // of an event's frame
	ev    Event
	err   error
	ready chan struct{}
}

// replay applies all frames after a position, in their order. Reading, decoding and applying run beside each other,
// since a restart waits for it; all of it has ended when replay returns.
func (e *Engine) replay(ctx context.Context, after journal.Pos) error {
	from := journal.Pos{}
	if !after.IsZero() {
		from = after.Next()
	}
	cursor, err := e.journal.Read(from)
	if err != nil {
		return fmt.Errorf("cannot read the journal from %v: %w", from, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel()
		wg.Wait()
		_ = cursor.Close() // it was only read
	}()
	// What is sent to the decoders is in the queue already, so the applier never waits for what nobody will decode.
	queue, work := make(chan *replayItem, replayAhead), make(chan *replayItem, replayAhead)
	wg.Go(func() {
		defer close(queue)
		defer close(work)
		readFrames(ctx, cursor, queue, work)
	})
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for item := range work {
				item.err = item.decode(e.cfg.Kinds)
				close(item.ready)
			}
		})
	}
	return e.applyAgain(ctx, queue)
}

// readFrames reads to the journal's end, or until ctx ends. The last item carries what went wrong.
func readFrames(ctx context.Context, cursor journal.Cursor, queue, work chan<- *replayItem) {
	for {
		f, err := cursor.Next(ctx)
		if errors.Is(err, io.EOF) {
			return
		}
		item := &replayItem{f: f, err: err, ready: make(chan struct{})}
		if err != nil {
			item.err = fmt.Errorf("cannot read the journal: %w", err)
			close(item.ready)
		}
		select {
		case queue <- item:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		work <- item // the decoders end only after this
	}
}

// decode decodes an event's frame; it touches nothing but the item.
func (item *replayItem) decode(kinds *Kinds) error {
	if item.f.Kind != FrameEvent || item.f.Erased {
		return nil
	}
	frame := &pb.EventFrame{}
	if err := proto.Unmarshal(item.f.Payload, frame); err != nil {
		return fmt.Errorf("cannot decode an event: %w", err)
	}
	id := frame.GetEvent().GetEventId()
	if len(frame.GetContentHash()) != 32 {
		return fmt.Errorf("BUG: event %q has a content hash of %d bytes", id, len(frame.GetContentHash()))
	}
	if err := decode(kinds, frame.GetEvent(), &item.ev, [32]byte(frame.GetContentHash())); err != nil {
		return fmt.Errorf("cannot decode event %q: %w", id, err)
	}
	item.event = frame
	return nil
}

// applyAgain applies what was read, in order, with checkpoints between.
func (e *Engine) applyAgain(ctx context.Context, queue <-chan *replayItem) error {
	p := &prepared{}
	for item := range queue {
		<-item.ready
		if item.err != nil {
			return fmt.Errorf("after frame %v: %w", e.sequencer.last, item.err)
		}
		if err := e.replayFrame(ctx, p, item); err != nil {
			return fmt.Errorf("cannot apply frame %v again: %w", item.f.Pos, err)
		}
		if e.behind.Load() < int64(e.cfg.CheckpointFrames) {
			continue
		}
		if err := e.makeCheckpoint(ctx); err != nil {
			return err
		}
	}
	return ctx.Err() // a reader that was stopped says nothing
}

func (e *Engine) replayFrame(ctx context.Context, p *prepared, item *replayItem) error {
	f := item.f
	e.stats.replayed.Add(1)
	switch {
	case item.event != nil:
		return e.replayEvent(ctx, p, item)
	case f.Kind == FrameOffsets:
		var advance pb.OffsetAdvance
		if err := proto.Unmarshal(f.Payload, &advance); err != nil {
			return fmt.Errorf("cannot decode offsets: %w", err)
		}
		e.seq.Lock()
		e.applyOffsets(f.Pos, advance.GetOffsets())
		e.seq.Unlock()
		return nil
	case f.Kind == FrameErasure && !f.Erased:
		return e.replayErasure(ctx, f)
	}
	// An erased frame is one of a subject whose key was dropped, which happens after a checkpoint beyond it: only a state
	// that is built anew from an old journal meets one.
	if f.Erased {
		e.stats.erased.Add(1)
	}
	e.seq.Lock()
	e.advance(f.Pos)
	e.seq.Unlock()
	return nil
}

func (e *Engine) replayEvent(ctx context.Context, p *prepared, item *replayItem) error {
	p.prepare(e.plan, &item.ev)
	defer p.unpin()
	if err := p.pin(ctx, e.cache.Load()); err != nil {
		return err
	}
	applied := journal.Pos{}
	if at := item.event.GetAppliedAt(); at != nil {
		applied = journal.Pos{Partition: at.GetPartition(), Offset: at.GetOffset()}
	}
	e.seq.Lock()
	defer e.seq.Unlock()
	e.apply(p, item.f.Pos, item.f.KeyID, item.event, applied)
	return nil
}
