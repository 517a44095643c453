package features

import (
	"context"
	"errors"
	"fmt"
	"io"

	"pitboss/journal"
)

// layered is the journal that a follower reads: first what was gathered of a Past, at positions from 1 on, then the engine's
// journal, whose positions are higher by as many frames as came before. Nothing is appended to it.
type layered struct {
	journal.Journal // the engine's

	start fillStart
	past  journal.Journal // nil without
}

// layer opens what a backfill reads.
func (e *Engine) layer(id uint32, start fillStart) (*layered, error) {
	l := &layered{Journal: e.journal, start: start}
	if start.frames == 0 {
		return l, nil
	}
	var err error
	if l.past, err = e.cfg.Sides.Journal(pastName(id)); err != nil {
		return nil, fmt.Errorf("cannot open what was gathered: %w", err)
	}
	if have := l.past.Head().Offset; have != start.frames {
		return nil, errors.Join(fmt.Errorf("%w: %d frames were gathered and %d are there", errOtherFill, start.frames, have), l.past.Close())
	}
	return l, nil
}

// Close closes what was gathered; the engine's journal stays open.
func (l *layered) Close() error {
	if l.past == nil {
		return nil
	}
	return l.past.Close() //nolint:wrapcheck // a journal in front of another says what that says
}

// Head is the last frame of both.
func (l *layered) Head() journal.Pos { return l.start.inSide(l.Journal.Head()) }

// Tail is the first frame of both.
func (l *layered) Tail() journal.Pos {
	if l.past == nil {
		return l.Journal.Tail()
	}
	return journal.Pos{Partition: l.start.first.Partition, Offset: 1}
}

// ofPast says whether a frame was gathered.
func (l *layered) ofPast(p journal.Pos) bool { return l.past != nil && p.Offset <= l.start.frames }

// Written is the engine's journal's: what was gathered is written.
func (l *layered) Written(ctx context.Context, p journal.Pos) error {
	if l.ofPast(p) {
		return nil
	}
	return l.Journal.Written(ctx, l.start.inJournal(p)) //nolint:wrapcheck // a journal in front of another says what that says
}

// Durable is the engine's journal's, as Written.
func (l *layered) Durable(ctx context.Context, p journal.Pos) error {
	if l.ofPast(p) {
		return nil
	}
	return l.Journal.Durable(ctx, l.start.inJournal(p)) //nolint:wrapcheck // a journal in front of another says what that says
}

// Get reads one frame.
func (l *layered) Get(p journal.Pos) (journal.Frame, error) {
	if l.past == nil {
		return l.Journal.Get(p) //nolint:wrapcheck // a journal in front of another says what that says
	}
	var f journal.Frame
	var err error
	if l.ofPast(p) {
		f, err = l.past.Get(journal.Pos{Offset: p.Offset})
	} else {
		f, err = l.Journal.Get(l.start.inJournal(p))
	}
	f.Pos = p
	return f, err //nolint:wrapcheck // a journal in front of another says what that says
}

// Read gives a cursor that goes from one to the other.
func (l *layered) Read(from journal.Pos, opts ...journal.ReadOption) (journal.Cursor, error) {
	if l.past == nil {
		return l.Journal.Read(from, opts...) //nolint:wrapcheck // a journal in front of another says what that says
	}
	c := &layeredCursor{of: l, opts: opts}
	var err error
	if l.ofPast(from) {
		c.inPast = true
		c.Cursor, err = l.past.Read(journal.Pos{Offset: from.Offset})
	} else {
		c.Cursor, err = l.readJournal(l.start.inJournal(from), opts)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// readJournal reads the engine's journal from a position of its own. What was gathered ends where it began then.
func (l *layered) readJournal(from journal.Pos, opts []journal.ReadOption) (journal.Cursor, error) {
	if !l.start.first.Less(from) {
		if tail := l.Journal.Tail(); l.start.first.Less(tail) {
			return nil, fmt.Errorf("%w: what was gathered goes up to %v, and the journal starts at %v", ErrStateBehind, l.start.first, tail)
		}
		from = journal.Pos{}
	}
	return l.Journal.Read(from, opts...) //nolint:wrapcheck // a journal in front of another says what that says
}

// layeredCursor reads what was gathered, then the journal.
type layeredCursor struct {
	journal.Cursor

	of     *layered
	opts   []journal.ReadOption
	inPast bool
}

// Next gives the next frame, at its position in both.
func (c *layeredCursor) Next(ctx context.Context) (journal.Frame, error) {
	f, err := c.Cursor.Next(ctx)
	if c.inPast && errors.Is(err, io.EOF) {
		if closed := c.Close(); closed != nil {
			return f, fmt.Errorf("cannot read what was gathered: %w", closed)
		}
		c.inPast = false
		if c.Cursor, err = c.of.readJournal(journal.Pos{}, c.opts); err != nil {
			return f, err
		}
		f, err = c.Cursor.Next(ctx)
	}
	if err != nil {
		return f, err //nolint:wrapcheck // a journal in front of another says what that says
	}
	if c.inPast {
		f.Pos.Partition = c.of.start.first.Partition
		return f, nil
	}
	f.Pos = c.of.start.inSide(f.Pos)
	return f, nil
}
