package features

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// Past is where a backfill finds what happened before the journal's first frame: a file, or topics that reach back further
// than the journal is kept. Of what the journal holds, the journal alone is believed: the same event counts once, as its
// frame says.
type Past struct {
	// Name says what it is. A backfill that was interrupted goes on with what it has gathered from a past of the same name,
	// and begins anew with one of another.
	Name string
	// Whole says that there was nothing before its first event: the groups have then seen everything. Else they warm up
	// since that event.
	Whole bool
	// Read calls each with every event, in any order, and gives the time in microseconds since which it has all there was: 0
	// for that of its earliest event. An event is each's until the call ends. Limits say what the journal has anyway.
	Read func(ctx context.Context, limits PastLimits, each func(ev *Event) error) (since int64, err error)
}

// PastLimits say where the journal takes over from a Past.
type PastLimits struct {
	// Before bounds received_at, in microseconds: later events are in the journal, or never came. each passes them over.
	Before int64
	// Kafka has, for each partition that the journal reads, the first offset that is in the journal or yet to be read.
	Kafka []*pb.KafkaOffset
}

// PastCounts say what became of a Past's events.
type PastCounts struct {
	// Read is how many there were.
	Read uint64
	// Taken went into the new groups; Held are in the journal, Again came twice, and Later were received after the journal's
	// beginning. Refused are those under whose event_id or transaction another event is.
	Taken, Held, Again, Later, Refused uint64
	// Oldest is the earliest occurred_at and Newest the latest received_at of those that were taken, microseconds.
	Oldest, Newest int64
}

// pastName names the journal of what was gathered for a backfill, pastIndex the states it is gathered with.
func pastName(id uint32) string  { return fmt.Sprintf("past-%d", id) }
func pastIndex(id uint32) string { return fmt.Sprintf("past-%d-index", id) }

// gatherer reads a Past into a journal of its own, beside the engine's, as a follower can then replay it. It is an engine
// without groups: that dedupes events, finds what they take back, and says both in their frames.
type gatherer struct {
	of *Engine
	// in is the engine that gathers, and index its states.
	in    *Engine
	index States
	log   journal.Journal

	limits PastLimits
	counts PastCounts
	// first is the journal's first frame.
	first journal.Pos
}

// gather reads the engine's Past for a backfill. It begins anew what was not finished.
func (e *Engine) gather(ctx context.Context, id uint32) (start fillStart, err error) {
	if err = e.cfg.Sides.Keep(sideName(id)); err != nil {
		return start, fmt.Errorf("cannot remove what was gathered before: %w", err)
	}
	g, err := e.newGatherer(ctx, id)
	if err != nil {
		return start, err
	}
	inner, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = g.in.Run(inner) }) // it has no other end than inner's
	since, err := g.read(ctx)
	stop()
	running.Wait()
	err = errors.Join(err, g.close()) //nolint:contextcheck // what is open is closed, whatever ended
	if err != nil {
		return start, err
	}
	e.fills.past.Store(&g.counts)
	return g.start(since), nil
}

func (e *Engine) newGatherer(ctx context.Context, id uint32) (g *gatherer, err error) {
	g = &gatherer{of: e}
	if g.log, err = e.cfg.Sides.Journal(pastName(id)); err != nil {
		return nil, fmt.Errorf("cannot gather: %w", err)
	}
	if g.index, err = e.cfg.Sides.Open(pastIndex(id)); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot gather: %w", err), g.log.Close())
	}
	cfg := e.cfg
	cfg.Sides, cfg.Past, cfg.Durable = nil, nil, false
	// It keeps no entity but the tenants: what is gathered goes when the backfill ends, and needs no key for each subject.
	cfg.SubjectKind = "tenant"
	cfg.OnCheckpoint = func(journal.Pos) {}
	if g.in, err = OpenEngine(ctx, cfg, g.log, g.index); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot gather: %w", err), g.index.Close(), g.log.Close())
	}
	return g, nil
}

func (g *gatherer) close() error {
	return errors.Join(g.in.Close(), g.index.Close(), g.log.Close())
}

// read notes what the journal holds, then takes what the past has besides.
func (g *gatherer) read(ctx context.Context) (since int64, err error) {
	if err = g.noteJournal(ctx); err != nil {
		return 0, fmt.Errorf("cannot find what the journal holds: %w", err)
	}
	since, err = g.of.cfg.Past.Read(ctx, g.limits, func(ev *Event) error { return g.add(ctx, ev) })
	if err != nil {
		return 0, fmt.Errorf("cannot gather from %s: %w", g.of.cfg.Past.Name, err)
	}
	if err := g.log.Sync(ctx); err != nil {
		return 0, fmt.Errorf("cannot keep what was gathered: %w", err)
	}
	g.of.log.Info("the past is gathered", "from", g.of.cfg.Past.Name, "read", g.counts.Read, "taken", g.counts.Taken, "in_the_journal", g.counts.Held,
		"twice", g.counts.Again, "later", g.counts.Later, "refused", g.counts.Refused)
	return since, nil
}

// add takes one event, unless it is known.
func (g *gatherer) add(ctx context.Context, ev *Event) error {
	c := &g.counts
	c.Read++
	g.of.fills.gathered.Store(c.Read)
	if ev.ReceivedAt >= g.limits.Before {
		c.Later++
		return nil
	}
	s, err := g.in.admit(ctx, ev)
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrDuplicateTransaction) {
		c.Refused++
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Release()
	if known, ok := s.Known(); ok {
		if isHeld(known.Event) {
			c.Held++
		} else {
			c.Again++
		}
		return nil
	}
	if _, err := g.in.Append(ctx, s, &pb.EventFrame{}); err != nil {
		return err
	}
	if c.Taken == 0 || ev.OccurredAt < c.Oldest {
		c.Oldest = ev.OccurredAt
	}
	c.Taken, c.Newest = c.Taken+1, max(c.Newest, ev.ReceivedAt)
	return nil
}

// start says from where the groups see everything. Where the past ends well before the journal begins, what lies between is
// missing, and they warm up as if there were none.
func (g *gatherer) start(since int64) fillStart {
	s := fillStart{name: g.of.cfg.Past.Name, frames: g.log.Head().Offset, first: g.first}
	s.since, s.from = g.limits.Before, journal.Pos{Partition: g.first.Partition, Offset: g.first.Offset - 1}
	whole := g.first.Offset <= 1 // the journal
	gap := !whole && g.counts.Newest < g.limits.Before-2*sweepSlack.Microseconds()
	switch {
	case g.of.cfg.Past.Whole, whole && g.counts.Taken == 0:
		s.since, s.from = 0, journal.Pos{}
	case g.counts.Taken == 0 || gap:
		g.of.log.Warn("the past ends before the journal begins: the groups warm up since the journal's first frame", "newest", g.counts.Newest, "journal", g.limits.Before)
	case since != 0:
		s.since = since
	default:
		s.since = g.counts.Oldest
	}
	return s
}
