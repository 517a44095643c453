package features

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

const (
	// replayBatch is how many frames go from one step of a replay to the next together: handing over each by itself would
	// cost as much as decoding it.
	replayBatch = 64
	// replayAhead bounds the batches that are read and decoded before their turn to be applied.
	replayAhead = 16
)

// replayItem is one frame on its way through a replay.
type replayItem struct {
	f     journal.Frame
	event *pb.EventFrame // of an event's frame
	ev    Event
	err   error
}

// replayFrames is a batch of frames. It is used again once all are applied, so that their events keep their slices.
type replayFrames struct {
	items []replayItem
	ready chan struct{} // gets a value when all are decoded
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
	ahead := replayAhead
	if e.verifier != nil {
		ahead += e.verifier.batches
	}
	r := newReplayer(cursor, ahead)
	wg.Go(func() { r.read(ctx) })
	decoders := runtime.GOMAXPROCS(0)
	if e.paced != nil {
		decoders = 1
	}
	for range decoders {
		wg.Go(func() { r.decode(e.cfg.Kinds) })
	}
	return e.applyAgain(ctx, r)
}

// replayer has the batches of a replay. Each is in one of the channels, or with the one goroutine that took it out.
type replayer struct {
	cursor journal.Cursor
	free   chan *replayFrames
	// queue has them in the order of their frames, for the one who applies; work for who decodes. What is in work is in
	// queue already, so the applier never waits for what nobody will decode.
	queue, work chan *replayFrames
}

func newReplayer(cursor journal.Cursor, ahead int) *replayer {
	r := &replayer{
		cursor: cursor, free: make(chan *replayFrames, ahead), queue: make(chan *replayFrames, ahead), work: make(chan *replayFrames, ahead),
	}
	for range ahead {
		r.free <- &replayFrames{items: make([]replayItem, 0, replayBatch), ready: make(chan struct{}, 1)}
	}
	return r
}

// read reads to the journal's end, or until ctx ends. The last item carries what went wrong.
func (r *replayer) read(ctx context.Context) {
	defer close(r.queue)
	defer close(r.work)
	for more := true; more; {
		var b *replayFrames
		select {
		case b = <-r.free:
		case <-ctx.Done():
			return
		}
		if more = b.fill(ctx, r.cursor); len(b.items) > 0 {
			r.queue <- b // there is room for all batches
			r.work <- b
		}
	}
}

// next gives the next batch, decoded; nil after the last.
func (r *replayer) next() *replayFrames {
	b, ok := <-r.queue
	if !ok {
		return nil
	}
	<-b.ready
	return b
}

// fill reads the batch's frames, and says whether there may be more.
func (b *replayFrames) fill(ctx context.Context, cursor journal.Cursor) bool {
	b.items = b.items[:0]
	for len(b.items) < replayBatch {
		f, err := cursor.Next(ctx)
		if errors.Is(err, io.EOF) {
			return false
		}
		b.items = b.items[:len(b.items)+1] // with what the one before left: the slices of its event
		item := &b.items[len(b.items)-1]
		item.f, item.event, item.err = f, nil, nil
		if err != nil {
			item.err = fmt.Errorf("cannot read the journal: %w", err)
			return false
		}
	}
	return true
}

func (r *replayer) decode(kinds *Kinds) {
	for b := range r.work {
		for i := range b.items {
			if item := &b.items[i]; item.err == nil {
				item.err = item.decode(kinds)
			}
		}
		b.ready <- struct{}{}
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
func (e *Engine) applyAgain(ctx context.Context, r *replayer) error {
	p := &prepared{}
	next := r.next
	if e.verifier != nil {
		next = func() *replayFrames { return e.verifier.next(r) }
	}
	for b := next(); b != nil; b = next() {
		began := time.Now()
		for i := range b.items {
			item := &b.items[i]
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
		if e.paced != nil {
			if err := e.paced(ctx, time.Since(began)); err != nil {
				return err
			}
		}
		r.free <- b
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
	case f.Kind == FramePush && !f.Erased:
		return e.replayPush(ctx, f)
	}
	if f.Kind == FrameEvent && e.verifier != nil {
		e.verifier.report.Erased++
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
	p.prepare(e.plan(), &item.ev)
	defer p.unpin()
	e.past.place(item)
	applied := positionOf(item.event.GetAppliedAt())
	if err := e.replayCorrections(p, item, applied); err != nil {
		return err
	}
	if e.past.has(item.f.Pos) {
		if err := e.past.omit(p); err != nil {
			return err
		}
	}
	if err := p.pin(ctx, e.cache.Load()); err != nil {
		return err
	}
	if e.verifier != nil {
		if err := e.verifier.beforeEvent(ctx, p, item); err != nil {
			return err
		}
	}
	e.seq.Lock()
	defer e.seq.Unlock()
	e.apply(p, item.f.Pos, item.f.KeyID, item.event, applied)
	return nil
}
